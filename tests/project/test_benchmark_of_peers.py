"""The comparison with other packages: answers, names, errors, tables. Stand-ins play the peers."""

import json
import re
import shutil
import sys
from pathlib import Path

import cv2
import detect
import numpy as np
import peer
import pytest
from peers import environments, networks, photos, tables

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

FACE_API_LABELS = ["neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"]
FACEX_LABELS = ["anger", "disgust", "fear", "happy", "neutral", "sadness", "surprised"]


@pytest.fixture
def images():
    """More than one batch of face_api.cjs. Each image's first pixel is the number of a label."""
    drawn = np.random.default_rng(0).integers(0, 256, (70, 48, 48), np.uint8)
    drawn[:, 0, 0] = np.arange(70) % 7
    return drawn


def of_name(name):
    return next(peer for peer in environments.PEERS if peer.name == name)


# --- networks ---


@pytest.mark.parametrize("labels", [FACE_API_LABELS, FACEX_LABELS, EMOTIONS[::-1]])
def test_outputs_are_reordered_by_their_names(labels):
    ours = {"neutral": "neutral", "happy": "happy", "sad": "sad", "sadness": "sad"}
    ours |= {"angry": "angry", "anger": "angry", "fearful": "fear", "fear": "fear"}
    ours |= {"disgusted": "disgust", "disgust": "disgust"}
    ours |= {"surprised": "surprise", "surprise": "surprise"}
    outputs = np.arange(14.0).reshape(2, 7)
    found = networks.in_our_order(list(labels), outputs, "a peer")
    for column, label in enumerate(labels):
        assert found[:, EMOTIONS.index(ours[label])].tolist() == outputs[:, column].tolist()


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([*FACEX_LABELS[:-1], "contempt"], (2, 7), r"a peer: expected the labels .*contempt"),
        ([*FACEX_LABELS[:-1], "angry"], (2, 7), r"a peer: expected the labels .*angry\. Add"),
        (FACEX_LABELS, (2, 8), r"a peer: expected outputs \(n, 7\), found \(2, 8\)"),
    ],
)
def test_other_labels_or_outputs_are_an_error(labels, shape, message):
    with pytest.raises(StudyError, match=message):
        networks.in_our_order(labels, np.zeros(shape), "a peer")


FACEX = """
LABELS = {labels}

class Classifier:
    def detect_emotion(self, image):
        assert image.shape == (48, 48)
        return dict(zip(LABELS, [float(number == image[0, 0]) for number in range(7)]))

class PoolManager:
    def __init__(self, pool_size):
        self.pool = [Classifier()] * pool_size

    def get_classifier(self):
        return self.pool.pop()
"""

FER = """
import numpy as np

class FER:
    def _get_labels(self):
        return dict(enumerate({labels}))

    @staticmethod
    def __preprocess_input(face, v2):
        assert v2 and face.shape == (64, 64)
        return face

    def _classify_emotions(self, faces):
        return np.eye(7)[faces[:, 0, 0]]
"""


@pytest.mark.parametrize(
    ("name", "package", "labels", "code"),
    [
        ("facex", "facex/__init__.py", FACEX_LABELS, FACEX),
        ("fer", "fer/fer.py", list(EMOTIONS), FER),
    ],
)
def test_images_reach_a_python_package_and_its_outputs_come_back(
    images, tmp_path, monkeypatch, name, package, labels, code
):
    module = tmp_path / package
    module.parent.mkdir()
    (module.parent / "__init__.py").touch()
    module.write_text(code.format(labels=labels))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    images[:, :3, :3] = images[:, :1, :1]  # fer's images are resized
    peer = of_name(name)
    found = networks.classify(peer, Path(sys.executable), tmp_path, images)
    expected = [labels[number] for number in np.arange(70) % 7]
    names = [networks.NAMES[label] for label in expected]
    assert [EMOTIONS[number] for number in found.argmax(axis=1)] == names
    assert found.sum() == 70


NODE = {
    "@tensorflow/tfjs": """
let backend = '';
module.exports = {
  version_core: '4', setBackend: (name) => { backend = name; }, ready: () => {},
  getBackend: () => backend, dispose: () => {},
  tensor3d: (values, shape) => {
    if (values.length !== shape[0] * shape[1] * shape[2]) throw new Error('shape');
    return { values, shape };
  },
};""",
    "@tensorflow/tfjs-backend-wasm": """
module.exports = { setWasmPaths: () => {}, setThreadsCount: () => {} };""",
    "sharp": """
const photo = { data: Buffer.alloc(24), info: { height: 2, width: 4 } };
const sharp = () => ({
  rotate() { return this; }, removeAlpha() { return this; }, toColourspace() { return this; },
  raw() { return this; }, toBuffer: () => photo,
});
sharp.concurrency = () => {};
module.exports = sharp;""",
    "@vladmandic/face-api/dist/face-api.node-wasm.js": """
const labels = LABELS;
const one = ({ values, shape }) => {
  if (String(shape) !== '48,48,3' || values[0] !== values[2]) throw new Error('image');
  return Object.fromEntries(labels.map((label, k) => [label, Number(k === values[0])]));
};
const net = {
  loadFromDisk: () => {},
  predictExpressions: (batch) => (batch.length > 1 ? batch.map(one) : one(batch[0])),
};
module.exports = {
  version: '1', nets: { faceExpressionNet: net, tinyFaceDetector: net },
  TinyFaceDetectorOptions: class {},
  detectAllFaces: ({ shape }) => ({ withFaceExpressions: () => Array(shape[1]) }),
};""",
}


@pytest.fixture
def face_api(tmp_path):
    """A folder in which stand-ins of face-api.js and what it needs are installed, and Node."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs Node.js")
    for name, code in NODE.items():
        module = tmp_path / "node_modules" / name
        if module.suffix != ".js":
            module = module / "index.js"
        module.parent.mkdir(parents=True)
        module.write_text(code.replace("LABELS", json.dumps(FACE_API_LABELS)))
    return tmp_path, Path(node)


@pytest.mark.parametrize("count", [70, 65, 1])
def test_images_reach_face_api_and_its_outputs_come_back(images, face_api, count):
    folder, node = face_api
    peer = of_name("face-api.js")
    found = networks.classify(peer, node, folder, images[:count])
    names = [networks.NAMES[FACE_API_LABELS[k % 7]] for k in range(count)]
    assert [EMOTIONS[number] for number in found.argmax(axis=1)] == names
    assert found.sum() == count


def test_face_api_answers_for_photos_as_the_contenders_do(face_api):
    folder, node = face_api
    pipeline = photos.Pipeline("face-api.js, tiny", "tinyFaceDetector", node, folder)
    job = {"photos": ["a/one.jpg", "two.jpg"], "threads": 1, "seconds": 0}
    answer = photos.answer(pipeline, job)
    assert answer["found"] == {"one.jpg": 4, "two.jpg": 4}
    measured = photos.summary([answer], {"one.jpg": 4, "two.jpg": 5})
    assert measured.count == detect.Count(8, 1, 0)
    assert measured.versions.startswith("@vladmandic/face-api 1, tfjs 4, node ")
    with pytest.raises(StudyError, match=r"(?s)face-api.js, tiny: .*an error.*loadFromDisk"):
        photos.answer(photos.Pipeline("face-api.js, tiny", "none", node, folder), job)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise RuntimeError('broken')", r"(?s)a peer: expected an answer.*broken"),
        ("print('{}', 'no')", r"a peer: expected JSON in its last line, found '\{\} no'"),
        ("", "a peer: expected JSON in its last line, found ''"),
    ],
)
def test_a_program_that_fails_is_named_with_its_error(code, message):
    with pytest.raises(StudyError, match=message):
        networks.last_line([sys.executable, "-c", code], "a peer")
    with pytest.raises(StudyError, match="a peer: expected an interpreter, found "):
        networks.last_line(["/nowhere/python"], "a peer")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.ones(13), "fer: expected 2 times 7 finite outputs, found 13 outputs, 13 of them"),
        (np.full(14, np.nan), "found 14 outputs, 0 of them finite"),
    ],
)
def test_outputs_of_another_size_or_not_finite_are_an_error(monkeypatch, outputs, message):
    def answered(command, name):
        outputs.astype(np.float32).tofile(json.loads(command[2])["outputs"])
        return {"labels": list(EMOTIONS)}

    monkeypatch.setattr(networks, "last_line", answered)
    with pytest.raises(StudyError, match=message):
        networks.classify(of_name("fer"), Path("python"), Path(), np.zeros((2, 48, 48), np.uint8))


def test_two_networks_are_compared(faces):
    ours, theirs = np.eye(7)[faces.emotion], np.eye(7)[faces.emotion]
    ours[:20] = np.roll(ours[:20], 1, axis=1)
    theirs[10:50] = np.roll(theirs[10:50], 1, axis=1)
    found = networks.compare(faces.emotion, ours, theirs)
    accuracy, low, high = found.accuracy
    assert accuracy == pytest.approx(170 / 210)
    assert low < accuracy < high
    assert (found.test.only_a, found.test.only_b) == (30, 10)
    assert found.test.difference == pytest.approx(20 / 210)
    # Twice the probability of at most 10 of 40 throws of a coin.
    assert found.test.p == pytest.approx(0.00222, abs=1e-5)
    # The standard error of the mean of 30 ones, 10 minus ones and 170 zeros is 0.0293.
    assert found.interval == pytest.approx(
        (0.0952 - 1.96 * 0.0293, 0.0952 + 1.96 * 0.0293), abs=0.01
    )


def test_images_with_duplicates_in_training_are_left_out(faces):
    pixels = faces.images.copy()
    training = np.flatnonzero(faces.usage == "Training")
    private = np.flatnonzero(faces.usage == "PrivateTest")
    pixels[private[0]] = pixels[training[0]]
    pixels[private[1]] = np.clip(pixels[training[1]].astype(int) + 9, 0, 255)
    planted = Faces(pixels, faces.emotion, faces.usage, faces.row, source="planted")
    chosen = {name: (split, keep) for name, split, keep in networks.selections(planted)}
    assert list(chosen) == [
        "PublicTest",
        "PrivateTest",
        "PrivateTest without exact duplicates",
        "PrivateTest without near-duplicates",
    ]
    assert [split for split, _ in chosen.values()] == ["PublicTest"] + 3 * ["PrivateTest"]
    whole, exact, near = (keep for _, keep in list(chosen.values())[1:])
    assert len(whole) == len(exact) == len(near) == len(private)
    assert whole.all()
    assert not exact[0] and exact[1]
    assert not near[0] and not near[1]
    assert (near <= exact).all()


# --- environments ---


def test_a_failed_installation_is_named_with_its_command():
    code = "import sys; sys.exit('no such package')"
    with pytest.raises(StudyError, match=r"facex: .*-c import sys.* ended with 1: no such package"):
        environments.run([sys.executable, "-c", code], "facex")
    with pytest.raises(StudyError, match=r"facex: expected to run `/nowhere/pip x`"):
        environments.run(["/nowhere/pip", "x"], "facex")


def test_without_node_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StudyError, match=r"face-api.js: expected Node.js .*Install Node\.js"):
        environments.ensure_face_api(tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["facex", "face-api.js"])
def test_an_environment_is_installed_once_and_must_work(tmp_path, monkeypatch, name):
    peer = of_name(name)
    commands, ready = [], []
    monkeypatch.setattr(environments, "run", lambda command, name: commands.append(command))
    monkeypatch.setattr(environments, "works", lambda command: bool(ready))
    monkeypatch.setattr(environments.shutil, "which", lambda program: f"/bin/{program}")
    with pytest.raises(StudyError, match=f"{name}: expected an environment in which it works"):
        peer.ensure(tmp_path / "new", None)
    installed = [str(word) for word in commands[-1]]
    assert peer.package in installed
    if name == "facex":
        assert "--no-deps" in installed
    else:
        # What is listed here is installed, and no package runs a program of its own.
        assert {"--ignore-scripts", *environments.FACE_API} < set(installed)
    commands.clear()
    ready.append(True)
    assert peer.ensure(tmp_path / "new", None).name in ("python", "python.exe", "node")
    assert commands == []


def test_versions_are_pinned():
    assert all(re.search(r"@\d+\.\d+\.\d+$", package) for package in environments.FACE_API)
    assert all("==" in peer.package for peer in environments.PEERS if not peer.node)


def test_a_detector_that_cannot_be_installed_leaves_the_other(tmp_path, monkeypatch):

    def ensure(folder, mtcnn):
        if mtcnn:
            sys.exit("no PyTorch")
        return Path("python")

    monkeypatch.setattr(environments.recognize, "ensure_fer", ensure)
    pipelines, errors = peer.pipelines_of(of_name("fer"), tmp_path)
    assert [(each.name, each.contender) for each in pipelines] == [("fer, Haar", "fer")]
    expected = "fer: expected an environment of its own, found: no PyTorch"
    assert errors == {"fer, MTCNN": expected}


# --- photos ---


def answered(found, clock=10.0, processor=8.0):
    """An answer of contenders.py."""
    return {
        "found": found,
        "photos_ms": dict.fromkeys(found, clock),
        "photos_processor_ms": dict.fromkeys(found, processor),
        "versions": "package 1",
    }


def test_rounds_alternate_and_a_failing_pipeline_is_left_out(monkeypatch):
    order = []

    def answer(pipeline, job):
        order.append(pipeline.name)
        if order.count("b") == 2 and pipeline.name == "b":
            raise StudyError("b: broken")
        return answered({"x.jpg": 3 if pipeline.name == "a" else 0}, 10.0 * len(order))

    monkeypatch.setattr(photos, "answer", answer)
    pipelines = [photos.Pipeline(name, name) for name in "abc"]
    measured, errors = photos.measure(pipelines, {}, {"x.jpg": 2}, rounds=3)
    assert order == ["a", "b", "c", "c", "b", "a", "a", "c"]
    assert errors == {"b": "b: broken"}
    assert list(measured) == ["a", "c"]
    assert measured["a"].count == detect.Count(2, 0, 1)
    assert measured["c"].count == detect.Count(0, 2, 0)
    assert measured["a"].clock == [10, 60, 70]
    assert measured["a"].processor == [8, 8, 8]


def test_a_photo_without_an_answer_is_an_error():
    with pytest.raises(StudyError, match=r"each photo, found none for y\.jpg"):
        photos.summary([answered({"x.jpg": 1})], {"x.jpg": 1, "y.jpg": 1})


def test_a_contender_that_fails_is_an_error_of_the_study(tmp_path):
    pipeline = photos.Pipeline("ours, Haar", "ours")
    job = {"threads": 1, "seconds": 0, "photos": [], "model": str(tmp_path), "yunet": None}
    with pytest.raises(StudyError, match=r"(?s)ours, Haar: expected a measurement.*ended with 1"):
        photos.answer(pipeline, job)


PACKAGE = """
class PoolManager:
    def __init__(self, pool_size):
        self.pool = [self] * pool_size

    def detect_emotion(self, face):
        return {}

    def predict(self, photo):
        return [{}] * photo.shape[1]
"""


def test_facex_is_measured_in_a_new_process(tmp_path, monkeypatch):
    (tmp_path / "facex.py").write_text(PACKAGE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 9, 3), np.uint8))
    job = {"threads": 1, "seconds": 0, "photos": [str(tmp_path / "x.png")]}
    answer = photos.answer(photos.Pipeline("facex, Haar", "facex"), job)
    assert answer["found"] == {"x.png": 9}


# --- tables ---


@pytest.fixture
def results():
    """Our accuracy, a comparison and two measurements, with numbers that are easy to find."""
    from fer_utils.evaluation import McNemar

    def compared(p):
        return networks.Comparison((0.5, 0.48, 0.52), McNemar(1200, 30, -0.2, p), (-0.25, -0.15))

    ours = {"PublicTest": (3589, (0.6, 0.58, 0.62)), "PrivateTest": (3589, (0.7, 0.68, 0.72))}
    theirs = {"PublicTest": {"fer": compared(0.002)}, "PrivateTest": {"fer": compared(1e-90)}}
    count, measured = detect.Count, photos.Measured
    found = {
        "this study, YuNet": measured(count(12, 0, 1), [30.0, 1040.0, 50.0], [20.4], "a 1"),
        "fer, Haar": measured(count(11, 1, 3), [100.0], [90.0, 80.0], "b 2"),
        "fer, MTCNN": measured(count(12, 0, 0), [700.0], [600.0], "b 2"),
    }
    return ours, theirs, found


def test_the_table_of_networks_has_a_row_for_each_selection_and_network(results):
    ours, theirs, _ = results
    lines = tables.networks_table(ours, theirs).splitlines()
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2:] == [
        "| PublicTest (3,589) | this study | 60.0 (58.0–62.0) |  |  |  |  |",
        "| PublicTest (3,589) | fer | 50.0 (48.0–52.0) | −20.0 (−25.0 to −15.0) | 1,200 | 30 "
        "| 0.002 |",
        "| PrivateTest (3,589) | this study | 70.0 (68.0–72.0) |  |  |  |  |",
        "| PrivateTest (3,589) | fer | 50.0 (48.0–52.0) | −20.0 (−25.0 to −15.0) | 1,200 | 30 "
        "| < 1e-20 |",
    ]
    assert {line.count("|") for line in lines} == {8}


def test_the_table_of_photos_has_medians_and_ranges_of_the_rounds(results):
    lines = tables.photos_table(results[2]).splitlines()
    assert lines[2:4] == [
        "| this study, YuNet | 12 | 0 | 1 | 50 (30–1,040) | 20 |",
        "| fer, Haar | 11 | 1 | 3 | 100 | 85 (80–90) |",
    ]


def test_the_short_table_has_the_first_pipeline_of_each_network(results):
    ours, theirs, found = results
    networks = tables.networks_table(ours, theirs)
    photos = tables.photos_table(found) + "\n\nA line about the machine."
    lines = tables.short_table(networks, photos).splitlines()
    assert lines[2:] == [
        "| this study, YuNet | 70.0 (68.0–72.0) | 12, 0, 1 | 20 |",
        "| fer, Haar | 50.0 (48.0–52.0) | 11, 1, 3 | 85 |",
    ]
    lines = tables.short_table(networks, "").splitlines()
    assert lines[-1] == "| fer | 50.0 (48.0–52.0) |  |  |"
    assert tables.short_table("", photos) == ""


def marked(block, text):
    start = f"<!-- {block}: written by `python benchmarks/peer.py --write` -->"
    return f"before\n{start}\n{text}\n<!-- end of {block} -->\nafter\n"


def test_one_table_is_written_and_the_readme_is_made_of_both(results, tmp_path):
    ours, theirs, found = results
    networks, photos = tables.networks_table(ours, theirs), tables.photos_table(found)
    (tmp_path / "docs").mkdir()
    page, readme = tmp_path / "docs" / "benchmarks.md", tmp_path / "README.md"
    readme.write_text(marked("peers", "old"))
    page.write_text(marked("peers_networks", networks) + "no markers")
    before = page.read_text()
    with pytest.raises(StudyError, match=r"docs/benchmarks\.md: expected the markers"):
        tables.write({"peers_networks": "new", "peers_photos": photos}, tmp_path)
    assert (page.read_text(), readme.read_text()) == (before, marked("peers", "old"))
    page.write_text(marked("peers_networks", networks) + marked("peers_photos", "old"))
    tables.write({"peers_photos": photos}, tmp_path)
    expected = marked("peers_networks", networks) + marked("peers_photos", photos)
    assert page.read_text() == expected
    assert readme.read_text() == marked("peers", tables.short_table(networks, photos))


def test_the_readmes_table_is_made_of_those_in_docs_benchmarks(project):
    """If not, run the program with --write."""
    page = (project / tables.DOCS).read_text(encoding="utf-8")
    networks, photos = (tables.block_of(page, each) for each in (tables.NETWORKS, tables.PHOTOS))
    shown = tables.block_of((project / tables.README).read_text(encoding="utf-8"), "peers")
    assert shown == tables.short_table(networks, photos)
    peers = {peer.name for peer in environments.PEERS}
    assert {row[0].split(",")[0] for row in tables.cells(shown)} == peers | {tables.OURS}
    named = {f"{peer.name}, {each}" for peer in environments.PEERS for each in peer.detectors}
    assert named < {row[0] for row in tables.cells(photos)}
    # Accuracies, differences and counts of the same row agree, and ours are those of the evidence.
    for images, network, accuracy, *rest in tables.cells(networks):
        count = int(re.search(r"\(([\d,]+)\)$", images)[1].replace(",", ""))
        if network == tables.OURS:
            of_ours = float(accuracy.split(" ")[0])
            continue
        difference, only_ours, only_it, _ = rest
        points = float(difference.split(" ")[0].replace("−", "-"))
        lead = int(only_ours.replace(",", "")) - int(only_it.replace(",", ""))
        assert points == pytest.approx(100 * lead / count, abs=0.051)
        assert points == pytest.approx(of_ours - float(accuracy.split(" ")[0]), abs=0.11)


# --- the program ---


def test_peers_that_cannot_be_had_are_reported_and_the_rest_goes_on(
    faces, tmp_path, monkeypatch, capsys
):

    def broken(folder, detector):
        raise StudyError("first: no network")

    def ready(folder, detector):
        return Path("python")

    peers = [
        environments.Peer("first", "first==1", "first", broken, {"Haar": "first"}),
        environments.Peer("second", "second==1", "second", ready, {"Haar": "second"}),
    ]
    wrong = np.roll(np.eye(7, dtype=np.float32), 1, axis=1)
    labels = {
        each.tobytes(): label for each, label in zip(faces.images, faces.emotion, strict=True)
    }
    monkeypatch.setattr(peer, "PEERS", peers)
    monkeypatch.setattr(peer, "read", lambda kind, file: faces)
    monkeypatch.setattr(peer, "logits_of", lambda run, part: np.eye(7)[part.emotion])
    monkeypatch.setattr(
        peer,
        "classify",
        lambda peer, interpreter, folder, images: wrong[[labels[i.tobytes()] for i in images]],
    )
    monkeypatch.setattr(photos, "answer", lambda pipeline, job: answered({"x.png": 0}))
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "faces.csv").write_text("file,faces\nx.png,0\n")
    arguments = ["peer.py", "--csv", "faces.csv", "--photos", str(tmp_path), "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    peer.main()
    printed = capsys.readouterr().out
    private = (faces.usage == "PrivateTest").sum()
    assert f"| PrivateTest ({private}) | this study | 100.0 (100.0–100.0) |" in printed
    assert f"| PrivateTest ({private}) | second | 0.0 (0.0–0.0) | +100.0 (" in printed
    assert "| second, Haar | 0 | 0 | 0 | 10 | 8 |" in printed
    assert "| this study, Haar | 0 | 0 | 0 | 10 | 8 |" in printed
    for missing in ("first", "first, Haar"):  # below each table
        assert f"\n\nNot compared in this run: {missing}.\n" in printed
    assert "\n\nfirst: no network\n" in printed
    assert "| first" not in printed


def test_a_part_of_the_program_writes_its_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(photos, "answer", lambda pipeline, job: answered({"x.png": 1}))
    monkeypatch.setattr(peer, "PEERS", [])
    monkeypatch.setattr(peer.recognize, "PROJECT", tmp_path)
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "faces.csv").write_text("file,faces\nx.png,1\n")
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "benchmarks.md"
    page.write_text(marked("peers_networks", "kept") + marked("peers_photos", "old"))
    (tmp_path / "README.md").write_text(marked("peers", "old"))
    monkeypatch.setattr(sys, "argv", ["peer.py", "--photos", str(tmp_path), "--write"])
    peer.main()
    written = page.read_text()
    assert marked("peers_networks", "kept") in written
    assert "| this study, Haar | 1 | 0 | 0 | 10 (10–10) | 8 (8–8) |" in written
    assert "3 rounds" in written
    assert "old" not in written


def test_missing_markers_are_found_before_anything_is_measured(monkeypatch, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("no markers")
    monkeypatch.setattr(peer.recognize, "PROJECT", tmp_path)
    arguments = ["--csv", "none.csv", "--photos", "none", "--yunet", "none", "--write"]
    monkeypatch.setattr(sys, "argv", ["peer.py", *arguments])
    with pytest.raises(SystemExit, match=r"docs/benchmarks\.md: expected the markers"):
        peer.main()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --csv, --photos or both"),
        (["--write"], "expected --csv, --photos or both"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(sys, "argv", ["peer.py", *arguments])
    with pytest.raises(SystemExit):
        peer.main()
    assert message in capsys.readouterr().err


def test_a_missing_csv_ends_the_program_with_the_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["peer.py", "--csv", str(tmp_path / "none.csv")])
    with pytest.raises(SystemExit, match=r"none\.csv"):
        peer.main()
