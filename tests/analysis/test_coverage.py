"""Rejecting the uncertain: the curve, its area and thresholds held to plain loops and to constructed cases."""

import numpy as np
import pytest

from fer_utils.analysis.coverage import coverage_curve, coverage_finding, risk_area, threshold_table
from fer_utils.evaluation import accuracy_interval, probabilities


@pytest.fixture(scope="module")
def answers():
    """Probabilities (600, 7), rounded so that some are equal, and emotions drawn from them; the halves are alike."""
    generator = np.random.default_rng(8)
    shares = np.round(probabilities(generator.normal(0, 2, (600, 7))), 2)
    return shares, (shares.cumsum(axis=1) < generator.random((600, 1))).sum(axis=1).clip(0, 6)


def one_by_one(best):
    """Probabilities (n, 2) whose top answer, 0, has these."""
    return np.stack([best, 1 - np.asarray(best)], axis=1)


def test_the_curve_is_the_loops(answers):
    shares, emotion = answers
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


def test_the_area_of_known_orders():
    # Right, right, wrong, by falling probability: risks 0, 0, 1/3.
    best = np.array([0.9, 0.8, 0.7])
    assert risk_area(one_by_one(best), np.array([0, 0, 1])) == pytest.approx((1 / 9, 1 / 3, 1 / 9))
    # The wrong one first: 1, 1/2, 1/3.
    assert risk_area(one_by_one(best), np.array([1, 0, 0])) == pytest.approx(
        (11 / 18, 1 / 3, 1 / 9)
    )
    # Equally certain: any order.
    assert risk_area(one_by_one(np.full(3, 0.9)), np.array([1, 0, 0])) == pytest.approx(
        (1 / 3, 1 / 3, 1 / 9)
    )


def test_the_area_is_the_mean_over_orders_of_equals(answers):
    shares, emotion = answers
    best, wrong = shares.max(axis=1), shares.argmax(axis=1) != emotion
    generator, areas = np.random.default_rng(0), []
    for _ in range(400):
        order = np.lexsort((generator.random(600), -best))
        areas.append((np.cumsum(wrong[order]) / np.arange(1, 601)).mean())
    found = risk_area(shares, emotion)
    assert found.area == pytest.approx(np.mean(areas), abs=4 * np.std(areas) / 20)
    assert found.perfect < found.area < found.random == pytest.approx(wrong.mean())


def test_thresholds_are_chosen_on_one_split_and_judged_on_the_other(answers):
    shares, emotion = answers
    fitted, judged = (shares[:300], emotion[:300]), (shares[300:], emotion[300:])
    table = threshold_table(fitted, judged, (0.7, 0.9))
    assert table["target"].tolist() == [0.7, 0.9]
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
    # The other way round the choice is another.
    assert (
        threshold_table(judged, fitted, (0.7, 0.9))["probability"].tolist()
        != table["probability"].tolist()
    )


def test_findings_of_thresholds_kept_missed_and_out_of_reach():
    best = np.linspace(0.99, 0.51, 200)
    correct, half = np.zeros(200, int), np.tile([0, 1], 100)
    kept = threshold_table((one_by_one(best), correct), (one_by_one(best), correct), (0.8,))
    said = coverage_finding(kept, risk_area(one_by_one(best), correct))
    assert (
        said.startswith("The threshold for 80% right keeps 100% of the answers, 100.0%")
        and "short" not in said
    )
    missed = threshold_table((one_by_one(best), correct), (one_by_one(best), half), (0.8,))
    assert "50.0% of them right" in (
        said := coverage_finding(missed, risk_area(one_by_one(best), half))
    )
    assert "short of what was aimed at" in said
    none = threshold_table((one_by_one(best), 1 - correct), (one_by_one(best), half), (0.8,))
    assert none["images"].tolist() == [0] and np.isnan(none["accuracy"][0])
    assert coverage_finding(none, risk_area(one_by_one(best), half)).startswith("No answer reaches")
