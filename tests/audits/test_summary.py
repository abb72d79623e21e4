"""The summary of all audits, compared with the single audits, and its numbers on FER-2013."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fer_utils.audits import duplicates, near_duplicates, summary
from fer_utils.audits.pictures import NEAR_CONSTANT, contrast, near_constant
from fer_utils.audits.summary import summarise, summary_text
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING


def test_the_summary_has_the_numbers_of_the_audits_as_json(faces):
    found = summarise(faces)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["images"] == sum(found["images_by_usage"].values()) == 210
    assert found["redundant_duplicates"] == duplicates.redundant_duplicates(faces) > 0
    assert found["images_with_duplicates"] == duplicates.copied(faces).sum()
    assert found["conflicting_groups"] == len(
        np.unique(duplicates.duplicate_groups(faces.images)[duplicates.conflicting(faces)])
    )
    assert found["near_constant"] == near_constant(faces).sum()
    pairs = near_duplicates.near_duplicates(faces)
    assert found["near_duplicates"]["pairs"] == len(pairs) and summarise(faces, pairs) == found
    assert summarise(faces, pairs[:1])["near_duplicates"]["pairs"] == 1
    for usage in (PUBLIC, PRIVATE):
        exact, near = (
            duplicates.leaked(faces, usage),
            near_duplicates.near_leaked(faces, usage, pairs),
        )
        assert found["leaked"][usage] == exact.sum() > 0
        assert found["leaked_same_label"][usage] == duplicates.leaked_same_label(faces, usage).sum()
        assert found["near_duplicates"]["leaked"][usage] == near.sum()
        assert found["near_duplicates"]["leaked_more"][usage] == (near & ~exact).sum()
    assert found["votes"] is None
    planted = {row["audit"]: (row["precision"], row["recall"]) for row in found["planted"]}
    assert planted["exact duplicates"] == planted["leaks"] == (1, 1)


def test_faces_without_a_split_truth_or_faults(faces):
    training = replace(faces.of(TRAINING), truth=None)
    found = summarise(training)
    assert found["leaked"] == found["leaked_same_label"] == {PUBLIC: None, PRIVATE: None}
    assert found["planted"] is None
    assert "PublicTest:" not in summary_text(found)
    assert summarise(faces.select(np.arange(0)))["images"] == 0
    none = summarise(faces.select(np.flatnonzero(faces.usage == PUBLIC)))
    assert none["leaked"] == {PUBLIC: None, PRIVATE: None}
    assert next(row for row in none["planted"] if row["audit"] == "leaks")["recall"] is None
    assert "Planted, leaks: precision -, recall - (0 of 0)" in summary_text(none)


def test_votes_are_in_the_summary(faces):
    votes = np.zeros((len(faces), len(CATEGORIES)), np.uint8)
    named = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    votes[
        np.arange(len(faces)), [CATEGORIES.index(named[emotion]) for emotion in faces.emotion]
    ] = 10
    votes[:21] = 0
    votes[:21, CATEGORIES.index("NF")] = 10
    found = summarise(replace(faces, votes=pd.DataFrame(votes, columns=list(CATEGORIES))))
    assert found["votes"] == {"agreement": 0.9, "not_a_face": 21}
    text = summary_text(found)
    assert "FER+ votes" in text and "90.0%" in text and "21 images" in text


def test_the_text_has_the_numbers(faces):
    found = summarise(faces)
    text = summary_text(found)
    assert f"210 images of 'sample': Training {found['images_by_usage'][TRAINING]}" in text
    assert f"Exact duplicates: {found['redundant_duplicates']} images (" in text
    for usage in (PUBLIC, PRIVATE):
        assert f"  {usage}: {found['leaked'][usage]} images (" in text
    assert "Planted, exact duplicates: precision 100.0%, recall 100.0%" in text


@pytest.mark.parametrize(("chance", "significant"), [(1.0, False), (0.02, True)])
def test_the_text_marks_near_duplicates_that_are_expected_by_chance(faces, chance, significant):
    assert 0.02 < summary.MEANINGLESS < 1
    found = summarise(faces)
    found["near_duplicates"]["expected_by_chance_at_most"] = chance
    text = summary_text(found)
    assert ("not significant" in text) is not significant
    assert ("more have a near-duplicate" in text) is significant


# --- FER-2013 ---


@pytest.fixture(scope="module")
def real(real_data):
    """FER-2013, without votes."""
    from fer_utils.data.sources import read

    return read("csv", real_data / "fer2013.csv.gz")


@pytest.fixture(scope="module")
def real_summary(real):
    return summarise(real)


@pytest.mark.slow
def test_numbers_of_fer2013(real_summary):
    found = real_summary
    assert found["images"] == 35887
    assert found["redundant_duplicates"] == 1851
    assert found["leaked"] == {PUBLIC: 280, PRIVATE: 288}
    assert found["leaked_same_label"] == {PUBLIC: 273, PRIVATE: 279}
    assert found["conflicting_groups"] == 57
    assert found["near_constant"] == 13


@pytest.mark.slow
def test_near_duplicates_of_fer2013(real_summary):
    near = real_summary["near_duplicates"]
    # Counts may differ by a few between versions of the libraries.
    assert near["pairs"] == pytest.approx(6328, rel=0.02)
    assert near["expected_by_chance_at_most"] < 0.03
    assert near["leaked_more"] == {
        PUBLIC: pytest.approx(417, abs=12),
        PRIVATE: pytest.approx(411, abs=12),
    }


@pytest.mark.slow
def test_leaks_of_fer2013_are_those_of_a_set(real):
    training = {image.tobytes() for image in real.of(TRAINING).images}
    expected = [image.tobytes() in training for image in real.of(PRIVATE).images]
    assert duplicates.leaked(real, PRIVATE).tolist() == expected
    table = duplicates.duplicates_by_usage(real)
    assert (table.loc[PUBLIC, TRAINING], table.loc[PRIVATE, TRAINING]) == (280, 288)


@pytest.mark.slow
def test_no_image_of_fer2013_is_near_the_threshold_of_near_constant(real):
    deviations = np.sort(contrast(real))
    assert deviations[12] < NEAR_CONSTANT
    assert 3.5 < deviations[13] < 4
