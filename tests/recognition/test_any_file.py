"""The command, the library and the server read each file alike.

The files have any name that a file system allows and any format that Pillow writes, and they are
truncated at every tenth.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from fer_utils.cli.predict import predict
from fer_utils.errors import StudyError
from fer_utils.recognition.images import FORMATS, UnreadableImage, open_image
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving.app import create_app

FACE = Image.fromarray(data.astronaut()[:256, 96:352])
FER_STUDY = [sys.executable, "-m", "fer_utils.cli"]


@pytest.fixture(scope="module")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture(scope="module")
def client(recognizer):
    return create_app(recognizer).test_client()


def written(format: str) -> bytes | None:
    """Return the face in this format, or None if Pillow cannot write it."""
    for mode in ("RGB", "L", "1"):
        file = io.BytesIO()
        try:
            FACE.convert(mode).save(file, format)
        except Exception:  # Pillow's writers raise many kinds
            continue
        if file.getvalue():
            return file.getvalue()
    return None


Image.init()
FILES = {format: content for format in sorted(Image.SAVE) if (content := written(format))}


def verdicts(content: bytes, folder: Path, recognizer, client) -> dict[str, list | None]:
    """Return the boxes from each interface, or None if the interface refuses the file."""
    path = folder / "file"
    path.write_bytes(content)
    found: dict[str, list | None] = {}
    out = io.StringIO()
    try:
        predict(recognizer, path, form="json", out=out)
        found["command"] = [face["box"] for face in json.loads(out.getvalue())["faces"]]
    except StudyError:
        found["command"] = None
    for name, image in (("path", path), ("bytes", content)):
        try:
            found[name] = [face.box._asdict() for face in recognizer.recognize(image)]
        except UnreadableImage:
            found[name] = None
    response = client.post("/api/v1/predict", data=content, content_type="application/octet-stream")
    assert response.status_code in (200, 400, 413), response.text
    found["server"] = None
    if response.status_code == 200:
        found["server"] = [face["box"] for face in response.json["images"][0]["faces"]]
    return found


@pytest.mark.parametrize("format", FILES)
def test_a_format_has_one_verdict(format, recognizer, client, tmp_path):
    found = verdicts(FILES[format], tmp_path, recognizer, client)
    assert all(each == found["command"] for each in found.values()), found
    if format in FORMATS and format != "ICO":  # ICO is scaled down to 128 pixels
        assert found["command"] and len(found["command"]) == 1


@pytest.mark.parametrize("format", sorted(set(FILES) & set(FORMATS)))
def test_a_truncated_file_has_one_verdict_and_never_another_picture(
    format, recognizer, client, tmp_path
):
    whole = np.asarray(open_image(FILES[format]))
    for tenth in range(10):
        content = FILES[format][: len(FILES[format]) * tenth // 10]
        if not content:
            continue
        found = verdicts(content, tmp_path, recognizer, client)
        assert all(each == found["command"] for each in found.values()), (tenth, found)
        if found["command"] is not None:
            assert np.array_equal(np.asarray(open_image(content)), whole), (
                f"{tenth} tenths: another picture"
            )


def test_a_truncated_photo_of_a_phone_is_refused(recognizer, client, tmp_path):
    """The decoder of HEIC would fill in grey. The file is `FACE`, written by pillow-heif 1.8.1."""
    content = (Path(__file__).with_name("face.heic")).read_bytes()
    assert abs(np.asarray(open_image(content), float) - np.asarray(FACE)).mean() < 12
    # Phones append clips or notes.
    assert open_image(content + b"SEFT and more").size == FACE.size
    assert len(verdicts(content, tmp_path, recognizer, client)["command"] or []) == 1
    for tenth in range(1, 10):
        cut = verdicts(content[: len(content) * tenth // 10], tmp_path, recognizer, client)
        assert set(map(str, cut.values())) == {"None"}, (tenth, cut)


def test_other_kinds_of_files_are_refused_by_name():
    for content, kind in (
        (b"%PDF-1.7 and so on", "a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xff\x0a" + bytes(40), "a JPEG XL image"),
        (b"ID3" + bytes(40), "a sound file"),
    ):
        with pytest.raises(UnreadableImage, match=f"found {kind}"):
            open_image(content)


def test_the_error_for_heic_names_the_missing_package(monkeypatch):
    for package in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(UnreadableImage, match="found HEIC, which needs the package pi-heif"):
        open_image(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(99))


# --- names ---

# The only bytes that no Unix file system allows in a name are / and NUL.
NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)
WORDS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40
).map(str.encode)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=NAMES | WORDS)
def test_a_photo_is_read_and_drawn_under_any_name(name, recognizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    path = folder / (os.fsdecode(name) + ".jpg")
    try:
        FACE.save(path, "JPEG")
    except OSError:  # this file system allows fewer names
        return
    for form in ("text", "json", "csv"):
        predict(recognizer, path, form=form, out=io.StringIO())
    predict(recognizer, folder, annotated=folder / os.fsdecode(name), out=io.StringIO())
    assert (folder / os.fsdecode(name) / f"{path.name}.png").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_folder_is_printed_whole_on_any_terminal(encoding, model_folder, tmp_path):
    names = [
        b"caf\xe9.jpg",
        "Grüße 😀.jpg".encode(),
        b"plain.jpg",
        "日本.jpg".encode(),
        b"new\nline.jpg",
    ]
    for name in names:
        FACE.save(tmp_path / os.fsdecode(name), "JPEG")
    for form in ((), ("--json",), ("--csv",)):
        done = subprocess.run(
            [*FER_STUDY, "predict", str(tmp_path), "--model", str(model_folder), *form],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(b".jpg") == len(names), form
        if form == ("--json",):
            # JSON preserves every name.
            files = [json.loads(line)["file"] for line in done.stdout.splitlines()]
            assert {os.fsencode(file) for file in files} == {
                os.fsencode(tmp_path) + b"/" + name for name in names
            }


def test_a_closed_pipe_ends_the_command_without_a_message(model_folder, tmp_path):
    for number in range(40):
        FACE.save(tmp_path / f"{number}.jpg")
    command = [*FER_STUDY, "predict", str(tmp_path), "--json", "--model", str(model_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        messages = process.stderr.read()
    assert b"Error" not in messages and b"Broken pipe" not in messages, messages
    assert process.returncode not in (0, 1, 2)
