"""Whatever a file holds and is called, the command, the library and the server say the same of it.

Files here have every name that a file system has, every format that Pillow writes, and are cut off
at every tenth.
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
    return create_app(recognizer, TESTING=True).test_client()


def written(format: str) -> bytes | None:
    """The face in a format, or None where Pillow cannot write it."""
    for mode in ("RGB", "L", "1"):
        file = io.BytesIO()
        try:
            FACE.convert(mode).save(file, format)
        except Exception:  # each of Pillow's writers raises its own
            continue
        if file.getvalue():
            return file.getvalue()
    return None


Image.init()
FILES = {format: content for format in sorted(Image.SAVE) if (content := written(format))}


def verdicts(content: bytes, folder: Path, recognizer, client) -> dict[str, list | None]:
    """The boxes that each way of asking finds, or None where the file is refused."""
    path = folder / "file"
    path.write_bytes(content)
    found: dict[str, list | None] = {}
    out = io.StringIO()
    try:
        predict(recognizer, path, form="json", out=out)
        found["command"] = [face["box"] for face in json.loads(out.getvalue())["faces"]]
    except StudyError:
        found["command"] = None
    for name, given_image in (("path", path), ("bytes", content)):
        try:
            found[name] = [face.box._asdict() for face in recognizer.recognize(given_image)]
        except UnreadableImage:
            found[name] = None
    answer = client.post("/api/v1/predict", data=content, content_type="application/octet-stream")
    assert answer.status_code in (200, 400, 413), answer.text
    found["server"] = (
        [face["box"] for face in answer.json["faces"]] if answer.status_code == 200 else None
    )
    return found


@pytest.mark.parametrize("format", FILES)
def test_a_format_has_one_verdict(format, recognizer, client, tmp_path):
    found = verdicts(FILES[format], tmp_path, recognizer, client)
    assert all(each == found["command"] for each in found.values()), found
    if format in FORMATS and format != "ICO":  # which is scaled down to 128 pixels
        assert found["command"] and len(found["command"]) == 1


@pytest.mark.parametrize("format", sorted(set(FILES) & set(FORMATS)))
def test_a_file_that_was_cut_off_has_one_verdict_and_never_another_picture(
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


def test_a_photo_of_a_phone_that_was_cut_off_is_refused(recognizer, client, tmp_path):
    """HEIC, whose decoder would fill in grey. The file is `FACE` as pillow-heif 1.8.1 writes it."""
    content = (Path(__file__).with_name("face.heic")).read_bytes()
    assert abs(np.asarray(open_image(content), float) - np.asarray(FACE)).mean() < 12
    # Phones append a clip, or notes of their own.
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


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    for package in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(UnreadableImage, match="found HEIC, which needs the package pi-heif"):
        open_image(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(99))


# --- names ---

# What a name cannot have on any file system of Unix is / and NUL.
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
    except OSError:  # this file system is stricter
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
            # JSON keeps every name as it is.
            files = [json.loads(line)["file"] for line in done.stdout.splitlines()]
            assert {os.fsencode(file) for file in files} == {
                os.fsencode(tmp_path) + b"/" + name for name in names
            }


def test_a_closed_pipe_ends_in_silence(model_folder, tmp_path):
    for number in range(40):
        FACE.save(tmp_path / f"{number}.jpg")
    command = [*FER_STUDY, "predict", str(tmp_path), "--json", "--model", str(model_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert b"Error" not in said and b"Broken pipe" not in said, said
    assert process.returncode not in (0, 1, 2)
