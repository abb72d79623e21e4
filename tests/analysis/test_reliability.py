"""Reliability: constructed cases whose answer is known, plain loops, and scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fer_utils.analysis.reliability import (
    brier_losses,
    calibration_error,
    classwise_calibration_error,
    reliability,
)
from fer_utils.evaluation import accuracy_interval, probabilities


@pytest.fixture(scope="module")
def answers():
    """Probabilities (900, 7), too sure, and emotions."""
    generator = np.random.default_rng(5)
    emotion = generator.integers(0, 7, 900)
    return probabilities(2 * generator.normal(size=(900, 7)) + 2 * np.eye(7)[emotion]), emotion


def error_by_loop(best, correct, edges):
    total = 0.0
    for low, high in pairwise(edges):
        inside = [
            i
            for i in range(len(best))
            if low <= best[i] < high or (high == edges[-1] and best[i] == high)
        ]
        if inside:
            total += abs(sum(best[i] for i in inside) - sum(bool(correct[i]) for i in inside))
    return total / len(best)


def test_the_error_of_known_cases():
    sure = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(sure, np.zeros(10, int)) == 0
    assert calibration_error(sure, np.ones(10, int)) == 1
    assert calibration_error(
        np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [7, 3])
    ) == pytest.approx(0)
    assert calibration_error(
        np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [4, 6])
    ) == pytest.approx(0.3)
    # Two bins: 0.9 is right 5 of 10 times, 0.6 all 10 times; a third of the images, then all gaps by weight.
    mixed = np.repeat([[0.9, 0.1], [0.6, 0.4]], [10, 10], axis=0)
    assert calibration_error(mixed, np.repeat([0, 1, 0], [5, 5, 10])) == pytest.approx(
        (0.4 + 0.4) / 2
    )


@pytest.mark.parametrize("bins", [5, 15])
def test_errors_are_the_loops(answers, bins):
    shares, emotion = answers
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    equal = error_by_loop(best, correct, np.linspace(0, 1, bins + 1))
    mass = error_by_loop(best, correct, np.quantile(best, np.linspace(0, 1, bins + 1)))
    assert calibration_error(shares, emotion, bins) == pytest.approx(equal)
    assert calibration_error(shares, emotion, bins, equal_mass=True) == pytest.approx(mass)
    each = [
        error_by_loop(shares[:, k], emotion == k, np.linspace(0, 1, bins + 1)) for k in range(7)
    ]
    assert classwise_calibration_error(shares, emotion, bins) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_diagram_is_scikit_learns(answers, equal_mass):
    shares, emotion = answers
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    table = reliability(shares, emotion, 10, equal_mass=equal_mass)
    full = table[table["images"] > 0]
    accuracy, confidence = calibration_curve(
        correct, best, n_bins=10, strategy="quantile" if equal_mass else "uniform"
    )
    np.testing.assert_allclose(full["accuracy"], accuracy)
    np.testing.assert_allclose(full["confidence"], confidence)
    assert table["images"].sum() == 900 and len(table) == 10
    if equal_mass:
        assert table["images"].tolist() == [90] * 10
    gaps = (full["accuracy"] - full["confidence"]).abs() * full["images"]
    assert gaps.sum() / 900 == pytest.approx(
        calibration_error(shares, emotion, 10, equal_mass=equal_mass)
    )
    for row in full.to_dict("records"):
        assert row["low"] <= row["confidence"] <= row["high"]
        ends = accuracy_interval(row["accuracy"], row["images"])
        assert (row["accuracy_low"], row["accuracy_high"]) == ends


def test_a_bin_without_an_image_has_no_accuracy():
    table = reliability(np.tile([0.7, 0.3], (4, 1)), np.array([0, 0, 0, 1]), 10)
    assert (
        table["images"].tolist() == [0] * 7 + [4] + [0] * 2
        or table["images"].tolist() == [0] * 6 + [4] + [0] * 3
    )
    assert (
        table.loc[table["images"] == 0, ["confidence", "accuracy", "accuracy_low"]]
        .isna()
        .to_numpy()
        .all()
    )
    assert table["accuracy"].dropna().tolist() == [0.75]


def test_equal_probabilities_share_a_bin_of_equal_mass():
    table = reliability(np.tile([0.7, 0.3], (4, 1)), np.array([0, 0, 0, 1]), 5, equal_mass=True)
    assert table["images"].tolist() == [4]
    assert calibration_error(
        np.tile([0.7, 0.3], (4, 1)), np.array([0, 0, 0, 1]), equal_mass=True
    ) == pytest.approx(0.05)


def test_brier_is_scikit_learns(answers):
    shares, emotion = answers
    assert brier_losses(shares, emotion).mean() == pytest.approx(
        brier_score_loss(emotion, shares, labels=range(7), scale_by_half=False)
    )
    assert (brier_losses(np.eye(7), np.arange(7)) == 0).all()
    assert (brier_losses(np.eye(7), (np.arange(7) + 1) % 7) == 2).all()
