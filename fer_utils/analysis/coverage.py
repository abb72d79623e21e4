"""Selective classification: accuracy of the predictions that are kept, against their share.

Uncertain predictions are rejected (El-Yaniv & Wiener 2010). The confidence of a prediction is its
probability.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.analysis.calibration import SHARE_RIGHT, fit_threshold
from fer_utils.evaluation import accuracy_interval
from fer_utils.evaluation.wording import interval, percent

TARGETS = (SHARE_RIGHT, 0.9)
"""Accuracies that thresholds are fitted for."""


def coverage_curve(probabilities: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Score the predictions that each possible threshold keeps.

    Args:
        probabilities: (n, 7).
        emotion: true emotions, int (n,).

    Returns:
        One row per threshold, highest first: probability (the threshold), images, coverage (their
        share), accuracy, and its 95 % Wilson interval, low and high. Predictions of equal
        probability are kept together.
    """
    confidence, correct, ends = _ranked(probabilities, emotion)
    kept = ends + 1
    accuracy = np.cumsum(correct)[ends] / kept
    intervals = np.array(
        [
            accuracy_interval(share, images)
            for share, images in zip(accuracy, kept.tolist(), strict=True)
        ]
    )
    return pd.DataFrame(
        {
            "probability": confidence[ends],
            "images": kept,
            "coverage": kept / len(correct),
            "accuracy": accuracy,
            "low": intervals[:, 0],
            "high": intervals[:, 1],
        }
    )


class RiskArea(NamedTuple):
    """Areas under the risk-coverage curve.

    Attributes:
        area: of the model.
        random: of a random order of rejection.
        perfect: of a perfect order, which rejects the errors first.
    """

    area: float
    random: float
    perfect: float


def risk_area(probabilities: np.ndarray, emotion: np.ndarray) -> RiskArea:
    """Return the area under the risk-coverage curve (Geifman et al. 2019), 0 to 1.

    It is the error rate of the kept predictions, averaged over all numbers of kept predictions.
    Predictions of equal probability have no order: each counts with their mean error.
    """
    _, correct, ends = _ranked(probabilities, emotion)
    sizes = np.diff(ends, prepend=-1)
    mean_errors = np.add.reduceat((~correct).astype(float), ends - sizes + 1) / sizes
    wrong = np.repeat(mean_errors, sizes)
    numbers = np.arange(1, len(correct) + 1)
    errors_last = np.sort(~correct)
    return RiskArea(
        area=float((np.cumsum(wrong) / numbers).mean()),
        random=float(wrong.mean()),
        perfect=float((np.cumsum(errors_last) / numbers).mean()),
    )


def threshold_table(
    fitted: tuple[np.ndarray, np.ndarray], judged: tuple[np.ndarray, np.ndarray]
) -> pd.DataFrame:
    """Fit a threshold for each of `TARGETS` on one split and score it on another.

    Args:
        fitted: probabilities (n, 7) and emotions (n,) of PublicTest, which the thresholds are
            fitted on.
        judged: probabilities and emotions of the split that they are scored on.

    Returns:
        One row per target: target, probability (the threshold), fitted_coverage (share of the
        first split above it). On the second split: images, coverage, coverage_low, coverage_high,
        accuracy, low, high (95 % Wilson intervals; accuracy is NaN if no prediction is kept).
    """
    shares, emotion = np.asarray(judged[0]), judged[1]
    confidence, correct = shares.max(axis=1), shares.argmax(axis=1) == emotion
    rows = []
    for target in TARGETS:
        threshold = fit_threshold(*fitted, target)
        kept = confidence >= threshold.probability
        images = int(kept.sum())
        covered = accuracy_interval(kept.mean(), len(kept))
        accuracy = low = high = float("nan")
        if images:
            accuracy = float(correct[kept].mean())
            low, high = accuracy_interval(accuracy, images)
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
    """Summarise the results of `threshold_table` and `risk_area` in a few sentences."""
    sentences = []
    for row in table.to_dict("records"):
        threshold = f"threshold for {percent(row['target'], 0)} accuracy"
        if not row["images"]:
            sentences.append(f"No prediction reaches the {threshold}.")
            continue
        below = ", which is below the target" if row["high"] < row["target"] else ""
        sentences.append(
            f"The {threshold} keeps {percent(row['coverage'])} of the predictions. "
            f"Their accuracy is {percent(row['accuracy'])} ({interval(row['low'], row['high'])})"
            f"{below}."
        )
    gap = area.random - area.perfect
    if gap > 0:
        sentences.append(
            "Rejecting the least confident predictions first achieves "
            f"{percent((area.random - area.area) / gap, 0)} of what a perfect order would gain."
        )
    return " ".join(sentences)


def _ranked(
    probabilities: np.ndarray, emotion: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort predictions by confidence, highest first.

    Returns:
        Their probabilities, float (n,); their correctness, bool (n,); and the last index of each
        distinct probability, int (m,).
    """
    probabilities = np.asarray(probabilities)
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    correct = (probabilities.argmax(axis=1) == emotion)[order]
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))
    return confidence[order], correct, ends
