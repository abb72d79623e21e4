"""Calibration: the temperature that was put in comes out and mends what it should, thresholds keep their promise."""

import numpy as np
import pytest
from scipy import stats

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
    """Logits and emotions drawn from their softmax, so that a temperature of 1 is right."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 7))
    emotion = (
        (probabilities(logits).cumsum(axis=1) < generator.random((20_000, 1)))
        .sum(axis=1)
        .clip(0, 6)
    )
    return logits, emotion


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found(drawn, temperature):
    logits, emotion = drawn
    found = fit_temperature(temperature * logits, emotion)
    assert found == pytest.approx(temperature, rel=0.03)
    assert cross_entropy(temperature * logits / found, emotion) <= cross_entropy(logits, emotion)


def test_a_temperature_mends_the_calibration_and_no_answer(drawn):
    logits, emotion = drawn
    before = probabilities(3 * logits)
    after = probabilities(3 * logits / fit_temperature(3 * logits, emotion))
    assert calibration_error(before, emotion) > 0.1
    assert calibration_error(after, emotion) < 0.02
    assert accuracy(before, emotion) == accuracy(after, emotion)


@pytest.mark.parametrize("share", [0.7, 0.8, 0.95])
def test_a_threshold_keeps_its_promise_and_lets_pass_all_it_can(drawn, share):
    logits, emotion = drawn[0][:4000], drawn[1][:4000]
    shares = probabilities(logits)
    found = fit_threshold(shares, emotion, share)
    best, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    passed = best >= found.probability
    assert passed.mean() == pytest.approx(found.coverage)
    assert correct[passed].mean() >= share
    for lower in np.unique(best[~passed])[::-1]:
        assert correct[best >= lower].mean() < share


def test_equal_probabilities_pass_together_or_not():
    shares = np.tile([0.6, 0.4], (4, 1))
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.75) == (0.6, 1.0)
    # The first three alone would do.
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.8).coverage == 0


def test_where_nothing_helps_every_answer_is_uncertain():
    found = fit_threshold(np.tile([0.9, 0.1], (5, 1)), np.ones(5, int))
    assert found.probability > 1
    assert found.coverage == 0


@pytest.fixture(scope="module")
def table(drawn):
    """Three times too sure; 1,500 images."""
    logits, emotion = drawn
    return calibration_table(3 * logits[:1500], emotion[:1500], 3.0, resamples=1000)


def test_the_tables_values_are_the_scores(drawn, table):
    logits, emotion = drawn[0][:1500], drawn[1][:1500]
    assert table["probabilities"].tolist() == ["before", "after", "after less before"]
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


def test_intervals_of_means_are_scipys(drawn, table):
    logits, emotion = drawn[0][:1500], drawn[1][:1500]
    before, after = (
        brier_losses(probabilities(scaled), emotion) for scaled in (3 * logits, logits)
    )
    for row, losses in ((0, before), (1, after), (2, after - before)):
        given = {"method": "percentile", "n_resamples": 4000, "rng": np.random.default_rng(1)}
        expected = stats.bootstrap((losses,), np.mean, **given).confidence_interval
        half = (expected.high - expected.low) / 2
        assert table.loc[row, ["brier_low", "brier_high"]].tolist() == pytest.approx(
            list(expected), abs=half / 6
        )


def test_the_difference_is_paired(table):
    """Far narrower than that of two independent scores would be."""
    for score in ("brier", "cross_entropy"):
        widths = (table[f"{score}_high"] - table[f"{score}_low"]).tolist()
        assert widths[2] < 0.8 * np.hypot(*widths[:2])


def test_the_error_of_calibrated_answers_may_be_0_and_that_of_others_may_not(drawn):
    """An independent count: answers drawn from the very probabilities, in a loop."""
    logits, _ = drawn
    generator = np.random.default_rng(4)
    shares = probabilities(logits[:1000])
    seen, covered = [], 0
    for seed in range(15):
        emotion = (shares.cumsum(axis=1) < generator.random((1000, 1))).sum(axis=1).clip(0, 6)
        table = calibration_table(logits[:1000], emotion, 0.5, resamples=200, seed=seed)
        seen.append(table.loc[0, "ece"])
        covered += table.loc[0, "ece_low"] == 0
        assert table.loc[1, "ece_low"] > 0
        assert table.loc[0, "ece_low"] <= table.loc[0, "ece"] <= table.loc[0, "ece_high"]
    assert covered >= 12
    assert np.mean(seen) == pytest.approx(table.loc[0, "ece_by_chance"], rel=0.15)


def test_same_seed_same_table(drawn):
    logits, emotion = drawn[0][:200], drawn[1][:200]
    one, same, other = (
        calibration_table(logits, emotion, 1.5, resamples=50, seed=seed) for seed in (0, 0, 1)
    )
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    ("sharper", "temperature", "said"),
    [
        (3, 3.0, "mends the calibration"),
        (1, 3.0, "makes the calibration worse"),
        (1, 1.0, "no more than sampling"),
    ],
)
def test_the_finding_follows_the_difference(drawn, sharper, temperature, said):
    logits, emotion = drawn
    table = calibration_table(sharper * logits[:2000], emotion[:2000], temperature, resamples=200)
    assert said in calibration_finding(table)
    assert f"{table.loc[1, 'ece']:.1%}" in calibration_finding(table)
