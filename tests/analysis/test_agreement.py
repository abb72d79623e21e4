"""Agreement of models, compared with counts by hand and with independent errors."""

import numpy as np
import pytest

from fer_utils.analysis.agreement import agreement_finding, model_agreement, solved_by
from fer_utils.errors import StudyError

EMOTION = np.array([0, 0, 1, 1, 2, 2, 3, 3])
PREDICTIONS = {
    "a": np.array([0, 0, 1, 1, 2, 3, 4, 5]),
    "b": np.array([0, 1, 1, 1, 2, 3, 5, 5]),
    "c": np.array([0, 1, 2, 0, 0, 1, 1, 6]),
}


def test_pairs_by_hand():
    table = model_agreement(PREDICTIONS, EMOTION)
    assert list(zip(table["model"], table["other"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    first = table.iloc[0]
    assert first["same"] == 6 / 8
    # Model a has 3 errors, b has 4. Both are wrong on the last three, with two equal predictions.
    assert (first["both_wrong"], first["both_wrong_expected"]) == (3 / 8, 3 / 8 * 4 / 8)
    assert first["same_wrong"] == pytest.approx(2 / 3)
    # Cohen (1960): agreement beyond that expected from the two distributions of predictions.
    a, b = (np.bincount(PREDICTIONS[name], minlength=7) / 8 for name in "ab")
    assert first["kappa"] == pytest.approx((6 / 8 - a @ b) / (1 - a @ b))


def test_solved_by_hand():
    table = solved_by(PREDICTIONS, EMOTION)
    assert table["models"].tolist() == [0, 1, 2, 3]
    assert table["images"].tolist() == [3, 1, 3, 1]
    correct = [5 / 8, 4 / 8, 1 / 8]
    assert table["expected"].iloc[3] == pytest.approx(np.prod(correct))
    assert table["expected"].iloc[0] == pytest.approx(np.prod(1 - np.array(correct)))
    assert table["expected"].sum() == pytest.approx(1) == pytest.approx(table["share"].sum())


def test_shares_of_independent_models_match_the_expected_ones():
    generator = np.random.default_rng(0)
    emotion = generator.integers(0, 7, 20_000)
    predictions = {
        k: np.where(generator.random(20_000) < 0.7, emotion, (emotion + 1) % 7)
        for k in ("a", "b", "c")
    }
    pairs, solved = model_agreement(predictions, emotion), solved_by(predictions, emotion)
    np.testing.assert_allclose(pairs["both_wrong"], pairs["both_wrong_expected"], atol=0.01)
    np.testing.assert_allclose(solved["share"], solved["expected"], atol=0.015)
    assert pairs["same_wrong"].tolist() == [1, 1, 1]
    text = agreement_finding(pairs, solved)
    for share in (solved["share"].iloc[-1], solved["expected"].iloc[-1], pairs["same"].max()):
        assert f"{100 * share:.1f} %" in text


def test_models_without_errors_and_with_one_predicted_emotion():
    emotion = np.full(4, 3)
    table = model_agreement({"a": emotion, "b": emotion}, emotion).iloc[0]
    assert table["same"] == 1 and np.isnan(table["kappa"]) and np.isnan(table["same_wrong"])
    assert solved_by({"a": emotion, "b": emotion}, emotion)["expected"].tolist() == [0, 0, 1]


def test_single_model_has_no_pairs():
    pairs, solved = (
        model_agreement({"a": PREDICTIONS["a"]}, EMOTION),
        solved_by({"a": PREDICTIONS["a"]}, EMOTION),
    )
    assert not len(pairs) and "same_wrong" in pairs and solved["images"].tolist() == [3, 5]
    assert "62.5 %" in agreement_finding(pairs, solved)


@pytest.mark.parametrize("predictions", [{}, {"a": EMOTION, "b": EMOTION[1:]}])
def test_predictions_must_be_of_the_same_images(predictions):
    for function in (model_agreement, solved_by):
        with pytest.raises(StudyError, match="expected one or more models with 8 predictions"):
            function(predictions, EMOTION)
