"""The example for very many photos: its list, its plan and its parts, without a cluster."""

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.recognizer import Recognizer

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'dask[distributed]'")

SETTINGS = {"per_part": 2, "detector": "haar", "model": "tiny network"}


@pytest.fixture(scope="module")
def example(project):
    path = project / "examples" / "dask_photos.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recognizer(model_folder):
    return Recognizer(model_folder, HaarDetector())


@pytest.fixture
def photos(tmp_path):
    """Five photos in a folder: with a face, without, damaged, empty, and missing."""
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [folder / f"{name}.jpg" for name in ("face", "none", "damaged", "empty", "missing")]
    Image.fromarray(data.astronaut()).save(names[0])
    Image.new("RGB", (60, 60), "teal").save(names[1])
    names[2].write_bytes(names[0].read_bytes()[:5000])
    names[3].touch()
    return [str(name) for name in names]


def test_each_photo_has_one_line_readable_or_not(example, photos, recognizer, tmp_path):
    parts = example.planned(tmp_path / "out", photos, SETTINGS)
    counts = [example.write_part(part, recognizer) for part in parts]
    assert [count["photos"] for count in counts] == [2, 2, 1]
    lines = [line for name, _ in parts for line in Path(name).read_text("utf-8").splitlines()]
    rows = [json.loads(line) for line in lines]
    assert [row["file"] for row in rows] == photos
    assert rows[0] == {"file": photos[0]} | recognizer.answer(photos[0])
    assert len(rows[0]["faces"]) == 1
    assert rows[1]["faces"] == []
    assert [("error" in row, "faces" in row) for row in rows[2:]] == [(True, False)] * 3
    assert {name: sum(count[name] for count in counts) for name in counts[0]} == {
        "photos": 5,
        "faces": 1,
        "unreadable": 3,
    }


def test_a_finished_part_is_not_done_again(example, photos, recognizer, tmp_path):
    part = example.planned(tmp_path / "out", photos, SETTINGS)[0]
    first = example.write_part(part, recognizer)
    assert example.write_part(part, None) == first  # without a recogniser it could do nothing


def test_a_part_that_fails_is_not_there(example, photos, tmp_path):
    class Failing:
        def answer(self, photo):
            if photo == photos[1]:
                raise MemoryError
            return {"faces": []}

    part = example.planned(tmp_path / "out", photos, SETTINGS)[0]
    with pytest.raises(MemoryError):
        example.write_part(part, Failing())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.json"]


def test_the_plan_of_the_first_start_stays(example, photos, tmp_path):
    out = tmp_path / "out"
    parts = example.planned(out, photos, SETTINGS)
    assert example.planned(out, photos, SETTINGS) == parts
    assert example.planned(out, None, SETTINGS) == parts
    with pytest.raises(StudyError, match=r"the photos of the first start \(5\), found other ones"):
        example.planned(out, photos[1:], SETTINGS)
    with pytest.raises(StudyError, match="expected the settings of the first start"):
        example.planned(out, photos, SETTINGS | {"per_part": 3})


def test_another_folder_is_not_written_to(example, photos, tmp_path):
    with pytest.raises(StudyError, match=r"expected an empty folder or one with plan\.json"):
        example.planned(tmp_path, photos, SETTINGS)
    with pytest.raises(StudyError, match="expected a plan to go on with, found none"):
        example.planned(tmp_path / "none", None, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_photos_come_from_a_folder_or_a_list(example, photos, tmp_path):
    there = sorted(photos[:4])
    assert example.listed(tmp_path / "photos") == there
    names = tmp_path / "names.txt"
    # A name that is no UTF-8, and one with a sign at which some readers break lines.
    names.write_bytes(b"\n".join([b"/a/caf\xe9.jpg", "/a/\u2028.jpg".encode(), b""]))
    assert example.listed(names) == ["/a/caf\udce9.jpg", "/a/\u2028.jpg"]
    part = example.planned(tmp_path / "out", example.listed(names), SETTINGS)[0]
    assert example.planned(tmp_path / "out", None, SETTINGS)[0] == part


@pytest.mark.parametrize("content", ["", "\n\n", "a.jpg\nb.jpg\na.jpg\n"])
def test_a_list_that_cannot_be_accounted_for_is_refused(example, tmp_path, content):
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(StudyError, match="expected the path of a photo on each line, each once"):
        example.listed(tmp_path / "names.txt")
    with pytest.raises(StudyError, match="expected a folder of photos or a list of them"):
        example.listed(tmp_path / "none.txt")
