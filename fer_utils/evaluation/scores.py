"""Scores of one model, from its logits (n, 7) and the emotions (n,) of the images."""

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
    """F1, mean over all seven emotions, 0 to 1; that of an emotion with neither image nor answer counts as 0."""
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
    """Recall, mean over the emotions that have images, 0 to 1 (scikit-learn's definition, not adjusted for chance)."""
    with warnings.catch_warnings():
        # Of answers that name an emotion without an image, mistakes as any other; and of a single emotion.
        warnings.filterwarnings(
            "ignore", "y_pred contains classes not in y_true|A single label was found"
        )
        return float(balanced_accuracy_score(emotion, np.argmax(logits, axis=1)))


def confusion_scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from confusion counts (..., 7, 7), true emotion in rows: of many resamples at once.

    Defined as scikit-learn does with `zero_division=0` and all seven labels: precision of an emotion never answered is
    0, recall of one without an image is 0, F1 of one without either is 0, and balanced accuracy is the mean recall of
    the emotions that have images.

    Returns:
        precision, recall and F1, float64 (..., 7); "macro F1" and "balanced accuracy", float64 (...).
    """
    correct = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    images, answered = counts.sum(axis=-1), counts.sum(axis=-2)
    precision = correct / np.maximum(answered, 1)
    recall = correct / np.maximum(images, 1)
    f1 = 2 * correct / np.maximum(images + answered, 1)
    balanced = recall.sum(axis=-1) / np.maximum((images > 0).sum(axis=-1), 1)
    return {"precision": precision, "recall": recall, "F1": f1, "macro F1": f1.mean(axis=-1)} | {
        "balanced accuracy": balanced
    }


def cross_entropy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(
        -log_softmax(np.asarray(logits, np.float64), axis=1)[
            np.arange(len(emotion)), emotion
        ].mean()
    )


class SeedSummary(NamedTuple):
    """Accuracies of one recipe's seeds; `deviation` is the sample's (n - 1), NaN for one seed."""

    mean: float
    deviation: float
    minimum: float
    maximum: float


def seed_summary(accuracies: np.ndarray) -> SeedSummary:
    """How far seeds agree, from the accuracy of each, float (runs,).

    Raises:
        StudyError: there is none.
    """
    accuracies = np.asarray(accuracies, np.float64)
    if accuracies.ndim != 1 or not len(accuracies):
        raise StudyError(
            f"accuracies: expected one a seed, (runs,), found shape {accuracies.shape}."
        )
    deviation = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else float("nan")
    return SeedSummary(
        float(accuracies.mean()), deviation, float(accuracies.min()), float(accuracies.max())
    )


def mean_prediction(members: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The ensemble's answer: the log of the members' mean probability, float32 (n, 7).

    It takes the place of logits: its softmax is the mean of the members' softmaxes.

    Args:
        members: logits (members, n, 7), or a list of (n, 7), of the same images in the same order.

    Raises:
        StudyError: there is no member, or they are not of one shape (n, 7).
    """
    answers = [np.asarray(logits, np.float64) for logits in members]
    shapes = sorted({logits.shape for logits in answers})
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] != len(EMOTIONS):
        raise StudyError(
            f"ensemble: expected members with logits of one shape (n, {len(EMOTIONS)}), found "
            f"{', '.join(map(str, shapes)) or 'none'}. Score all of them on the same images."
        )
    # In logs throughout: a probability too small for float32 keeps its order.
    logs = log_softmax(np.stack(answers), axis=2)
    return (logsumexp(logs, axis=0) - np.log(len(answers))).astype(np.float32)
