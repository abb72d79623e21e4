"""Scores of a model, from its logits (n, 7) and the true emotions (n,)."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.metrics import balanced_accuracy_score, f1_score

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the emotions, float64 (n, 7)."""
    return softmax(np.asarray(logits, np.float64), axis=1)


def accuracy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Top-1 accuracy, 0 to 1."""
    return float(np.mean(np.argmax(logits, axis=1) == emotion))


def macro_f1(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Macro F1: mean over the seven emotions, 0 to 1.

    The F1 of an emotion that has no image and is never predicted counts as 0.
    """
    return float(
        f1_score(
            emotion,
            np.argmax(logits, axis=1),
            labels=range(len(EMOTIONS)),
            average="macro",
            zero_division=0,
        )
    )


def balanced_accuracy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Mean recall of the emotions that have images, 0 to 1.

    The definition is scikit-learn's, without adjustment for chance.
    """
    with warnings.catch_warnings():
        # Predicting an emotion without images is an ordinary error, and one emotion is enough.
        warnings.filterwarnings(
            "ignore", "y_pred contains classes not in y_true|A single label was found"
        )
        return float(balanced_accuracy_score(emotion, np.argmax(logits, axis=1)))


def confusion_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of many resamples at once, from confusion counts (..., 7, 7).

    Rows are true emotions. Definitions are scikit-learn's with `zero_division=0` and all seven
    labels. Precision is 0 for an emotion that is never predicted, recall for one without images,
    and F1 for one with neither. Balanced accuracy is the mean recall of the emotions with images.

    Returns:
        precision, recall and F1, float64 (..., 7); "macro F1" and "balanced accuracy", float64
        (...).
    """
    correct = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    images, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
    recall = correct / np.maximum(images, 1)
    f1 = 2 * correct / np.maximum(images + predicted, 1)
    return {
        "precision": correct / np.maximum(predicted, 1),
        "recall": recall,
        "F1": f1,
        "macro F1": f1.mean(axis=-1),
        "balanced accuracy": recall.sum(axis=-1) / np.maximum((images > 0).sum(axis=-1), 1),
    }


def cross_entropy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats."""
    logs = log_softmax(np.asarray(logits, np.float64), axis=1)
    return float(-logs[np.arange(len(emotion)), emotion].mean())


class SeedSummary(NamedTuple):
    """Summary of the accuracies of a recipe's seeds.

    `deviation` is the sample standard deviation (n - 1); it is NaN for one seed.
    """

    mean: float
    deviation: float
    minimum: float
    maximum: float


def seed_summary(accuracies: np.ndarray) -> SeedSummary:
    """Summarise the accuracies of a recipe's seeds, float (runs,).

    Raises:
        StudyError: there is no accuracy, or the shape is not (runs,).
    """
    accuracies = np.asarray(accuracies, np.float64)
    if accuracies.ndim != 1 or not len(accuracies):
        raise StudyError(
            f"accuracies: expected one per seed, (runs,), found shape {accuracies.shape}."
        )
    deviation = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else float("nan")
    return SeedSummary(
        float(accuracies.mean()), deviation, float(accuracies.min()), float(accuracies.max())
    )


def mean_prediction(members: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Prediction of an ensemble: the logarithm of the members' mean probability, float32 (n, 7).

    It is used like logits: its softmax is the mean of the members' softmaxes.

    Args:
        members: logits (members, n, 7), or a list of (n, 7), for the same images in the same order.

    Raises:
        StudyError: there is no member, or they do not all have one shape (n, 7).
    """
    predictions = [np.asarray(logits, np.float64) for logits in members]
    shapes = sorted({logits.shape for logits in predictions})
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != len(EMOTIONS):
        raise StudyError(
            f"ensemble: expected members with logits of one shape (n, {len(EMOTIONS)}), found "
            f"{', '.join(map(str, shapes)) or 'none'}. Score all members on the same images."
        )
    # Logarithms keep the order of probabilities that are too small for float32.
    logs = log_softmax(np.stack(predictions), axis=2)
    return (logsumexp(logs, axis=0) - np.log(len(predictions))).astype(np.float32)
