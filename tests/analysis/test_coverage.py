"""Selective classification: curve, area and thresholds, compared with loops and known cases."""

import numpy as np
import pytest

from fer_utils.analysis.coverage import (
    TARGETS,
    coverage_curve,
    coverage_finding,
    risk_area,
    threshold_table,
)
from fer_utils.evaluation import accuracy_interval, probabilities


@pytest.fixture(scope="module")
def predictions():
    """Probabilities (600, 7), rounded so that some are equal, and emotions drawn from them."""
    generator = np.random.default_rng(8)
    shares = np.round(probabilities(generator.normal(0, 2, (600, 7))), 2)
    return shares, (shares.cumsum(axis=1) < generator.random((600, 1))).sum(axis=1).clip(0, 6)


def one_by_one(best):
    """Return probabilities (n, 2) whose first column, the prediction, has these values."""
    return np.stack([best, 1 - np.asarray(best)], axis=1)


def test_curve_matches_a_loop(predictions):
    shares, emotion = predictions
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    curve = coverage_curve(shares, emotion)
    assert curve["probability"].tolist() == sorted(set(best), reverse=True)
    for row in curve.to_dict("records"):
        kept = best >= row["probability"]
        assert row["images"] == kept.sum() and row["coverage"] == pytest.approx(kept.mean())
        assert row["accuracy"] == pytest.approx(correct[kept].mean())
        assert (row["low"], row["high"]) == pytest.approx(
            accuracy_interval(correct[kept].mean(), int(kept.sum()))
        )
    assert curve["coverage"].iloc[-1] == 1


def test_area_of_known_orders():
    # Correct, correct, wrong, by decreasing probability: risks 0, 0, 1/3.
    best = np.array([0.9, 0.8, 0.7])
    assert risk_area(one_by_one(best), np.array([0, 0, 1])) == pytest.approx((1 / 9, 1 / 3, 1 / 9))
    # Wrong, correct, correct: risks 1, 1/2, 1/3.
    assert risk_area(one_by_one(best), np.array([1, 0, 0])) == pytest.approx(
        (11 / 18, 1 / 3, 1 / 9)
    )
    # Equal probabilities have no order: mean of all orders.
    assert risk_area(one_by_one(np.full(3, 0.9)), np.array([1, 0, 0])) == pytest.approx(
        (1 / 3, 1 / 3, 1 / 9)
    )


def test_area_is_the_mean_over_orders_of_equal_probabilities(predictions):
    shares, emotion = predictions
    best, wrong = shares.max(axis=1), shares.argmax(axis=1) != emotion
    generator, areas = np.random.default_rng(0), []
    for _ in range(400):
        order = np.lexsort((generator.random(600), -best))
        areas.append((np.cumsum(wrong[order]) / np.arange(1, 601)).mean())
    found = risk_area(shares, emotion)
    assert found.area == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / 20)
    assert found.perfect < found.area < found.random == pytest.approx(wrong.mean())


def test_thresholds_are_fitted_on_one_split_and_scored_on_the_other(predictions):
    shares, emotion = predictions
    fitted, judged = (shares[:300], emotion[:300]), (shares[300:], emotion[300:])
    table = threshold_table(fitted, judged)
    assert table["target"].tolist() == list(TARGETS)
    for row in table.to_dict("records"):
        kept = shares[:300].max(axis=1) >= row["probability"]
        assert kept.mean() == pytest.approx(row["fitted_coverage"])
        assert (shares.argmax(axis=1) == emotion)[:300][kept].mean() >= row["target"]
        kept = shares[300:].max(axis=1) >= row["probability"]
        correct = (shares.argmax(axis=1) == emotion)[300:][kept]
        assert (row["images"], row["coverage"], row["accuracy"]) == pytest.approx(
            (kept.sum(), kept.mean(), correct.mean())
        )
        assert row["low"] < row["accuracy"] < row["high"]
        assert row["coverage_low"] < row["coverage"] < row["coverage_high"]
    swapped = threshold_table(judged, fitted)
    assert swapped["probability"].tolist() != table["probability"].tolist()


def test_findings_of_thresholds_reached_missed_and_out_of_reach():
    best = np.linspace(0.99, 0.51, 200)
    shares, correct, half = one_by_one(best), np.zeros(200, int), np.tile([0, 1], 100)

    def text(fitted, judged):
        table = threshold_table((shares, fitted), (shares, judged))
        return table, coverage_finding(table, risk_area(shares, judged))

    _, reached = text(correct, correct)
    assert reached.count("100.0 %") == 4 and "below" not in reached
    _, missed = text(correct, half)
    assert "50.0 %" in missed and missed.count("below the target") == 2
    none, unreached = text(1 - correct, half)
    assert none["images"].tolist() == [0, 0] and none["accuracy"].isna().all()
    assert unreached.count("No prediction") == 2
