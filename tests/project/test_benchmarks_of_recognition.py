"""The benchmarks of recognition, detection and framing: input, computation and output.

Times are not tested.
"""

import csv
import sys
from types import SimpleNamespace

import boxes
import cv2
import detect
import framing
import numpy as np
import pytest
import recognize
import scenes
import sizes
from skimage import data

from fer_utils.errors import StudyError
from fer_utils.recognition.found import Box, Detection


def blank_photos(folder, counts):
    """A folder of blank photos and its faces.csv."""
    for name in counts:
        cv2.imwrite(str(folder / name), np.full((40, 30, 3), 128, np.uint8))
    with (folder / "faces.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "faces"), *counts.items()])
    return folder


class FakeDetector:
    """Finds the same boxes in every photo."""

    frame, rise = 1.25, 0.1

    def __init__(self, *boxes):
        self.boxes = boxes

    def detect(self, photo):
        return [Detection(box, 1.0) for box in self.boxes]


# --- detect.py ---


@pytest.mark.parametrize(
    ("boxes", "faces", "expected"),
    [(2, 2, (2, 0, 0)), (1, 2, (1, 1, 0)), (3, 2, (2, 0, 1)), (1, 0, (0, 0, 1))],
)
def test_faces_are_found_missed_or_false_by_count(boxes, faces, expected):
    count = detect.Count.of(boxes, faces)
    assert (count.found, count.missed, count.false) == expected


def test_the_table_of_detectors_has_each_photo_and_totals(tmp_path):
    folder = blank_photos(tmp_path, {"one.png": 1, "two.png": 2, "none.png": 0})
    detectors = {
        "haar": FakeDetector(Box(1, 1, 9, 9)),
        "yunet": FakeDetector(Box(1, 1, 9, 9), Box(12, 1, 9, 9)),
    }
    printed = detect.compare(folder, detectors, repeats=1, annotate=tmp_path / "drawn")
    rows = {line.split()[0]: line.replace("|", "").split() for line in printed.splitlines()[1:]}
    # After name and count: found, missed, false and milliseconds of each detector.
    assert rows["one.png"][1:5] == ["1", "1", "0", "0"]
    assert rows["one.png"][6:9] == ["1", "0", "1"]
    assert rows["none.png"][2:5] == ["0", "0", "1"]
    assert rows["all"][1:5] == ["3", "2", "1", "1"]
    assert rows["all"][6:9] == ["3", "0", "3"]
    assert cv2.imread(str(tmp_path / "drawn" / "one.png")).shape == (40, 30, 3)


@pytest.mark.parametrize(
    "table", ["file,people\none.png,1\n", "file,faces\none.png,some\n", "file,faces\ngone.png,1\n"]
)
def test_bad_counts_are_named(tmp_path, table):
    blank_photos(tmp_path, {"one.png": 1})
    (tmp_path / "faces.csv").write_text(table)
    with pytest.raises(StudyError, match=r"faces\.csv: expected"):
        detect.read_counts(tmp_path)


# --- framing.py ---


def test_a_box_in_a_pasted_image_is_converted_to_its_pixels():
    border, by = framing.BORDER * framing.ENLARGED, framing.ENLARGED
    # The lower right quarter of the image.
    box = Box(border + 24 * by, border + 24 * by, 24 * by, 24 * by)
    assert framing.in_face_pixels(box) == (12, 12, 24, 24)


def test_the_pasted_image_is_in_the_centre():
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    canvas = framing.paste(image)
    border = framing.BORDER * framing.ENLARGED
    inside = canvas[border:-border, border:-border, 0]
    assert canvas.shape == (288, 288, 3)
    assert np.array_equal(inside, cv2.resize(image, (144, 144), interpolation=cv2.INTER_CUBIC))


def test_the_face_is_the_box_nearest_the_centre():
    image = np.zeros((48, 48), np.uint8)
    middle, near, far = Box(100, 100, 88, 88), Box(110, 100, 88, 88), Box(0, 0, 88, 88)
    assert framing.find_pasted(FakeDetector(far, near, middle), image) == middle
    assert framing.find_pasted(FakeDetector(far), image) is None
    assert framing.find_pasted(FakeDetector(), image) is None


def test_measured_frame_and_rise_crop_the_image_again():
    from fer_utils.recognition.recognizer import crop_face

    image = cv2.GaussianBlur(
        np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8), (0, 0), 3
    )
    box = Box(84, 99, 120, 96)  # centre (144, 147): one pixel of FER-2013 below the image's
    frame, rise = framing.frame_of(np.array([framing.in_face_pixels(box)]))
    assert (frame, rise) == pytest.approx((48 / 40, 1 / 48))
    crop = crop_face(framing.paste(image), box, frame, rise)
    assert np.abs(crop.astype(int) - image).max() <= 3


def test_one_detectors_frame_in_anothers_boxes_crops_the_same_square():
    # The first square has side 110 and centre (50, 39), the second box side 100, centre (50, 50).
    frame, rise = framing.frame_like([(Box(0, 0, 100, 100), Box(10, 0, 80, 100))], 1.1, 0.1)
    assert (frame, rise) == pytest.approx((1.1, 0.1))
    frame, rise = framing.frame_like([(Box(0, 0, 100, 100), Box(20, 10, 60, 100))], 1.1, 0)
    assert (frame, rise) == pytest.approx((1.1, 10 / 110))


def test_two_detectors_boxes_of_one_face_are_a_pair():
    a, b, beside = Box(0, 0, 40, 40), Box(5, 3, 30, 40), Box(60, 0, 40, 40)
    assert framing.same_faces([a], [b, beside]) == [(a, b)]


def test_reframing_translates_and_scales_about_the_centre():
    reframe = framing.reframe
    image = np.zeros((1, 48, 48), np.uint8)
    image[0, 20:28, 20:28] = 255
    assert np.array_equal(reframe(image, 1), image)
    moved = reframe(image, 1, across=3, down=-2)
    assert np.array_equal(moved[0, 18:26, 23:31], image[0, 20:28, 20:28])
    assert moved.sum() == image.sum()
    # In a square twice as large, the face has a quarter of the area and the same centre.
    wider = reframe(image, 2)
    assert wider.sum() / image.sum() == pytest.approx(1 / 4, rel=0.05)
    assert np.average(np.arange(48), weights=wider[0].sum(axis=0)) == pytest.approx(23.5, abs=0.1)
    # Translations are in pixels of the result.
    shifted = reframe(image, 2, across=5)
    assert np.average(np.arange(48), weights=shifted[0].sum(axis=0)) == pytest.approx(28.5, abs=0.1)


def test_reframing_repeats_the_border():
    image = np.full((1, 48, 48), 90, np.uint8)
    assert (framing.reframe(image, 1.4, across=6) == 90).all()


def test_framing_does_not_read_privatetest(faces, tmp_path, monkeypatch, capsys):
    faces.save(tmp_path / "faces")
    received = []
    monkeypatch.setattr(framing, "boxes_part", lambda faces, *_: received.append(faces))
    monkeypatch.setattr(framing, "shifts_part", lambda faces, *_: received.append(faces))
    monkeypatch.setattr(framing, "pasted_part", lambda faces, *_: received.append(faces))
    monkeypatch.setattr(
        framing, "Recognizer", lambda *_, **__: SimpleNamespace(card={"name": "fake"})
    )
    monkeypatch.setattr(
        sys, "argv", ["framing.py", "--data", str(tmp_path / "faces"), "--images", "20"]
    )
    framing.main()
    assert [set(each.usage) for each in received] == [{"Training"}, {"PublicTest"}, {"PublicTest"}]
    assert len(received[0]) == len(received[2]) == 20
    assert len(received[1]) == (faces.usage == "PublicTest").sum()


# --- recognize.py ---


def measured(face, photos, found=None):
    """A measurement as contenders.py prints it."""
    return {
        "import_s": 0.5,
        "prepare_s": 0.1,
        "face_ms": face,
        "photos_ms": photos,
        "found": found or dict.fromkeys(photos, 1),
        "peak_mb": 100.0,
        "versions": "",
    }


@pytest.fixture
def results():
    """Two rounds. The machine was half as fast in the second one."""
    photos = {"a.jpg": 40.0, "b.jpg": 80.0}
    quick = {"a.jpg": 20.0, "b.jpg": 20.0}
    return {
        "fer": [
            measured(4.0, photos, {"a.jpg": 3, "b.jpg": 0}),
            measured(8.0, {n: 2 * t for n, t in photos.items()}),
        ],
        "Model.predict": [measured(60.0, {}), measured(90.0, {})],
        "compiled Keras": [measured(1.0, {}), measured(3.0, {})],
        "ours": [measured(2.0, quick), measured(4.0, {n: 2 * t for n, t in quick.items()})],
    }


def test_ratios_are_of_the_same_round(results):
    ratios = recognize.ratios
    assert ratios(results, "face_ms", "ours", "Model.predict") == [30, 22.5]
    assert ratios(results, "face_ms", "ours", "compiled Keras") == [0.5, 0.75]
    assert ratios(results, "photos_ms", "ours", "fer") == [3, 3]


def test_the_report_has_medians_ranges_and_ratios(results):
    printed = recognize.report(results, {"a.jpg": 1, "b.jpg": 1})
    rows = {line[:15].strip(): line for line in printed.splitlines()[1:5]}
    assert list(rows) == ["fer", "Model.predict", "compiled Keras", "ours"]
    assert "6.000 (4.000 to 8.000)" in rows["fer"]
    # A photo takes 60 ms in the first round and 120 ms in the second.
    assert "90.0 (60.0 to 120.0)" in rows["fer"]
    assert rows["fer"].endswith("1, 1, 2")  # found, missed, false
    assert rows["ours"].endswith("2, 0, 0")
    assert rows["Model.predict"].endswith("-")
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "all photos ours as fer 3.00 (3.00 to 3.00)" in lines
    assert "one face classified ours as Model.predict 26.25 (22.50 to 30.00)" in lines
    assert "a.jpg 2.0, b.jpg 4.0" in printed


def test_fers_setuptools_come_last_and_mtcnn_only_on_request():
    plain, with_mtcnn = recognize.installs(False), recognize.installs(True)
    assert plain[-1] == with_mtcnn[-1] == ["setuptools<81"]
    assert not any("torch" in argument for command in plain for argument in command)
    assert "torch" in with_mtcnn[2]


def test_every_library_has_the_same_number_of_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    own = recognize.quiet(2)
    assert {own[name] for name in own if name.endswith("_THREADS")} == {"2"}


def test_ours_is_measured_in_a_new_process(model_folder, tmp_path):
    folder = blank_photos(tmp_path, {"none.png": 0})
    job = {"contender": "ours", "threads": 1, "seconds": 0, "photos": [str(folder / "none.png")]}
    found = recognize.measure_afresh(
        sys.executable, job | {"model": str(model_folder), "yunet": None}
    )
    assert found["found"] == {"none.png": 0}
    assert set(found["photos_ms"]) == {"none.png"}
    assert found["face_ms"] > 0
    assert 0 < found["ready_mb"] <= found["peak_mb"]
    assert found["versions"].startswith("onnxruntime ")


def test_a_failing_contender_is_named_with_its_error(tmp_path):
    job = {
        "contender": "ours",
        "threads": 1,
        "seconds": 0,
        "photos": [],
        "model": str(tmp_path),
        "yunet": None,
    }
    with pytest.raises(SystemExit, match=r"(?s)ours ended with 1.*expected an exported model"):
        recognize.measure_afresh(sys.executable, job)


# --- sizes.py ---


def test_two_trees_are_timed_at_each_size(project, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((300, 200, 3), 128, np.uint8))
    other = tmp_path / "other"
    other.mkdir()
    (other / "fer_utils").symlink_to(project / "fer_utils")
    printed = sizes.compare(other, photo, None, [60, 120], repeats=1, rounds=1)
    rows = [line.replace("|", " ").split() for line in printed.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["60", "haar"], ["120", "haar"]]
    for row in rows:
        before, now, ratio = map(float, row[2:5])
        assert ratio == pytest.approx(before / now, abs=0.2 * ratio)
        assert row[-2:] == ["0,", "0"]


def test_a_tree_that_fails_is_named(tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((30, 20, 3), 128, np.uint8))
    (tmp_path / "fer_utils").mkdir()
    (tmp_path / "fer_utils" / "__init__.py").write_text("raise RuntimeError('broken')")
    with pytest.raises(SystemExit, match=r"(?s)the measurement failed.*broken"):
        sizes.measured(tmp_path, photo, None, 1)


STAND_IN = """
class FER:
    def __init__(self, mtcnn):
        assert not mtcnn

    def detect_emotions(self, image, face_rectangles=None):
        sum(range(1_000_000 if face_rectangles is None else 1))
        return [{}, {}, {}]
"""


def test_photos_of_each_size_are_timed_beside_fer(model_folder, tmp_path, monkeypatch):
    (tmp_path / "fer").mkdir()
    (tmp_path / "fer" / "__init__.py").touch()
    (tmp_path / "fer" / "fer.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.full((300, 200, 3), 128, np.uint8))
    printed = sizes.compare_with_fer(
        sys.executable, photo, model_folder, None, [150, 300], rounds=1
    )
    rows = [line.replace("|", " ").split() for line in printed.splitlines()[1:5]]
    assert [row[:3] for row in rows] == [
        [side, who, "Haar"] for side in ("150", "300") for who in ("fer,", "ours,")
    ]
    assert [row[-1] for row in rows] == ["3", "0"] * 2  # faces
    for theirs, ours in zip(rows[::2], rows[1::2], strict=True):
        # By the clock and of the processor: the times, then how many times as fast.
        for time, ratio in ((3, 5), (4, 6)):
            expected = float(theirs[time]) / float(ours[time])
            assert float(ours[ratio]) == pytest.approx(expected, rel=0.1)
        assert theirs[5:] == ["3"]


def test_the_interval_of_ratios_is_that_of_their_logarithms():
    assert sizes.interval([3.0]) == "3.00"
    assert sizes.interval([4.0, 4.0]) == "4.00 (4.00 to 4.00)"
    # By hand: 12.706 (t with one degree of freedom) times log(2) / 2, about the mean log(2).
    assert sizes.interval([1.41421356, 2.82842712]) == "2.00 (0.02 to 163.49)"


# --- scenes.py ---


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    """The faces cut out of scikit-image's public-domain portrait."""
    folder = tmp_path_factory.mktemp("portrait")
    cv2.imwrite(str(folder / "face.png"), data.astronaut()[..., ::-1])
    cv2.imwrite(str(folder / "none.png"), np.zeros((90, 90, 3), np.uint8))
    (folder / "faces.csv").write_text("file,faces\nface.png,1\nnone.png,1\n")
    return scenes.cuttings(folder)


def test_a_scenes_faces_are_apart_and_where_it_says(portrait):
    assert len(portrait) == 1  # the photo with another number of faces is left out
    scene, places = scenes.compose(portrait, np.random.default_rng(1))
    again, same = scenes.compose(portrait, np.random.default_rng(1))
    other, _ = scenes.compose(portrait, np.random.default_rng(2))
    assert np.array_equal(scene, again)
    assert same == places
    assert not np.array_equal(scene, other)
    covered = np.zeros(scene.shape[:2], int)
    for box in places:
        covered[box.y : box.y + box.height, box.x : box.x + box.width] += 1
    assert covered.max() == 1
    assert covered.sum() == sum(box.width * box.height for box in places)  # inside the scene
    assert min(box.width for box in places) / 2048 > 0.024
    assert max(box.width for box in places) <= 1.5 * portrait[0].side
    # In its place, the face looks as it did in the photo.
    box = max(places)
    cut = portrait[0].pixels
    start = (len(cut) - portrait[0].side) // 2
    face = cut[start : start + portrait[0].side, start : start + portrait[0].side]
    pasted = scene[box.y : box.y + box.height, box.x : box.x + box.width]
    small = [cv2.resize(each, (24, 24), interpolation=cv2.INTER_AREA) for each in (face, pasted)]
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("box", "on"),
    [
        (Box(100, 100, 40, 40), True),
        (Box(93, 90, 60, 66), True),
        (Box(111, 100, 40, 40), False),
        (Box(112, 112, 16, 16), False),
        (Box(70, 70, 100, 100), False),
    ],
)
def test_a_box_lies_on_a_face_of_its_place_and_size(box, on):
    assert boxes.lies_on(box, Box(100, 100, 40, 40)) is on


def test_a_second_box_on_a_face_is_false(portrait):
    first, second = Box(300, 300, 60, 60), Box(900, 700, 200, 200)
    assert boxes.match([Box(0, 0, 9, 9), second, second], [first, second]) == {1: 1}

    class Twice(FakeDetector):
        """Finds the second face twice, and nothing in the second search."""

        def __init__(self):
            scaled = [round(edge * 640 / 2048) for edge in second]
            super().__init__(Box(*scaled), Box(*scaled))

        def detect_small(self, photo, largest):
            return []

    blank = np.zeros((1536, 2048, 3), np.uint8)
    printed = scenes.report(
        {"haar, full": Twice(), "haar": FakeSmall()}, [(blank, [first, second])]
    )
    rows = [line.split() for line in printed.splitlines()[2:]]
    assert rows[0][2:] == ["1", "1", "1", "|", "1,", "0,", "0"]
    assert rows[1][1:] == ["0", "2", "0", "|", "1,", "1,", "0"]
    assert printed.splitlines()[-1].endswith("of Haar finds 1, only the limited one 0")


class FakeSmall(FakeDetector):
    def detect_small(self, photo, largest):
        return []


def test_both_searches_of_haar_find_the_portrait_in_a_scene(portrait):
    scene = scenes.compose(portrait, np.random.default_rng(1))
    searches = {"haar, full": scenes.FullHaar(), "haar": scenes.HaarDetector()}
    printed = scenes.report(searches, [scene])
    faces = len(scene[1])
    rows = [line.replace("haar, full", "full").split() for line in printed.splitlines()[2:4]]
    for row in rows:
        found, missed = int(row[1]), int(row[2])
        assert found + missed == faces
        assert found >= 0.8 * faces
