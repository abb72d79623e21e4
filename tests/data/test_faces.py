"""Faces: selection, counts, fingerprint, and files."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from fer_utils import emotions
from fer_utils.data.faces import Faces, load_faces
from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, PRIVATE, PUBLIC, TRAINING, USAGES
from fer_utils.errors import StudyError


def make(n=6, **changes) -> Faces:
    generator = np.random.default_rng(0)
    fields = {
        "images": generator.integers(0, 256, (n, 48, 48), dtype=np.uint8),
        "emotion": np.arange(n, dtype=np.uint8) % 7,
        "usage": np.array(USAGES)[np.arange(n) % 3],
        "row": 10 * np.arange(n, dtype=np.int64),
        "source": "csv",
    }
    return Faces(**fields | changes)


def same(one: Faces, other: Faces) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("images", "emotion", "usage", "row")
    )


# --- emotions ---


def test_emotions_are_in_the_order_of_the_csv():
    assert EMOTIONS == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert USAGES == (TRAINING, PUBLIC, PRIVATE) == ("Training", "PublicTest", "PrivateTest")


def test_canonical_counts_are_the_contests():
    assert {usage: sum(counts) for usage, counts in CANONICAL_COUNTS.items()} == {
        "Training": 28709,
        "PublicTest": 3589,
        "PrivateTest": 3589,
    }


def test_no_other_module_repeats_the_order(project):
    for path in project.glob("fer_utils/**/*.py"):
        if path.name != "emotions.py":
            assert '"sad", "surprise"' not in path.read_text(encoding="utf-8"), path
    assert emotions.EMOTIONS.index("sad") < emotions.EMOTIONS.index("neutral")


# --- arrays ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 48, 48))}, "float64"),
        ({"images": np.zeros((6, 48, 47), np.uint8)}, r"\(6, 48, 47\)"),
        ({"images": np.zeros((6, 48, 48, 1), np.uint8)}, r"\(6, 48, 48, 1\)"),
        ({"emotion": np.zeros(5, np.uint8)}, "'emotion': 5"),
        ({"row": np.zeros(7, np.int64)}, "'row': 7"),
        ({"votes": pd.DataFrame({"happiness": [1]})}, "'votes': 1"),
    ],
)
def test_invalid_arrays_are_errors(changes, message):
    with pytest.raises(StudyError, match=message):
        make(**changes)


# --- selecting ---


@pytest.mark.parametrize(
    "which", [np.array([4, 1]), np.array([False, True, False, False, True, False])]
)
def test_select_selects_all_arrays(which):
    faces = make(votes=pd.DataFrame({"happiness": range(6)}, index=range(20, 26)))
    chosen = faces.select(which)
    indices = which if which.dtype != bool else np.flatnonzero(which)
    assert np.array_equal(chosen.images, faces.images[indices])
    assert chosen.row.tolist() == [10 * i for i in indices]
    assert chosen.emotion.tolist() == indices.tolist()
    assert chosen.usage.tolist() == [USAGES[i % 3] for i in indices]
    assert chosen.votes["happiness"].tolist() == indices.tolist()


def test_of_selects_one_split():
    faces = make()
    assert set(faces.of(PUBLIC).usage) == {PUBLIC} and len(faces.of(PUBLIC)) == 2
    with pytest.raises(StudyError, match="Training, PublicTest, PrivateTest, found 'test'"):
        faces.of("test")
    with pytest.raises(StudyError, match="split PrivateTest, found PublicTest, Training"):
        faces.without_private().of(PRIVATE)


def test_without_private():
    assert set(make().without_private().usage) == {TRAINING, PUBLIC}
    assert len(make().without_private()) == 4


# --- counts and the canonical file ---


def test_counts():
    faces = make(
        7,
        usage=np.array([TRAINING] * 4 + [PRIVATE] * 3),
        emotion=np.array([0, 0, 6, 3, 3, 3, 1], np.uint8),
    )
    counts = faces.counts()
    assert counts.index.tolist() == [*USAGES, "all"] and counts.columns.tolist() == [
        *EMOTIONS,
        "all",
    ]
    assert counts.loc[TRAINING].tolist() == [2, 0, 0, 1, 0, 0, 1, 4]
    assert counts.loc[PUBLIC].tolist() == [0] * 8
    assert counts.loc[PRIVATE].tolist() == [0, 1, 0, 2, 0, 0, 0, 3]
    assert counts.loc["all"].tolist() == [2, 1, 0, 3, 0, 0, 1, 7]


def test_deviations_from_the_canonical_counts(canonical):
    assert canonical.deviations() == [] and canonical.canonical
    assert not dataclasses.replace(canonical, source="sample").canonical
    (missing,) = canonical.without_private().deviations()
    assert missing.startswith("PrivateTest has 0 images") and "3,589" in missing
    (fewer,) = canonical.select(np.arange(1, len(canonical))).deviations()
    assert fewer.endswith("28,709.")
    swapped = canonical.emotion.copy()
    swapped[np.flatnonzero((canonical.usage == PUBLIC) & (swapped == 1))[0]] = 6
    (other,) = dataclasses.replace(canonical, emotion=swapped).deviations()
    assert other.startswith("PublicTest") and "disgust 55 instead of 56" in other
    assert "neutral 608 instead of 607" in other


# --- fingerprint ---


def test_the_fingerprint_depends_on_training_and_publictest_only():
    faces = make()
    assert len(faces.fingerprint) == 64
    assert faces.without_private().fingerprint == faces.fingerprint

    def changed(usage, what):
        index = np.flatnonzero(faces.usage == usage)[-1]
        array = getattr(faces, what).copy()
        array[(index, 47, 47) if what == "images" else index] ^= 1
        return dataclasses.replace(faces, **{what: array}).fingerprint

    for what in ("images", "emotion"):
        assert changed(PRIVATE, what) == faces.fingerprint
        others = {changed(TRAINING, what), changed(PUBLIC, what)}
        assert len(others) == 2 and faces.fingerprint not in others


def test_the_fingerprint_depends_on_split_and_on_order_within_a_split():
    faces = make()
    assert faces.select(np.array([3, 1, 2, 0, 4, 5])).fingerprint != faces.fingerprint
    assert faces.select(np.array([1, 0, 2, 4, 3, 5])).fingerprint == faces.fingerprint
    moved = dataclasses.replace(faces, usage=np.where(faces.usage == PUBLIC, TRAINING, faces.usage))
    assert moved.fingerprint != faces.fingerprint


# --- saving and loading ---


def test_round_trip(tmp_path):
    faces = make(
        notices=("One.", "Two."),
        votes=pd.DataFrame({"happiness": range(6)}),
        truth=pd.DataFrame({"row": [10], "fault": ["leak"]}),
    )
    faces.save(tmp_path / "prepared")
    loaded = load_faces(tmp_path / "prepared")
    assert same(loaded, faces)
    assert loaded.emotion.dtype == np.uint8 and loaded.row.dtype == np.int64
    assert isinstance(loaded.images, np.memmap), "read into memory"
    assert (loaded.source, loaded.notices) == ("csv", ("One.", "Two."))
    pd.testing.assert_frame_equal(loaded.votes, faces.votes)
    pd.testing.assert_frame_equal(loaded.truth, faces.truth)
    assert loaded.fingerprint == faces.fingerprint


def test_saving_replaces_prepared_faces_completely(tmp_path):
    make(votes=pd.DataFrame({"happiness": range(6)})).save(tmp_path / "prepared")
    make(9).save(tmp_path / "prepared")
    loaded = load_faces(tmp_path / "prepared")
    assert len(loaded) == 9 and loaded.votes is None


def test_saving_never_replaces_other_files(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    (tmp_path / "file").touch()
    for taken in ("photos", "file"):
        with pytest.raises(StudyError, match=f"{taken}.*expected nothing, or prepared faces"):
            make().save(tmp_path / taken)
    assert (tmp_path / "photos" / "mine.jpg").exists() and (tmp_path / "file").is_file()
    (tmp_path / "empty").mkdir()
    make().save(tmp_path / "empty")
    assert len(load_faces(tmp_path / "empty")) == 6


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(
        StudyError, match=r"nowhere: expected prepared faces .* `fer-study prepare`"
    ):
        load_faces(tmp_path / "nowhere")


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", ["images.npy", "faces.csv", "about.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_an_incomplete_folder_is_an_error(tmp_path, name, damage):
    make(600, emotion=np.zeros(600, np.uint8)).save(tmp_path / "prepared")
    path = tmp_path / "prepared" / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(whole[: len(whole) // 2 if damage == "half" else 0])
    with pytest.raises(StudyError, match="prepared: expected prepared faces"):
        load_faces(tmp_path / "prepared")


@pytest.mark.parametrize("missing", ["row", "usage", "emotion"])
def test_a_missing_column_is_an_error(tmp_path, missing):
    make().save(tmp_path / "prepared")
    table = pd.read_csv(tmp_path / "prepared" / "faces.csv")
    table.drop(columns=missing).to_csv(tmp_path / "prepared" / "faces.csv", index=False)
    with pytest.raises(StudyError, match=f"KeyError: '{missing}'"):
        load_faces(tmp_path / "prepared")


def test_about_json_is_complete(tmp_path):
    make().save(tmp_path / "prepared")
    about = json.loads((tmp_path / "prepared" / "about.json").read_text())
    assert about == {"source": "csv", "notices": [], "images": 6}
