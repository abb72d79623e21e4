"""What a browser needs to answer by itself: its routes, and the page as a folder."""

import json
import re

import numpy as np
import onnx
import pytest
from onnx import helper
from serving_cases import ASTRONAUT, check_problem, only_image, post

from fer_utils.cli import main
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.serving import create_app, on_device
from fer_utils.serving.on_device import RUNTIME_FILES, find_on_device
from fer_utils.serving.static_page import export_page

MODELS = ("/on-device/model.onnx", "/on-device/yunet.onnx")


@pytest.fixture(scope="session")
def yunet_like(tmp_path_factory):
    """A file with YuNet's input and outputs, which finds no face."""
    outputs = [f"{name}_{stride}" for stride in (8, 16, 32) for name in ("cls", "obj", "bbox")]
    shapes = [(1, 1, 4 if name.startswith("bbox") else 1) for name in outputs]
    nodes = [helper.make_node("ReduceMax", ["input"], ["level"])]
    constants = []
    for name, shape in zip(outputs, shapes, strict=True):
        zeros = helper.make_tensor(f"zero_{name}", 1, shape, np.zeros(shape).ravel())
        constants.append(zeros)
        nodes.append(helper.make_node("Identity", [zeros.name], [name]))
    graph = helper.make_graph(
        nodes,
        "like_yunet",
        [helper.make_tensor_value_info("input", 1, [1, 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, 1, shape)
            for name, shape in zip(outputs, shapes, strict=True)
        ],
        constants,
    )
    file = tmp_path_factory.mktemp("yunet") / "yunet.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, file)
    return file


@pytest.fixture
def runtime(tmp_path):
    """A folder with files of onnxruntime-web's names, and another file."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(f"content of {name}".encode())
    (folder / "secret.txt").write_text("not served")
    return folder


@pytest.fixture(scope="module")
def with_yunet(model_folder, yunet_like):
    return Recognizer(model_folder, YuNetDetector(yunet_like))


@pytest.fixture
def offered(with_yunet, runtime):
    """A client of a server whose page can answer on the visitor's device."""
    return create_app(with_yunet, onnxruntime_web=runtime).test_client()


def policy(response):
    return response.headers["Content-Security-Policy"]


def test_without_onnxruntime_web_everything_is_as_before(client):
    page = client.get("/")
    assert "script-src 'self';" in policy(page)
    assert not re.search(r"on this device|by-device|temperature", page.get_data(as_text=True))
    assert "/on-device/" not in client.get("/openapi.json").get_data(as_text=True)
    for path in (*MODELS, f"/on-device/onnxruntime-web/{RUNTIME_FILES[0]}"):
        check_problem(client.get(path), 404, "")


def test_the_page_offers_both_places(offered):
    page = offered.get("/")
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy(page)
    assert policy(page).count("unsafe") == 1
    text = page.get_data(as_text=True)
    assert re.findall(r'name="place" value="(\w+)"', text) == ["server", "device"]
    assert 'data-temperature="1.0"' in text
    assert only_image(post(offered, ASTRONAUT))["detector"] == "yunet"


def test_the_files_are_those_of_the_recogniser(offered, with_yunet, model_folder, yunet_like):
    files = [(model_folder / "model.onnx").read_bytes(), yunet_like.read_bytes()]
    for path, content in zip(MODELS, files, strict=True):
        response = offered.get(path)
        assert response.data == content
        assert response.headers["Cache-Control"] == "no-cache"
        again = offered.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    described = offered.get("/openapi.json").json["paths"]
    assert set(MODELS) <= set(described)


def test_only_the_needed_files_of_onnxruntime_web_are_served(offered):
    types = ("text/javascript", "text/javascript", "application/wasm")
    for name, kind in zip(RUNTIME_FILES, types, strict=True):
        response = offered.get(f"/on-device/onnxruntime-web/{name}")
        assert response.data == f"content of {name}".encode()
        assert response.mimetype == kind  # browsers refuse modules of another type
    check_problem(offered.get("/on-device/onnxruntime-web/secret.txt"), 404, "")


def test_the_token_protects_the_models(with_yunet, runtime):
    client = create_app(with_yunet, onnxruntime_web=runtime, token="abc").test_client()
    for path in MODELS:
        assert client.get(path).status_code == 401
        sent = {"Authorization": "Bearer abc"}
        assert client.get(path, headers=sent).status_code == 200
    assert client.get(f"/on-device/onnxruntime-web/{RUNTIME_FILES[0]}").status_code == 200


def test_a_named_folder_must_be_complete(with_yunet, runtime, model_folder):
    haar = Recognizer(model_folder, HaarDetector())
    with pytest.raises(StudyError, match="expected the face detector yunet, found haar"):
        create_app(haar, onnxruntime_web=runtime)
    (runtime / RUNTIME_FILES[1]).unlink()
    with pytest.raises(StudyError, match=f"found no {RUNTIME_FILES[1]}. Install it with `make"):
        create_app(with_yunet, onnxruntime_web=runtime)


def test_the_folder_of_make_is_found(with_yunet, runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    assert find_on_device(with_yunet) is None
    monkeypatch.setattr(on_device, "INSTALLED", runtime.name)
    assert find_on_device(with_yunet).runtime == runtime


def test_make_keeps_the_files_that_are_served(project):
    text = (project / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^RUNTIME := (.+)$", text, re.MULTILINE)[1] == on_device.INSTALLED
    kept = re.search(r"^RUNTIME_FILES := (.+)$", text, re.MULTILINE)[1]
    assert tuple(kept.split()) == RUNTIME_FILES


def test_npm_installs_one_version_from_any_registry(project):
    wanted = json.loads((project / "web" / "package.json").read_text())["dependencies"]
    text = (project / "web" / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]
    assert locked["node_modules/onnxruntime-web"]["version"] == wanted["onnxruntime-web"]
    assert all(each["integrity"] for name, each in locked.items() if name)
    assert "resolved" not in text


# --- the page as a folder ---


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_folder_has_all_that_the_page_names(with_yunet, runtime, tmp_path):
    folder = tmp_path / "site"
    size = export_page(with_yunet, folder, runtime)
    found = contents(folder)
    assert sum(map(len, found.values())) == size
    page = found["index.html"].decode()
    named = set(re.findall(r'(?:src|href|data-example)="([^"#]+)', page))
    assert "static/page.js" in named
    assert named <= set(found)
    imports = r'(?:from|import) "\./([\w/]+\.js)"'
    for name, content in found.items():
        if name.endswith(".js"):
            for imported in re.findall(imports, content.decode()):
                assert f"{name.rpartition('/')[0]}/{imported}" in found
    assert found["on-device/model.onnx"] == with_yunet.content
    assert found["on-device/yunet.onnx"] == with_yunet.detector.content
    assert set(RUNTIME_FILES) == {
        name.rpartition("/")[2] for name in found if "onnxruntime-web/" in name
    }
    assert "script-src 'self' 'wasm-unsafe-eval'" in page.replace("&#39;", "'")
    for text in (page, found["model.html"].decode()):
        assert not re.search(r"This server finds|href=\"docs\"|API", text)


def test_only_such_a_folder_is_replaced(with_yunet, runtime, tmp_path):
    folder = tmp_path / "site"
    export_page(with_yunet, folder, runtime)
    before = contents(folder)
    export_page(with_yunet, folder, runtime)
    assert contents(folder) == before
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="expected nothing, or the page for a static host"):
        export_page(with_yunet, folder, runtime)
    assert contents(folder) == before | {"notes.txt": b"mine"}
    own = tmp_path / "own"
    own.mkdir()
    (own / "index.html").write_text("mine")
    with pytest.raises(StudyError, match="found something else"):
        export_page(with_yunet, own, runtime)
    assert contents(own) == {"index.html": b"mine"}


def test_the_command_writes_the_folder(model_folder, yunet_like, runtime, tmp_path, capsys):
    folder = tmp_path / "site"
    models = ["--model", str(model_folder), "--yunet", str(yunet_like)]
    given = ["--web", str(folder), *models, "--onnxruntime-web", str(runtime)]
    assert main(["export", *given]) == 0
    assert "python -m http.server" in capsys.readouterr().out
    assert (folder / "on-device" / "yunet.onnx").read_bytes() == yunet_like.read_bytes()


@pytest.mark.parametrize(
    "given, expected",
    [
        ([], "expected RUN or --web FOLDER, found neither"),
        (["run", "--web", "site"], "expected RUN or --web FOLDER, found both"),
        (["run", "--yunet", "file"], "expected RUN without --yunet"),
        (["--web", "site", "--int8", "--out", "o"], "expected --web without --out and --int8"),
        (["--web", "site"], "expected the face detector yunet, found haar"),
        (["--web", "site", "--onnxruntime-web", "no"], "no: expected onnxruntime-web, found no "),
    ],
)
def test_the_command_says_what_is_missing(
    given, expected, runtime, tmp_path, monkeypatch, capsys, model_folder
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if given == ["--web", "site"]:
        given = [*given, "--onnxruntime-web", str(runtime)]
    assert main(["export", *given]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
