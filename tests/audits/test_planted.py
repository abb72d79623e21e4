"""Scores of audits on planted faults, compared with the truth table and with scikit-learn."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score

from fer_utils.audits.planted import (
    FAULTS,
    audit_flags,
    planted,
    planted_finding,
    planted_table,
    score,
)
from fer_utils.data.sample import draw_sample
from fer_utils.emotions import EMOTIONS, PUBLIC, TRAINING
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def drawn():
    return draw_sample(400, seed=4)


def test_planted_faults_are_those_of_the_truth_table(drawn):
    truth = drawn.truth
    copies = truth.dropna(subset="of").astype({"of": int})
    copied = set(np.flatnonzero(planted(drawn, "copy")))
    assert copied == {*copies["row"], *copies["of"]}
    for fault in ("leak", "not_a_face"):
        rows = sorted(truth.loc[truth["fault"] == fault, "row"])
        assert np.flatnonzero(planted(drawn, fault)).tolist() == rows
    unlike = copies[drawn.emotion[copies["row"]] != drawn.emotion[copies["of"]]]
    expected = {*unlike["row"], *unlike["of"]}
    conflict = set(np.flatnonzero(planted(drawn, "conflict")))
    assert expected <= conflict <= copied
    # The others are duplicates of the same originals, with their original's label.
    original = copies.set_index("row")["of"]
    assert set(original[list(conflict - expected)]) <= set(unlike["of"])
    shown = truth.dropna(subset="true_emotion").set_index("row")["true_emotion"]
    wrong = [row for row, emotion in shown.items() if emotion != EMOTIONS[drawn.emotion[row]]]
    assert np.flatnonzero(planted(drawn, "wrong_label")).tolist() == wrong
    assert all(planted(drawn, fault).any() for fault in FAULTS)


def test_duplicates_count_only_if_their_picture_is_selected(drawn):
    part = drawn.select(np.flatnonzero(drawn.usage == PUBLIC)[::-1])
    assert not planted(part, "leak").any()
    picture = drawn.truth.set_index("row")["of"].reindex(part.row).dropna()
    assert planted(part, "copy").sum() == picture.duplicated(keep=False).sum()
    order = np.random.default_rng(0).permutation(len(drawn))
    for fault in FAULTS:
        assert planted(drawn.select(order), fault).tolist() == planted(drawn, fault)[order].tolist()


def test_exact_duplicates_and_leaks_are_all_found(drawn):
    for faces in (
        drawn,
        drawn.select(drawn.usage != PUBLIC),
        drawn.select(drawn.usage == TRAINING),
    ):
        table = planted_table(faces).set_index("audit")
        exact = table.loc[["exact duplicates", "duplicates with conflicting labels"]]
        assert (exact["planted"] > 0).all() and (exact[["precision", "recall"]] == 1).all(axis=None)
        leaks = table.loc["leaks"]
        assert leaks["found"] == leaks["right"] == leaks["planted"]
        assert (leaks["planted"] > 0) == (faces.usage != TRAINING).any()
        assert table.loc["near-constant", "right"] == table.loc["near-constant", "found"]


def test_precision_and_recall_are_scikit_learn_s():
    generator = np.random.default_rng(0)
    found, there = generator.random(200) < 0.3, generator.random(200) < 0.2
    scored = score(found, there)
    assert scored["precision"] == precision_score(there, found)
    assert scored["recall"] == recall_score(there, found)
    assert (scored["planted"], scored["found"], scored["right"]) == (
        there.sum(),
        found.sum(),
        (found & there).sum(),
    )
    nothing = np.zeros(200, bool)
    assert np.isnan(score(nothing, there)["precision"]) and score(nothing, there)["recall"] == 0
    assert np.isnan(score(found, nothing)["recall"]) and score(found, nothing)["precision"] == 0


def test_an_audit_with_misses_and_false_alarms(drawn):
    wrong = np.flatnonzero(planted(drawn, "wrong_label"))
    found = np.zeros(len(drawn), bool)
    found[wrong[: len(wrong) // 2]] = True
    found[np.flatnonzero(~planted(drawn, "wrong_label"))[:3]] = True
    table = planted_table(drawn, {"guess": ("wrong_label", found)})
    row = table.iloc[0]
    assert list(table) == ["audit", "fault", "planted", "found", "right", "precision", "recall"]
    assert row["precision"] == (len(wrong) // 2) / (len(wrong) // 2 + 3)
    assert row["recall"] == (len(wrong) // 2) / len(wrong)
    assert f"guess found {len(wrong) // 2} of {len(wrong)} " in planted_finding(table)


def test_the_finding_names_perfect_and_other_audits(drawn):
    perfect, rest = planted_finding(planted_table(drawn)).split(".", 1)
    assert "exact duplicates, leaks, duplicates with conflicting labels" in perfect
    assert "near-constant" in rest and "nan" not in rest
    none = planted_finding(planted_table(drawn, {"none": ("leak", np.zeros(400, bool))}))
    assert "(0 %)" in none and "nan" not in none
    assert planted_finding(planted_table(drawn, {})) == "No fault was planted."


def test_there_is_a_flag_for_each_face(drawn):
    for fault, found in audit_flags(drawn).values():
        assert fault in FAULTS and found.shape == (len(drawn),) and found.dtype == bool


def test_unknown_faults_other_lengths_and_real_faces_are_errors(drawn):
    with pytest.raises(StudyError, match="fault: expected one of copy, leak"):
        planted(drawn, "blank")
    with pytest.raises(
        StudyError, match="guess: expected a flag for each of 400 faces, found shape"
    ):
        planted_table(drawn, {"guess": ("leak", np.zeros(3, bool))})
    with pytest.raises(StudyError, match="expected drawn faces"):
        planted_table(replace(drawn, truth=None))


def test_the_columns_are_numbers(drawn):
    table = planted_table(drawn)
    assert all(pd.api.types.is_integer_dtype(table[name]) for name in ("planted", "found", "right"))
    assert all(pd.api.types.is_float_dtype(table[name]) for name in ("precision", "recall"))
