"""Reliability, compared with known cases, loops and scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fer_utils.analysis.reliability import (
    BINS,
    bins_of,
    brier_losses,
    calibration_error,
    classwise_calibration_error,
    reliability,
)
from fer_utils.evaluation import accuracy_interval, probabilities


@pytest.fixture(scope="module")
def predictions():
    """Overconfident probabilities (900, 7), and emotions."""
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


def test_error_of_known_cases():
    sure = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(sure, np.zeros(10, int)) == 0
    assert calibration_error(sure, np.ones(10, int)) == 1
    assert calibration_error(
        np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [7, 3])
    ) == pytest.approx(0)
    assert calibration_error(
        np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [4, 6])
    ) == pytest.approx(0.3)
    # Two bins: 5 of 10 predictions with 0.9 are correct, and all 10 with 0.6.
    mixed = np.repeat([[0.9, 0.1], [0.6, 0.4]], [10, 10], axis=0)
    assert calibration_error(mixed, np.repeat([0, 1, 0], [5, 5, 10])) == pytest.approx(
        (0.4 + 0.4) / 2
    )


def test_errors_match_loops(predictions):
    shares, emotion = predictions
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    widths = np.linspace(0, 1, BINS + 1)
    masses = np.quantile(best, np.linspace(0, 1, BINS + 1))
    assert calibration_error(shares, emotion) == pytest.approx(error_by_loop(best, correct, widths))
    assert calibration_error(shares, emotion, equal_mass=True) == pytest.approx(
        error_by_loop(best, correct, masses)
    )
    of_classes = [error_by_loop(shares[:, k], emotion == k, widths) for k in range(7)]
    assert classwise_calibration_error(shares, emotion) == pytest.approx(np.mean(of_classes))


def test_diagram_matches_scikit_learn(predictions):
    shares, emotion = predictions
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    table = reliability(shares, emotion)
    full = table[table["images"] > 0]
    accuracy, confidence = calibration_curve(correct, best, n_bins=BINS)
    np.testing.assert_allclose(full["accuracy"], accuracy)
    np.testing.assert_allclose(full["confidence"], confidence)
    assert table["images"].sum() == 900 and len(table) == BINS
    gaps = (full["accuracy"] - full["confidence"]).abs() * full["images"]
    assert gaps.sum() / 900 == pytest.approx(calibration_error(shares, emotion))
    for row in full.to_dict("records"):
        assert row["low"] <= row["confidence"] <= row["high"]
        ends = accuracy_interval(row["accuracy"], row["images"])
        assert (row["accuracy_low"], row["accuracy_high"]) == ends


def test_bins_of_equal_mass_have_equal_numbers_of_images(predictions):
    members, edges = bins_of(predictions[0].max(axis=1), equal_mass=True)
    assert np.bincount(members).tolist() == [900 // BINS] * BINS and len(edges) == BINS + 1


def test_bin_without_images_has_no_accuracy():
    table = reliability(np.tile([0.7, 0.3], (4, 1)), np.array([0, 0, 0, 1]))
    assert table["images"].tolist() == [0] * 10 + [4] + [0] * 4
    empty = table[table["images"] == 0]
    assert empty[["confidence", "accuracy", "accuracy_low"]].isna().to_numpy().all()
    assert table["accuracy"].dropna().tolist() == [0.75]


def test_equal_probabilities_share_a_bin_of_equal_mass():
    shares, emotion = np.tile([0.7, 0.3], (4, 1)), np.array([0, 0, 0, 1])
    assert bins_of(shares.max(axis=1), equal_mass=True)[0].tolist() == [0] * 4
    assert calibration_error(shares, emotion, equal_mass=True) == pytest.approx(0.05)


def test_brier_score_matches_scikit_learn(predictions):
    shares, emotion = predictions
    assert brier_losses(shares, emotion).mean() == pytest.approx(
        brier_score_loss(emotion, shares, labels=range(7), scale_by_half=False)
    )
    assert (brier_losses(np.eye(7), np.arange(7)) == 0).all()
    assert (brier_losses(np.eye(7), (np.arange(7) + 1) % 7) == 2).all()
