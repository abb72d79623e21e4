"""The sample: reproducible, in FER-2013's proportions, with exactly the planted faults."""

import hashlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fer_utils.data.faces import Faces, load_faces
from fer_utils.data.sample import MINIMUM, draw_sample
from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, PUBLIC, TRAINING, USAGES
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def faces() -> Faces:
    return draw_sample(500, seed=5)


def digest(faces: Faces) -> str:
    return hashlib.sha256(faces.images.tobytes() + faces.truth.to_csv().encode()).hexdigest()


def test_the_seed_determines_the_bytes():
    code = (
        "import hashlib; from fer_utils.data.sample import draw_sample; f = draw_sample(60, 9);"
        "print(hashlib.sha256(f.images.tobytes() + f.truth.to_csv().encode()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = draw_sample(60, 9)
    assert other.stdout.strip() == digest(here)
    another = draw_sample(60, 10)
    assert not (here.images == another.images).all(axis=(1, 2)).any()


def test_proportions_are_those_of_fer2013(faces):
    counts = faces.counts()
    total = sum(map(sum, CANONICAL_COUNTS.values()))
    for usage in USAGES:
        for emotion, there in zip(EMOTIONS, CANONICAL_COUNTS[usage], strict=True):
            assert abs(counts.loc[usage, emotion] - 500 * there / total) <= 2
    assert counts.loc["all", "all"] == 500
    assert faces.source == "sample" and faces.drawn and not faces.canonical
    assert faces.row.tolist() == list(range(500))


@pytest.mark.parametrize("count", [MINIMUM, 80, 210])
def test_small_samples_have_every_split(count):
    faces = draw_sample(count)
    assert len(faces) == count
    counts = faces.counts().loc[list(USAGES), list(EMOTIONS)]
    assert (counts.sum(axis=1) > 0).all()
    if count >= 80:
        assert (counts > 0).all(axis=None)


def test_exact_duplicates_are_the_planted_ones_and_no_others(faces):
    truth = faces.truth
    duplicates = truth[truth["of"].notna()]
    assert set(duplicates["fault"]) == {"duplicate", "leak"}
    original = dict(zip(duplicates["row"], duplicates["of"], strict=True))
    rows_of = {}
    for row, image in enumerate(faces.images):
        rows_of.setdefault(image.tobytes(), []).append(row)
    for rows in rows_of.values():
        assert len({original.get(row, row) for row in rows}) == 1
    for row, first in original.items():
        assert (faces.images[row] == faces.images[first]).all()
        assert first not in original and faces.usage[first] == TRAINING


def test_the_truth_table_describes_each_fault(faces):
    truth = faces.truth
    assert truth["row"].is_unique
    for fault in truth.itertuples():
        label = EMOTIONS[faces.emotion[fault.row]]
        in_training = faces.usage[fault.row] == TRAINING
        if fault.fault == "duplicate":
            assert in_training
        elif fault.fault == "leak":
            assert not in_training
        elif fault.fault == "wrong_label":
            assert fault.true_emotion in EMOTIONS and fault.true_emotion != label
        else:
            assert fault.fault == "not_a_face" and pd.isna(fault.true_emotion)
    duplicates = truth[truth["of"].notna()]
    labels = np.array(EMOTIONS)[faces.emotion]
    assert (labels[duplicates["of"].to_numpy(int)] == duplicates["true_emotion"]).all()
    conflicting = labels[duplicates["row"]] != duplicates["true_emotion"]
    assert 0 < conflicting.mean() < 0.4


def test_faults_have_their_stated_shares(faces):
    truth, size = faces.truth, {usage: int((faces.usage == usage).sum()) for usage in USAGES}
    public = truth[faces.usage[truth["row"]] == PUBLIC]["fault"].value_counts()
    training = truth[faces.usage[truth["row"]] == TRAINING]["fault"].value_counts()
    assert training["duplicate"] / size[TRAINING] == pytest.approx(0.05, abs=0.01)
    assert training["wrong_label"] / size[TRAINING] == pytest.approx(0.05, abs=0.01)
    assert training["not_a_face"] / size[TRAINING] == pytest.approx(0.01, abs=0.005)
    assert public["leak"] / size[PUBLIC] == pytest.approx(0.08, abs=0.02)


def test_the_truth_table_is_saved_and_loaded(faces, tmp_path):
    faces.save(tmp_path / "prepared")
    again = load_faces(tmp_path / "prepared")
    assert (again.images == faces.images).all()
    assert again.truth.columns.tolist() == faces.truth.columns.tolist()
    assert again.truth["of"].fillna(-1).tolist() == faces.truth["of"].fillna(-1).tolist()
    assert (
        again.truth["true_emotion"].fillna("").tolist()
        == faces.truth["true_emotion"].fillna("").tolist()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_sample(MINIMUM - 1), "count"),
        (lambda: draw_sample(99.5), "count"),
        (lambda: draw_sample(100, seed=-1), "seed"),
    ],
)
def test_invalid_arguments_are_errors(call, message):
    with pytest.raises(StudyError, match=message):
        call()
