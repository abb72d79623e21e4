"""Reliability: observed accuracy against predicted probability, calibration errors, Brier score."""

from itertools import pairwise

import numpy as np
import pandas as pd

from fer_utils.evaluation import accuracy_interval

BINS = 15
"""Number of bins of reliability diagrams and calibration errors, as in Guo et al. (2017)."""


def reliability(probabilities: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Compare confidence with accuracy in bins of equal width (DeGroot & Fienberg 1983).

    The confidence of a prediction is its probability, the largest of an image's seven.

    Args:
        probabilities: (n, 7).
        emotion: true emotions, int (n,).

    Returns:
        One row per bin: low and high (its ends), images, confidence (mean), accuracy, and the
        accuracy's 95 % Wilson interval, accuracy_low and accuracy_high. The last four are NaN in
        a bin without images.
    """
    confidence, correct = _confidence(probabilities, emotion)
    members, edges = bins_of(confidence)
    rows = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = members == number
        row = {"low": low, "high": high, "images": int(inside.sum())}
        if row["images"]:
            share = float(correct[inside].mean())
            ends = accuracy_interval(share, row["images"])
            row |= {"confidence": float(confidence[inside].mean()), "accuracy": share}
            row |= {"accuracy_low": ends[0], "accuracy_high": ends[1]}
        rows.append(row)
    columns = ["low", "high", "images", "confidence", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=columns)


def calibration_error(
    probabilities: np.ndarray, emotion: np.ndarray, *, equal_mass: bool = False
) -> float:
    """Return the expected calibration error of the predictions (Naeini et al. 2015), 0 to 1.

    Sampling noise makes it positive even for a perfectly calibrated model. `calibration_table`
    estimates that part.

    Args:
        probabilities: (n, 7).
        emotion: true emotions, int (n,).
        equal_mass: use bins with equal numbers of images ("adaptive", Nguyen & O'Connor 2015)
            instead of bins of equal width.
    """
    gaps = binned_gaps(probabilities, emotion, equal_mass=equal_mass)
    return float(np.abs(gaps.sum(axis=0)).sum() / len(emotion))


def classwise_calibration_error(probabilities: np.ndarray, emotion: np.ndarray) -> float:
    """Return the mean calibration error of the classes' probabilities (Kull et al. 2019), 0 to 1.

    Args:
        probabilities: (n, classes).
        emotion: true classes, int (n,).
    """
    probabilities = np.asarray(probabilities)
    errors = []
    for number, shares in enumerate(probabilities.T):
        members, _ = bins_of(shares)
        gaps = np.bincount(members, weights=(emotion == number) - shares, minlength=BINS)
        errors.append(np.abs(gaps).sum() / len(shares))
    return float(np.mean(errors))


def brier_losses(probabilities: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    """Return the Brier loss of each image, summed over classes (Brier 1950), float (n,).

    It is 0 at best and 2 at worst. The Brier score of a model is the mean of the losses.

    Args:
        probabilities: (n, classes).
        emotion: true classes, int (n,).
    """
    probabilities = np.asarray(probabilities)
    return ((probabilities - np.eye(probabilities.shape[1])[emotion]) ** 2).sum(axis=1)


def bins_of(values: np.ndarray, *, equal_mass: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Assign values from 0 to 1 to bins.

    A value on the border of two bins belongs to the upper one. Bins of equal mass that would
    coincide, because many values are equal, are merged.

    Returns:
        The bin of each value, int (n,), and the ends of the bins, float (bins + 1,).
    """
    if not equal_mass:
        return np.minimum((values * BINS).astype(int), BINS - 1), np.linspace(0, 1, BINS + 1)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2), edges


def binned_gaps(
    probabilities: np.ndarray, emotion: np.ndarray, *, equal_mass: bool = False
) -> np.ndarray:
    """Return correctness (0 or 1) minus confidence of each image, float (n, bins).

    The value is in the column of the image's bin; the other columns are 0.
    """
    confidence, correct = _confidence(probabilities, emotion)
    members, edges = bins_of(confidence, equal_mass=equal_mass)
    return (members[:, None] == np.arange(len(edges) - 1)) * (correct - confidence)[:, None]


def _confidence(probabilities: np.ndarray, emotion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each prediction, float (n,), and its correctness, bool (n,)."""
    probabilities = np.asarray(probabilities)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == emotion
