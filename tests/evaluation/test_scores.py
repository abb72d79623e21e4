"""Scores, compared with scikit-learn and with their formulas."""

import math

import numpy as np
import pytest
from evaluation_cases import plain_scores, some_answers
from sklearn import metrics

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import (
    accuracy,
    balanced_accuracy,
    cross_entropy,
    macro_f1,
    mean_prediction,
    probabilities,
    seed_summary,
)
from fer_utils.evaluation.scores import confusion_scores

NUMBERS = range(len(EMOTIONS))


@pytest.fixture(scope="module")
def predictions():
    return some_answers()


def test_accuracy(predictions):
    logits, emotion = predictions
    assert 0.3 < accuracy(logits, emotion) < 0.9
    assert accuracy(logits, emotion) == metrics.accuracy_score(emotion, logits.argmax(axis=1))


def test_probabilities_and_cross_entropy(predictions):
    logits, emotion = predictions
    shares = probabilities(logits)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(
        shares, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5
    )
    assert cross_entropy(logits, emotion) == pytest.approx(
        metrics.log_loss(emotion, shares, labels=NUMBERS)
    )


def test_huge_logits_stay_finite():
    logits = np.array([[1e4, 0, 0, 0, 0, 0, -1e4]], np.float32)
    assert cross_entropy(logits, np.array([6])) == pytest.approx(2e4)
    assert cross_entropy(logits, np.array([0])) == 0
    assert probabilities(logits)[0].tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_means_over_emotions_are_their_formulas(predictions):
    logits, emotion = predictions
    plain = plain_scores(emotion, logits.argmax(axis=1))
    # Disgust is predicted but has no image. Its F1 counts as 0, and its recall does not count.
    assert macro_f1(logits, emotion) == pytest.approx(plain["F1"].sum() / 7) and plain["F1"][1] == 0
    assert balanced_accuracy(logits, emotion) == pytest.approx(plain["recall"].sum() / 6)


@pytest.mark.filterwarnings("error")
def test_predicting_an_emotion_without_images_raises_no_warning(predictions):
    logits, emotion = predictions
    assert 1 in logits.argmax(axis=1) and 1 not in emotion
    assert 0 < balanced_accuracy(logits, emotion) < 1


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_of_many_confusions_are_scikit_learns():
    generator = np.random.default_rng(12)
    # With nine images, most samples have an emotion without images or without predictions.
    emotion, predicted = generator.integers(0, 7, (2, 5, 40, 9))
    counts = np.zeros((5, 40, 7, 7), int)
    for sample in np.ndindex(5, 40):
        np.add.at(counts[sample], (emotion[sample], predicted[sample]), 1)
    found = confusion_scores(counts)
    for sample in np.ndindex(5, 40):
        pair = emotion[sample], predicted[sample]
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            *pair, labels=NUMBERS, zero_division=0
        )
        np.testing.assert_allclose(found["precision"][sample], precision)
        np.testing.assert_allclose(found["recall"][sample], recall)
        np.testing.assert_allclose(found["F1"][sample], f1)
        assert found["macro F1"][sample] == pytest.approx(f1.mean())
        assert found["balanced accuracy"][sample] == pytest.approx(
            metrics.balanced_accuracy_score(*pair)
        )


def test_one_image_is_enough():
    logits, emotion = np.eye(7)[[2]], np.array([2], np.uint8)
    assert accuracy(logits, emotion) == 1
    assert (
        macro_f1(logits, emotion) == pytest.approx(1 / 7)
        and balanced_accuracy(logits, emotion) == 1
    )


def test_seed_summary():
    summary = seed_summary([0.6, 0.7, 0.62, 0.64])
    # The squares of the deviations -0.04, 0.06, -0.02 and 0 sum to 0.0056.
    assert summary == pytest.approx((0.64, math.sqrt(0.0056 / 3), 0.6, 0.7))
    assert summary.deviation == pytest.approx(0.0432, abs=1e-4)
    one = seed_summary(np.array([0.5]))
    assert (one.mean, one.minimum, one.maximum) == (0.5, 0.5, 0.5) and math.isnan(one.deviation)


@pytest.mark.parametrize("accuracies", [[], [[0.5, 0.6]], 0.5])
def test_seed_summary_needs_one_accuracy_per_seed(accuracies):
    with pytest.raises(StudyError, match="accuracies: expected one per seed"):
        seed_summary(accuracies)


def test_mean_prediction_is_the_mean_probability():
    members = np.random.default_rng(3).normal(scale=4, size=(5, 200, 7)).astype(np.float32)
    together = mean_prediction(members)
    assert together.shape == (200, 7) and together.dtype == np.float32
    mean = np.mean([probabilities(logits) for logits in members], axis=0)
    np.testing.assert_allclose(together, np.log(mean), atol=1e-5)
    np.testing.assert_allclose(probabilities(together), mean, rtol=1e-5)
    assert np.array_equal(together.argmax(axis=1), mean.argmax(axis=1))
    # The mean of the logits is another ensemble, with other predictions.
    assert (together.argmax(axis=1) != members.mean(axis=0).argmax(axis=1)).any()


def test_mean_prediction_takes_a_list_and_ignores_offsets_of_logits():
    members = np.random.default_rng(4).normal(size=(2, 30, 7))
    shifted = [members[0] + 100, (members[1] - 7).astype(np.float32)]
    np.testing.assert_allclose(mean_prediction(shifted), mean_prediction(members), atol=1e-5)
    np.testing.assert_allclose(
        mean_prediction(members[:1]), np.log(probabilities(members[0])), atol=1e-6
    )


def test_mean_prediction_is_finite_and_keeps_the_order_of_tiny_probabilities():
    members = np.array([[[2e3, 0, 0, 0, 0, 1, 0]], [[2e3, 0, 0, 0, 0, 1, 0]]], np.float32)
    together = mean_prediction(members)
    assert np.isfinite(together).all()
    assert together[0].argsort()[-2:].tolist() == [5, 0]


@pytest.mark.parametrize(
    "members",
    [
        [],
        np.zeros((5, 7)),
        np.zeros((2, 5, 6)),
        [np.zeros((5, 7)), np.zeros((4, 7))],
        np.zeros((1, 2, 5, 7)),
    ],
)
def test_mean_prediction_needs_members_of_one_shape(members):
    with pytest.raises(StudyError, match="one shape"):
        mean_prediction(members)
