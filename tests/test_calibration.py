"""Calibration: the temperature that was put in comes out, thresholds keep their promise, errors of known cases."""

import numpy as np
import pytest

from fer_utils.calibration import calibration_error, fit_temperature, fit_threshold
from fer_utils.evaluation import accuracy, cross_entropy, probabilities


@pytest.fixture(scope="module")
def drawn():
    """Logits and emotions drawn from their softmax, so that a temperature of 1 is right."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 7))
    emotion = (probabilities(logits).cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1).clip(0, 6)
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
    logits, emotion = drawn
    shares = probabilities(logits)
    found = fit_threshold(shares, emotion, share)
    best, right = shares.max(axis=1), shares.argmax(axis=1) == emotion
    passed = best >= found.probability
    assert passed.mean() == pytest.approx(found.coverage)
    assert right[passed].mean() >= share
    for lower in np.unique(best[~passed])[::-1]:
        assert right[best >= lower].mean() < share


def test_equal_probabilities_pass_together_or_not():
    shares = np.tile([0.6, 0.4], (4, 1))
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.75) == (0.6, 1.0)
    # The first three alone would do.
    assert fit_threshold(shares, np.array([0, 0, 0, 1]), 0.8).coverage == 0


def test_where_nothing_helps_every_answer_is_uncertain():
    found = fit_threshold(np.tile([0.9, 0.1], (5, 1)), np.ones(5, int))
    assert found.probability > 1
    assert found.coverage == 0


def test_the_error_of_known_cases():
    sure = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(sure, np.zeros(10, int)) == 0
    assert calibration_error(sure, np.ones(10, int)) == 1
    assert calibration_error(np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [7, 3])) == pytest.approx(0)
    assert calibration_error(np.tile([0.7, 0.3], (10, 1)), np.repeat([0, 1], [4, 6])) == pytest.approx(0.3)
