"""`fer-study predict`: photos, folders and videos, in each form."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from fer_utils.cli import main
from fer_utils.cli.predict import predict
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.recognizer import Recognizer

ASTRONAUT = data.astronaut()


@pytest.fixture(scope="module")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(ASTRONAUT).save(folder / "face.jpg")
    (folder / "deeper").mkdir()
    Image.new("RGB", (60, 60), "teal").save(folder / "deeper" / "none.png")
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (256, 256))
    for _ in range(4):
        writer.write(np.ascontiguousarray(ASTRONAUT[:256, 100:356, ::-1]))
    writer.release()
    return path


def printed(recognizer, path, **options):
    out = io.StringIO()
    predict(recognizer, path, out=out, **options)
    return out.getvalue()


def test_a_photo_in_each_form(recognizer, photos):
    file = photos / "face.jpg"
    face = recognizer.recognize(file)[0].as_dict()
    assert json.loads(printed(recognizer, file, form="json")) == {
        "width": 512,
        "height": 512,
        "detector": "haar",
        "faces": [face],
    }
    assert json.loads(printed(recognizer, file, form="json")) == recognizer.answer(file)
    assert printed(recognizer, file).startswith(f"{file}: {face['emotion']} ")
    (row,) = csv.DictReader(io.StringIO(printed(recognizer, file, form="csv")))
    assert (row["file"], int(row["x"]), row["emotion"]) == (
        str(file),
        face["box"]["x"],
        face["emotion"],
    )
    assert {emotion: float(row[emotion]) for emotion in EMOTIONS} == face["probabilities"]


def test_a_folder_in_each_form(recognizer, photos):
    names = [str(photos / "deeper" / "none.png"), str(photos / "face.jpg")]
    lines = [json.loads(line) for line in printed(recognizer, photos, form="json").splitlines()]
    assert [(line["file"], len(line["faces"])) for line in lines] == [(names[0], 0), (names[1], 1)]
    for line in lines:
        assert line == {"file": line["file"]} | recognizer.answer(line["file"])
    rows = list(csv.DictReader(io.StringIO(printed(recognizer, photos, form="csv"))))
    assert [row["file"] for row in rows] == names[1:]
    assert printed(recognizer, photos).splitlines()[0] == f"{names[0]}: no face found"


def test_a_video_in_each_form(recognizer, video):
    lines = [json.loads(line) for line in printed(recognizer, video, form="json").splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    rows = list(csv.DictReader(io.StringIO(printed(recognizer, video, form="csv"))))
    assert [int(row["frame"]) for row in rows] == [0, 1, 2, 3]
    assert "face 1: " in printed(recognizer, video)


def test_annotated_copies_are_written(recognizer, photos, video, tmp_path):
    printed(recognizer, photos / "face.jpg", annotated=tmp_path / "one.png")
    assert Image.open(tmp_path / "one.png").width >= 512
    printed(recognizer, photos, annotated=tmp_path / "all")
    assert {
        path.relative_to(tmp_path / "all").as_posix() for path in (tmp_path / "all").rglob("*.png")
    } == {
        "face.jpg.png",
        "deeper/none.png.png",
    }
    printed(recognizer, video, annotated=tmp_path / "clip.mp4")
    assert cv2.VideoCapture(str(tmp_path / "clip.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 4
    with pytest.raises(StudyError, match=r"one\.what"):
        printed(recognizer, photos / "face.jpg", annotated=tmp_path / "one.what")


def test_a_path_that_is_neither_photo_nor_video_is_named(recognizer, tmp_path):
    with pytest.raises(StudyError, match="found nothing there"):
        predict(recognizer, tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no picture at all")
    with pytest.raises(StudyError, match=r"notes\.txt: expected an image .* found 17 bytes"):
        predict(recognizer, tmp_path / "notes.txt")


def test_several_paths_are_classified_in_order(recognizer, photos, tmp_path):
    paths = [photos / "face.jpg", photos / "deeper"]
    out = io.StringIO()
    predict(recognizer, *paths, form="json", annotated=tmp_path / "drawn", out=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["file"] for line in lines] == [str(paths[0]), str(paths[1] / "none.png")]
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        "face.jpg.png",
        "none.png.png",
    ]


def test_annotated_copies_of_the_same_name_are_an_error(recognizer, photos, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "face.jpg").write_bytes((photos / "face.jpg").read_bytes())
    paths = [photos / "face.jpg", tmp_path / "other" / "face.jpg"]
    with pytest.raises(StudyError, match="--annotate: expected photos of different names, found"):
        predict(recognizer, *paths, annotated=tmp_path / "drawn")
    assert not (tmp_path / "drawn").exists()


def test_a_video_among_several_paths_is_named(recognizer, photos, video):
    with pytest.raises(StudyError, match=r"clip.avi: expected photos and folders .* found a video"):
        predict(recognizer, photos / "face.jpg", video)


def test_annotated_photos_are_not_classified_again(recognizer, photos, tmp_path, caplog):
    """Their folder may be inside the folder of the photos."""
    (tmp_path / "face.jpg").write_bytes((photos / "face.jpg").read_bytes())
    for _ in range(2):
        assert printed(recognizer, tmp_path, annotated=tmp_path / "drawn").count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*.png")] == ["face.jpg.png"]
    assert "passed over 1 photos that fer-study annotated" in caplog.text
    with pytest.raises(StudyError, match="expected a folder of photos, found 1 other files"):
        printed(recognizer, tmp_path / "drawn")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_an_annotated_photo_is_replaced_and_others_are_kept(recognizer, photos, tmp_path, suffix):
    ours, theirs = tmp_path / f"ours{suffix}", tmp_path / f"theirs{suffix}"
    printed(recognizer, photos / "face.jpg", annotated=ours)
    printed(recognizer, photos / "face.jpg", annotated=ours)
    Image.fromarray(ASTRONAUT).save(theirs)
    before = theirs.read_bytes()
    with pytest.raises(
        StudyError, match="expected nothing, or an annotated photo made by fer-study"
    ):
        printed(recognizer, photos / "face.jpg", annotated=theirs)
    assert theirs.read_bytes() == before


def test_a_name_too_long_for_the_copy_does_not_stop_a_folder(recognizer, photos, tmp_path, caplog):
    long = tmp_path / "in" / f"{'a' * 250}.jpg"
    long.parent.mkdir()
    for path in (long, long.parent / "b.jpg"):
        path.write_bytes((photos / "face.jpg").read_bytes())
    assert printed(recognizer, long.parent, annotated=tmp_path / "out").count("\n") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg.png"]
    assert "not annotated" in caplog.text


def test_the_command_prints(photos, model_folder, capsys):
    assert main(["predict", str(photos / "face.jpg"), "--model", str(model_folder), "--csv"]) == 0
    assert capsys.readouterr().out.startswith("file,x,y,width,height,score,emotion,uncertain,angry")
    assert main(["predict", str(photos), "--detector", "haar", "--yunet", "x.onnx"]) == 2
    assert "no model file" in capsys.readouterr().err
