"""Calibration: temperatures of simulated logits are recovered, thresholds reach their target."""

import numpy as np
import pytest
from scipy import stats

from fer_utils.analysis import calibration
from fer_utils.analysis.calibration import (
    calibration_finding,
    calibration_table,
    fit_temperature,
    fit_threshold,
)
from fer_utils.analysis.reliability import (
    brier_losses,
    calibration_error,
    classwise_calibration_error,
)
from fer_utils.evaluation import accuracy, cross_entropy, probabilities


@pytest.fixture(scope="module")
def drawn():
    """Logits, and emotions drawn from their softmax: the true temperature is 1."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 7))
    emotion = (
        (probabilities(logits).cumsum(axis=1) < generator.random((20_000, 1)))
        .sum(axis=1)
        .clip(0, 6)
    )
    return logits, emotion


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_is_recovered(drawn, temperature):
    logits, emotion = drawn
    found = fit_temperature(temperature * logits, emotion)
    assert found == pytest.approx(temperature, rel=0.03)
    assert cross_entropy(temperature * logits / found, emotion) <= cross_entropy(logits, emotion)


def test_temperature_improves_calibration_and_changes_no_prediction(drawn):
    logits, emotion = drawn
    before = probabilities(3 * logits)
    after = probabilities(3 * logits / fit_temperature(3 * logits, emotion))
    assert calibration_error(before, emotion) > 0.1
    assert calibration_error(after, emotion) < 0.02
    assert accuracy(before, emotion) == accuracy(after, emotion)


@pytest.mark.parametrize("share", [0.7, 0.8, 0.95])
def test_threshold_reaches_its_accuracy_with_the_highest_coverage(drawn, share):
    logits, emotion = drawn[0][:4000], drawn[1][:4000]
    shares = probabilities(logits)
    found = fit_threshold(shares, emotion, share)
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    passed = best >= found.probability
    assert passed.mean() == pytest.approx(found.coverage)
    assert correct[passed].mean() >= share
    for lower in np.unique(best[~passed])[::-1]:
        assert correct[best >= lower].mean() < share


def test_threshold_does_not_separate_equal_probabilities():
    shares = np.tile([0.6, 0.4], (4, 1))
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.75) == (0.6, 1.0)
    # The first three alone would reach the accuracy.
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.8).coverage == 0


def test_every_prediction_is_uncertain_if_no_threshold_reaches_the_accuracy():
    found = fit_threshold(np.tile([0.9, 0.1], (5, 1)), np.ones(5, int))
    assert found.probability > 1
    assert found.coverage == 0


@pytest.fixture(scope="module")
def table(drawn):
    """Table of 1,500 images with logits three times too large."""
    logits, emotion = drawn
    return calibration_table(3 * logits[:1500], emotion[:1500], 3.0)


def test_values_of_the_table_are_the_scores(drawn, table):
    logits, emotion = drawn[0][:1500], drawn[1][:1500]
    assert table["probabilities"].tolist() == ["before", "after", "after minus before"]
    assert table["temperature"].tolist()[:2] == [1, 3] and np.isnan(table["temperature"][2])
    for row, scaled in ((0, 3 * logits), (1, logits)):
        shares = probabilities(scaled)
        assert table.loc[row, "ece"] == pytest.approx(calibration_error(shares, emotion))
        assert table.loc[row, "adaptive_ece"] == pytest.approx(
            calibration_error(shares, emotion, equal_mass=True)
        )
        assert table.loc[row, "classwise_ece"] == pytest.approx(
            classwise_calibration_error(shares, emotion)
        )
        assert table.loc[row, "brier"] == pytest.approx(brier_losses(shares, emotion).mean())
        assert table.loc[row, "cross_entropy"] == pytest.approx(cross_entropy(scaled, emotion))
    for score in ("ece", "brier", "cross_entropy", "adaptive_ece", "classwise_ece"):
        assert table.loc[2, score] == pytest.approx(table.loc[1, score] - table.loc[0, score])
    assert (
        table.drop(columns=["probabilities", "temperature", "ece_by_chance"])
        .notna()
        .to_numpy()[:2]
        .all()
    )


def test_intervals_of_means_match_scipy(drawn, table):
    logits, emotion = drawn[0][:1500], drawn[1][:1500]
    before, after = (
        brier_losses(probabilities(scaled), emotion) for scaled in (3 * logits, logits)
    )
    for row, losses in ((0, before), (1, after), (2, after - before)):
        options = {"method": "percentile", "n_resamples": 4000, "rng": np.random.default_rng(1)}
        expected = stats.bootstrap((losses,), np.mean, **options).confidence_interval
        half = (expected.high - expected.low) / 2
        assert table.loc[row, ["brier_low", "brier_high"]].tolist() == pytest.approx(
            list(expected), abs=half / 6
        )


def test_difference_is_paired(table):
    """Its interval is far narrower than that of two independent scores."""
    for score in ("brier", "cross_entropy"):
        widths = (table[f"{score}_high"] - table[f"{score}_low"]).tolist()
        assert widths[2] < 0.8 * np.hypot(*widths[:2])


def test_interval_contains_0_for_calibrated_predictions_only(drawn, monkeypatch):
    """Emotions are drawn from the probabilities, so the unscaled predictions are calibrated."""
    monkeypatch.setattr(calibration, "RESAMPLES", 200)
    logits, _ = drawn
    generator = np.random.default_rng(4)
    shares = probabilities(logits[:1000])
    errors, covered = [], 0
    for seed in range(15):
        emotion = (shares.cumsum(axis=1) < generator.random((1000, 1))).sum(axis=1).clip(0, 6)
        table = calibration_table(logits[:1000], emotion, 0.5, seed=seed)
        errors.append(table.loc[0, "ece"])
        covered += table.loc[0, "ece_low"] == 0
        assert table.loc[1, "ece_low"] > 0
        assert table.loc[0, "ece_low"] <= table.loc[0, "ece"] <= table.loc[0, "ece_high"]
    assert covered >= 12
    assert np.mean(errors) == pytest.approx(table.loc[0, "ece_by_chance"], rel=0.15)


def test_table_depends_on_the_seed_only(drawn):
    logits, emotion = drawn[0][:200], drawn[1][:200]
    one, same, other = (calibration_table(logits, emotion, 1.5, seed=seed) for seed in (0, 0, 1))
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    ("factor", "temperature", "effect"),
    [(3, 3.0, "lowers"), (1, 3.0, "raises"), (1, 1.0, "not")],
)
def test_finding_states_the_effect_and_the_error(drawn, factor, temperature, effect):
    logits, emotion = drawn
    table = calibration_table(factor * logits[:2000], emotion[:2000], temperature)
    text = calibration_finding(table)
    assert effect in text
    assert f"{100 * abs(table.loc[2, 'ece']):.1f} points" in text
    assert f"{100 * table.loc[1, 'ece']:.1f} %" in text
