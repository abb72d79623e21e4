"""The choice of a source, and its options."""

import gzip

import numpy as np
import pytest
from PIL import Image

from fer_utils.data.faces import Source
from fer_utils.data.sources import SOURCES, find_source, read, source_of
from fer_utils.errors import StudyError


def test_each_module_that_is_no_helper_is_a_source():
    assert {"csv", "folder", "kaggle", "sample"} <= set(SOURCES)
    for name in SOURCES:
        assert isinstance(find_source(name), Source)


def test_an_unknown_source_is_an_error():
    with pytest.raises(StudyError, match=f"expected one of {', '.join(SOURCES)}, found 'CSV'"):
        read("CSV")


def test_the_sample_is_drawn():
    faces = read("sample", count=70, seed=3)
    assert faces.drawn
    assert len(faces) == 70
    assert not any("FER-2013 has" in notice for notice in faces.notices)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("csv", {}, "expected a path, found none"),
        ("folder", {}, "expected a path, found none"),
        ("sample", {"path": "fer2013.csv"}, "no path, found fer2013.csv.* csv or --source folder"),
        ("kaggle", {"path": "fer2013.csv"}, "expected no path, found fer2013.csv"),
        ("sample", {"votes": "v.csv"}, "expected no votes, because drawn faces .* found v.csv"),
        ("folder", {"path": "x", "votes": "v.csv"}, "expected no votes, because images"),
        ("csv", {"path": "x.csv", "resize": True}, "no --resize, .* --source folder only"),
        ("kaggle", {"test_usage": "split"}, "no --test-usage, .* --source folder only"),
    ],
)
def test_options_that_do_not_apply_are_errors(source, options, message):
    with pytest.raises(StudyError, match=message) as caught:
        read(source, **options)
    assert str(caught.value).startswith(f"source {source!r}")


@pytest.fixture
def table(tmp_path):
    """Kaggle's CSV with two faces."""
    path = tmp_path / "table" / "fer2013.csv.gz"
    path.parent.mkdir()
    rows = [f"{emotion},{' '.join(['7'] * 2304)},Training\n" for emotion in (0, 3)]
    path.write_bytes(gzip.compress(("emotion,pixels,Usage\n" + "".join(rows)).encode()))
    return path


@pytest.fixture
def images(tmp_path):
    """A folder with one image for training and two without a split."""
    folder = tmp_path / "images"
    for name in ("train/sad/a.png", "test/sad/a.png", "test/sad/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (48, 48), 9).save(folder / name)
    return folder


def test_the_source_of_a_path(table, images, tmp_path):
    assert source_of(table) == source_of(table.parent) == source_of(str(table)) == "csv"
    assert source_of(images) == source_of(str(images)) == "folder"
    (tmp_path / "empty").mkdir()
    assert source_of(tmp_path / "empty") == "csv"
    for missing in (tmp_path / "missing", tmp_path / ("a" * 5000), table / "below"):
        with pytest.raises(StudyError, match=r"expected Kaggle's file, .* found nothing there"):
            source_of(missing)


def test_without_a_source_the_path_decides(table, images):
    assert read(None, count=70).drawn
    assert (read(None, table).source, len(read(path=table.parent))) == ("csv", 2)
    faces = read(None, images, test_usage="split")
    assert faces.source == "folder"
    np.testing.assert_array_equal(faces.images, np.full((3, 48, 48), 9))
    with pytest.raises(StudyError, match="source 'csv': expected no --test-usage"):
        read(None, table, test_usage="split")
    with pytest.raises(StudyError, match="nothing there"):
        read(None, table / "below")
