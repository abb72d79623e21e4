"""What is gained when uncertain answers are rejected: accuracy of those kept against how many they are.

This is selective classification (El-Yaniv & Wiener 2010); the probability of the top answer says how certain it is.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.analysis.calibration import SHARE_RIGHT, fit_threshold
from fer_utils.evaluation import accuracy_interval

TARGETS = (SHARE_RIGHT, 0.9)
"""Shares of right answers that thresholds are fitted for."""


def coverage_curve(probabilities: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Accuracy of the answers kept, for every threshold.

    Args:
        probabilities: (n, 7).
        emotion: (n,).

    Returns:
        A row a threshold, the highest first: probability (the least that is kept), images, coverage (their share),
        accuracy, and its 95 % Wilson interval, low and high. Answers of equal probability are kept together.
    """
    best, correct, ends = _ranked(probabilities, emotion)
    kept = ends + 1
    accuracy = np.cumsum(correct)[ends] / kept
    intervals = np.array(
        [accuracy_interval(*each) for each in zip(accuracy, kept.tolist(), strict=True)]
    )
    return pd.DataFrame(
        {
            "probability": best[ends],
            "images": kept,
            "coverage": kept / len(correct),
            "accuracy": accuracy,
            "low": intervals[:, 0],
            "high": intervals[:, 1],
        }
    )


class RiskArea(NamedTuple):
    """Area under the risk-coverage curve: the model's, of rejection at random, and of errors rejected first."""

    area: float
    random: float
    perfect: float


def risk_area(probabilities: np.ndarray, emotion: np.ndarray) -> RiskArea:
    """Mean share of wrong answers among those kept, over every number of answers kept (Geifman et al. 2019), 0 to 1.

    Of answers of equal probability each counts as wrong as the mean of them, whatever their order.
    """
    _, correct, ends = _ranked(probabilities, emotion)
    sizes = np.diff(ends, prepend=-1)
    wrong = np.repeat(np.add.reduceat((~correct).astype(float), ends - sizes + 1) / sizes, sizes)
    numbers = np.arange(1, len(correct) + 1)
    error = float(wrong.mean())
    sorted_out = np.sort(~correct)
    return RiskArea(
        float((np.cumsum(wrong) / numbers).mean()),
        error,
        float((np.cumsum(sorted_out) / numbers).mean()),
    )


def threshold_table(
    fitted: tuple[np.ndarray, np.ndarray],
    judged: tuple[np.ndarray, np.ndarray],
    targets: tuple[float, ...] = TARGETS,
) -> pd.DataFrame:
    """Thresholds chosen on one split and applied to another.

    Args:
        fitted: probabilities (n, 7) and emotions (n,) that they are chosen on, PublicTest's.
        judged: the same that they are judged on.
        targets: shares of right answers aimed at, 0 to 1.

    Returns:
        A row a target: target, probability (the threshold), fitted_coverage (share of the first split that reaches
        it); on the second images, coverage, coverage_low, coverage_high, accuracy, low, high (95 % Wilson intervals;
        accuracy NaN where no answer is kept).
    """
    shares, emotion = judged
    best, correct = np.asarray(shares).max(axis=1), np.asarray(shares).argmax(axis=1) == emotion
    rows = []
    for target in targets:
        threshold = fit_threshold(*fitted, target)
        kept = best >= threshold.probability
        images = int(kept.sum())
        accuracy = float(correct[kept].mean()) if images else float("nan")
        covered = accuracy_interval(kept.mean(), len(kept))
        low, high = accuracy_interval(accuracy, images) if images else (float("nan"), float("nan"))
        row = {
            "target": target,
            "probability": threshold.probability,
            "fitted_coverage": threshold.coverage,
        }
        row |= {"images": images, "coverage": float(kept.mean()), "coverage_low": covered[0]}
        row |= {"coverage_high": covered[1], "accuracy": accuracy, "low": low, "high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def coverage_finding(table: pd.DataFrame, area: RiskArea) -> str:
    """What `threshold_table` and `risk_area` found, in a sentence or two."""
    said = []
    for row in table.to_dict("records"):
        if not row["images"]:
            said.append(f"no answer reaches the threshold for {row['target']:.0%} right")
            continue
        missed = "" if row["high"] >= row["target"] else ", short of what was aimed at"
        said.append(
            f"the threshold for {row['target']:.0%} right keeps {row['coverage']:.0%} of the answers, "
            f"{row['accuracy']:.1%} of them right ({row['low']:.1%} to {row['high']:.1%}){missed}"
        )
    gap = area.random - area.perfect
    gained = ""
    if gap > 0:
        gained = f"; its order of certainty gains {(area.random - area.area) / gap:.0%} of what a perfect one would"
    sentence = f"{'; '.join(said)}{gained}."
    return sentence[0].upper() + sentence[1:]


def _ranked(
    probabilities: np.ndarray, emotion: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of the top answers, highest first, whether each is right, and the last index of each probability."""
    probabilities = np.asarray(probabilities)
    best = probabilities.max(axis=1)
    order = np.argsort(-best, kind="stable")
    correct = (probabilities.argmax(axis=1) == emotion)[order]
    return best[order], correct, np.flatnonzero(np.append(np.diff(best[order]) != 0, True))
