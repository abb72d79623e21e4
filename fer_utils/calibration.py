"""How far probabilities can be believed: a temperature, and the probability below which an answer is a guess.

Both are fitted on PublicTest, so what they do is to be judged on other images.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from fer_utils.evaluation import cross_entropy

SHARE_RIGHT = 0.8
"""How many of the answers that are not called uncertain shall be right."""


def fit_temperature(logits: np.ndarray, emotion: np.ndarray) -> float:
    """The number that logits (n, 7) are divided by so that their softmax has the least cross-entropy on these images.

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599); searched from 0.05 to 20. It changes no top answer.
    """
    found = minimize_scalar(
        lambda log: cross_entropy(np.asarray(logits, np.float64) / np.exp(log), emotion),
        bounds=(np.log(0.05), np.log(20)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


class Threshold(NamedTuple):
    """The least probability of an answer that is not uncertain, and the share of images that reach it."""

    probability: float
    coverage: float


def fit_threshold(probabilities: np.ndarray, emotion: np.ndarray, share_right: float = SHARE_RIGHT) -> Threshold:
    """The threshold that the most images reach while `share_right` of them are answered rightly.

    Where no threshold brings that, it is above 1, and every answer is uncertain.

    Args:
        probabilities: (n, 7).
        emotion: (n,).
        share_right: 0 to 1.
    """
    probabilities = np.asarray(probabilities)
    best = probabilities.max(axis=1)
    order = np.argsort(-best, kind="stable")
    right = (probabilities.argmax(axis=1) == emotion)[order]
    enough = np.cumsum(right) >= share_right * np.arange(1, len(right) + 1)
    # Equal probabilities are on the same side of a threshold.
    ends = np.append(np.diff(best[order]) != 0, True)
    if not (enough & ends).any():
        return Threshold(1.01, 0.0)
    last = int(np.flatnonzero(enough & ends)[-1])
    return Threshold(float(best[order][last]), (last + 1) / len(right))


def calibration_error(probabilities: np.ndarray, emotion: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of the top answers (Naeini et al. 2015), 0 to 1, in bins of equal width."""
    best = np.asarray(probabilities).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == emotion
    which = np.minimum((best * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=right - best, minlength=bins)
    return float(np.abs(gaps).sum() / len(best))
