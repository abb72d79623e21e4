"""Models held against each other on the same images.

Comparisons take `right`: whether the answer to each image is right, bool (n,), or (runs, n) with a row for each seed,
always of the same images in the same order.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from fer_utils.errors import StudyError
from fer_utils.evaluation.intervals import RESAMPLES, middle, resampled, runs_of


def paired_bootstrap(
    right_a: np.ndarray, right_b: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a difference in accuracy, a minus b, on the same images.

    Each resample takes the same images for both, so what makes an image easy for both cancels out. Where one has
    several runs they are resampled as `bootstrap_interval` does, with its limits, those of a independently of those
    of b: two recipes have nothing in common at one seed.

    Args:
        right_a: bool (n,) or (runs, n).
        right_b: the same for the other; it may have another number of runs.
        level: share of such intervals that cover, 0 to 1.
        resamples: how many.
        seed: of the resampling.

    Returns:
        Low and high, -1 to 1.

    Raises:
        StudyError: one is not bool, has another shape or is empty, or their numbers of images differ.
    """
    a, b = _pair(right_a, right_b)
    means_a, means_b = resampled([a, b], resamples, seed)
    return middle(means_a - means_b, level)


class McNemar(NamedTuple):
    """Two models on the same images: how many only one has right, the accuracy of a minus b's, and the p-value."""

    only_a: int
    only_b: int
    difference: float
    p: float


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> McNemar:
    """Exact McNemar test (McNemar 1947): two-sided binomial, on the images that just one of two models has right.

    It compares two trained models; that another seed of either would do the same it does not say.

    Args:
        right_a: bool (n,).
        right_b: bool (n,).

    Raises:
        StudyError: one is not bool (n,) or is empty, or their lengths differ.
    """
    a, b = _pair(right_a, right_b)
    if np.ndim(right_a) != 1 or np.ndim(right_b) != 1:
        raise StudyError(
            f"mcnemar: expected one run each, bool (n,), found {np.shape(right_a)} and {np.shape(right_b)}. Compare "
            "several seeds with paired_bootstrap."
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    # Where the models differ on no image there is nothing to test.
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, (only_a - only_b) / a.size, p)


def _pair(right_a: np.ndarray, right_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = runs_of("right_a", right_a), runs_of("right_b", right_b)
    if a.shape[1] != b.shape[1]:
        raise StudyError(
            f"comparison: expected answers to the same images, found {a.shape[1]:,} and {b.shape[1]:,}. Choose the "
            "images that both were scored on."
        )
    return a, b
