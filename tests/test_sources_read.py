"""Which source is read, and with which options."""

import pytest

from fer_utils.errors import StudyError
from fer_utils.sources import SOURCES, read


def test_names_the_sources_it_knows():
    assert SOURCES == ("sample", "csv", "folder", "kaggle")
    with pytest.raises(StudyError, match="expected one of sample, csv, folder, kaggle, found 'CSV'"):
        read("CSV")


def test_the_sample_is_drawn():
    faces = read("sample", count=70, seed=3)
    assert faces.drawn
    assert len(faces) == 70
    assert not any("FER-2013 has" in notice for notice in faces.notices)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("csv", {}, "expected a path, found none"),
        ("folder", {}, "expected a path, found none"),
        ("sample", {"path": "fer2013.csv"}, "reads no path, found fer2013.csv"),
        ("kaggle", {"path": "fer2013.csv"}, "reads no path"),
        ("sample", {"votes": "votes.csv"}, "takes no votes, because drawn faces have no taggers"),
        ("folder", {"path": "x", "votes": "votes.csv"}, "takes no votes, because images in folders"),
        ("csv", {"path": "x.csv", "resize": True}, "--resize applies to --source folder only"),
        ("kaggle", {"test_usage": "split"}, "--test-usage applies to --source folder only"),
    ],
)
def test_refuses_options_that_do_not_apply(source, options, said):
    with pytest.raises(StudyError, match=said) as caught:
        read(source, **options)
    assert str(caught.value).startswith(f"source {source!r}")
