"""Whether answers are right as often as their probabilities say: reliability, calibration errors, Brier score."""

from itertools import pairwise

import numpy as np
import pandas as pd

from fer_utils.evaluation import accuracy_interval

BINS = 15
"""Of a reliability diagram and of calibration errors, as Guo et al. (2017) have it."""


def reliability(
    probabilities: np.ndarray, emotion: np.ndarray, bins: int = BINS, *, equal_mass: bool = False
) -> pd.DataFrame:
    """The top answers by their probability: how sure, and how often right (DeGroot & Fienberg 1983).

    Args:
        probabilities: (n, 7).
        emotion: (n,).
        bins: how many; with `equal_mass` fewer, where many probabilities are equal.
        equal_mass: as many images in each bin, instead of equal widths.

    Returns:
        A row a bin: low, high (its ends), images, confidence (their mean probability), accuracy, and its 95 % Wilson
        interval accuracy_low and accuracy_high; the last four NaN where there is no image.
    """
    best, correct = _answers(probabilities, emotion)
    which, edges = bins_of(best, bins, equal_mass)
    rows = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = which == number
        row = {"low": low, "high": high, "images": int(inside.sum())}
        if row["images"]:
            share = float(correct[inside].mean())
            ends = accuracy_interval(share, row["images"])
            row |= {"confidence": float(best[inside].mean()), "accuracy": share}
            row |= {"accuracy_low": ends[0], "accuracy_high": ends[1]}
        rows.append(row)
    columns = ["low", "high", "images", "confidence", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame(rows, columns=columns)


def calibration_error(
    probabilities: np.ndarray, emotion: np.ndarray, bins: int = BINS, *, equal_mass: bool = False
) -> float:
    """Expected calibration error of the top answers (Naeini et al. 2015), 0 to 1.

    In bins of equal width, or of equal mass ("adaptive", Nguyen & O'Connor 2015). Sampling alone makes it larger than
    0 however well calibrated a model is: `calibration_table` says by how much.
    """
    return float(
        np.abs(binned_gaps(probabilities, emotion, bins, equal_mass).sum(axis=0)).sum()
        / len(emotion)
    )


def classwise_calibration_error(
    probabilities: np.ndarray, emotion: np.ndarray, bins: int = BINS
) -> float:
    """Mean over the classes of the calibration error of each one's probability (Kull et al. 2019), 0 to 1."""
    probabilities = np.asarray(probabilities)
    errors = []
    for number, shares in enumerate(probabilities.T):
        which, _ = bins_of(shares, bins, False)
        gaps = np.bincount(which, weights=(emotion == number) - shares, minlength=bins)
        errors.append(np.abs(gaps).sum() / len(shares))
    return float(np.mean(errors))


def brier_losses(probabilities: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    """Brier's score of each image over all classes, as he defined it (Brier 1950), of probabilities (n, classes).

    Float (n,), 0 at best, 2 at worst; a model's score is their mean.
    """
    probabilities = np.asarray(probabilities)
    return ((probabilities - np.eye(probabilities.shape[1])[emotion]) ** 2).sum(axis=1)


def _answers(probabilities: np.ndarray, emotion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each top answer, float (n,), and whether it is right, bool (n,)."""
    probabilities = np.asarray(probabilities)
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == emotion


def bins_of(values: np.ndarray, bins: int, equal_mass: bool) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each value, int (n,), and the bins' ends, float (bins + 1,); a value on an end is in the upper bin."""
    if equal_mass:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
        edges = edges if len(edges) > 1 else np.repeat(edges, 2)
        return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2), edges
    return np.minimum((values * bins).astype(int), bins - 1), np.linspace(0, 1, bins + 1)


def binned_gaps(
    probabilities: np.ndarray, emotion: np.ndarray, bins: int = BINS, equal_mass: bool = False
) -> np.ndarray:
    """Right less probability of each top answer in the column of its bin, float (n, bins)."""
    best, correct = _answers(probabilities, emotion)
    which, edges = bins_of(best, bins, equal_mass)
    return (which[:, None] == np.arange(len(edges) - 1)) * (correct - best)[:, None]
