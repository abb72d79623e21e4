"""Scores, held to scikit-learn and to the formulas they are named after."""

import math

import numpy as np
import pytest
from sklearn import metrics

from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import (
    accuracy,
    accuracy_interval,
    confident_mistakes,
    confusion,
    cross_entropy,
    most_confused,
    per_emotion,
    probabilities,
    split_scores,
)

NUMBERS = range(len(EMOTIONS))


@pytest.fixture(scope="module")
def answers():
    """Logits float32 (500, 7) and emotions: better than chance, and without an image of disgust."""
    generator = np.random.default_rng(2)
    emotion = generator.choice([0, 2, 3, 4, 5, 6], 500).astype(np.uint8)
    logits = generator.normal(size=(500, 7)) + 1.5 * np.eye(7)[emotion]
    return logits.astype(np.float32), emotion


def wilson(right: int, images: int) -> tuple[float, float]:
    z, share = 1.959963984540054, right / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return middle - half, middle + half


def test_accuracy(answers):
    logits, emotion = answers
    assert 0.3 < accuracy(logits, emotion) < 0.9
    assert accuracy(logits, emotion) == metrics.accuracy_score(emotion, logits.argmax(axis=1))


def test_probabilities_and_cross_entropy(answers):
    logits, emotion = answers
    shares = probabilities(logits)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
    assert cross_entropy(logits, emotion) == pytest.approx(metrics.log_loss(emotion, shares, labels=NUMBERS))


def test_huge_logits_stay_finite():
    logits = np.array([[1e4, 0, 0, 0, 0, 0, -1e4]], np.float32)
    assert cross_entropy(logits, np.array([6])) == pytest.approx(2e4)
    assert cross_entropy(logits, np.array([0])) == 0
    assert probabilities(logits)[0].tolist() == [1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("right", "images"), [(2268, 3589), (0, 10), (10, 10), (1, 2), (1, 1)])
def test_interval_is_wilsons(right, images):
    low, high = accuracy_interval(right / images, images)
    assert (low, high) == pytest.approx(wilson(right, images), abs=1e-9)
    assert -1e-12 <= low <= right / images <= high <= 1 + 1e-12


def test_interval_of_another_level_is_wider():
    low, high = accuracy_interval(0.5, 100)
    wide_low, wide_high = accuracy_interval(0.5, 100, level=0.99)
    assert wide_low < low < 0.5 < high < wide_high


def test_split_scores(answers):
    logits, emotion = answers
    right = int((logits.argmax(axis=1) == emotion).sum())
    low, high = wilson(right, 500)
    assert split_scores("public", logits, emotion) == pytest.approx(
        {"public_accuracy": right / 500, "public_low": low, "public_high": high}
    )


def test_per_emotion(answers):
    logits, emotion = answers
    table = per_emotion(logits, emotion)
    assert table.index.tolist() == list(EMOTIONS)
    given = {"y_true": emotion, "y_pred": logits.argmax(axis=1), "labels": NUMBERS, "average": None, "zero_division": 0}
    np.testing.assert_array_equal(table["precision"], metrics.precision_score(**given))
    np.testing.assert_array_equal(table["recall"], metrics.recall_score(**given))
    np.testing.assert_array_equal(table["F1"], metrics.f1_score(**given))
    assert table["images"].tolist() == np.bincount(emotion, minlength=7).tolist()
    assert table.loc["disgust"].tolist() == [0, 0, 0, 0]


def test_confusion(answers):
    logits, emotion = answers
    table = confusion(logits, emotion)
    expected = metrics.confusion_matrix(emotion, logits.argmax(axis=1), labels=NUMBERS)
    assert np.array_equal(table, expected) and table.to_numpy().sum() == 500
    assert table.index.tolist() == table.columns.tolist() == list(EMOTIONS)
    # True emotion in rows, prediction in columns.
    one = confusion(np.eye(7)[[3]], np.array([5]))
    assert one.loc["surprise", "happy"] == 1 and one.to_numpy().sum() == 1


def test_one_image_is_enough():
    logits, emotion = np.eye(7)[[2]], np.array([2], np.uint8)
    assert accuracy(logits, emotion) == 1
    assert confusion(logits, emotion).to_numpy().sum() == 1
    assert per_emotion(logits, emotion).loc["fear"].tolist() == [1, 1, 1, 1]
    assert len(confident_mistakes(logits, emotion, 5)) == 0


def test_most_confused_is_the_mistake_on_most_images():
    true = np.repeat([1, 3, 4], [4, 50, 20])
    said = np.concatenate([[0] * 3 + [1], [3] * 40 + [6] * 10, [4] * 11 + [6] * 9])
    # Disgust is mistaken most often of its own images, but happy on most images: 10 of 50.
    assert most_confused(confusion(np.eye(7)[said], true)) == ("happy", "neutral", 0.2)


def test_most_confused_where_nothing_is_confused():
    assert most_confused(confusion(np.eye(7), np.arange(7)))[2] == 0


def test_confident_mistakes_are_wrong_and_sorted(answers):
    logits, emotion = answers
    shares = probabilities(logits)
    chosen = confident_mistakes(logits, emotion, 20)
    assert len(chosen) == 20
    sure = shares.max(axis=1)
    assert (shares[chosen].argmax(axis=1) != emotion[chosen]).all()
    assert (np.diff(sure[chosen]) <= 0).all()
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    assert sure[chosen].min() >= sure[np.setdiff1d(wrong, chosen)].max()
    assert len(confident_mistakes(logits, emotion, 10_000)) == len(wrong)
