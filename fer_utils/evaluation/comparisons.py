"""Comparisons of models on the same images.

`correct` is True for each correct prediction, bool (n,), or (runs, n) with one row per seed, always
for the same images in the same order. Logits are (n, 7) or (runs, n, 7) likewise.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.evaluation.intervals import CELLS, SCORES, means_over_emotions
from fer_utils.evaluation.resampling import (
    LEVEL,
    cells,
    correct_of,
    logits_of_runs,
    percentile_interval,
    resampled,
    share_correct,
)


def paired_bootstrap(
    correct_a: np.ndarray, correct_b: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a difference in accuracy, a minus b, on the same images.

    Each resample takes the same images for both models, so effects of easy and hard images cancel.
    Several runs are resampled as in `bootstrap_interval`, with the same limits. Runs of a and of b
    are resampled independently, because runs of two recipes with one seed have nothing in common.

    Args:
        correct_a: bool (n,) or (runs, n).
        correct_b: the same for the other model, which may have another number of runs.
        seed: seed of the resampling.

    Returns:
        Low and high, -1 to 1.

    Raises:
        StudyError: an array is not bool, has another shape or is empty, or the numbers of images
            differ.
    """
    a, b = _pair(correct_a, correct_b)
    means_a, means_b = resampled([a, b], 2, share_correct, seed)
    low, high = percentile_interval((means_a - means_b)[:, 0])
    return float(low), float(high)


def paired_scores(logits_a: np.ndarray, logits_b: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Differences in accuracy, macro F1 and balanced accuracy, a minus b, with paired intervals.

    Intervals are those of `paired_bootstrap`, and scores those of `score_table`.

    Args:
        logits_a: (n, 7) or (runs, n, 7).
        logits_b: the same for the other model, which may have another number of runs.
        emotion: (n,).

    Returns:
        Index score: accuracy, macro F1, balanced accuracy. Columns difference, low, high, -1 to 1.

    Raises:
        StudyError: the shapes of logits and emotions do not match, or there is no image.
    """
    a = logits_of_runs("logits_a", logits_a, emotion)
    b = logits_of_runs("logits_b", logits_b, emotion)
    means_a, means_b = resampled([cells(a, emotion), cells(b, emotion)], CELLS, means_over_emotions)
    of_accuracy = paired_bootstrap(a.argmax(axis=2) == emotion, b.argmax(axis=2) == emotion)
    lows, highs = percentile_interval(means_a - means_b)
    table = pd.DataFrame(index=pd.Index(SCORES, name="score"))
    table["difference"] = [
        np.mean([score(run, emotion) for run in a]) - np.mean([score(run, emotion) for run in b])
        for score in SCORES.values()
    ]
    table["low"], table["high"] = [of_accuracy[0], *lows], [of_accuracy[1], *highs]
    return table


class McNemar(NamedTuple):
    """Result of McNemar's test of two models, a and b.

    Attributes:
        only_a: number of images that only a classifies correctly.
        only_b: number of images that only b classifies correctly.
        difference: accuracy of a minus that of b.
        p: p-value.
    """

    only_a: int
    only_b: int
    difference: float
    p: float


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Exact McNemar test (McNemar 1947): two-sided binomial test of two trained models.

    It uses the images that exactly one of the models classifies correctly; without any, p is 1.
    The result holds for these weights and not for other seeds of the same recipes.

    Args:
        correct_a: bool (n,).
        correct_b: bool (n,).

    Raises:
        StudyError: an array is not bool (n,) or is empty, or the lengths differ.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test  # Half a second to import.

    a, b = _pair(correct_a, correct_b)
    if np.ndim(correct_a) != 1 or np.ndim(correct_b) != 1:
        raise StudyError(
            f"mcnemar: expected one run per model, bool (n,), found {np.shape(correct_a)} and "
            f"{np.shape(correct_b)}. Compare several seeds with paired_bootstrap."
        )
    both, only_a = int((a & b).sum()), int((a & ~b).sum())
    only_b, neither = int((b & ~a).sum()), int((~a & ~b).sum())
    p = float(test([[both, only_a], [only_b, neither]], exact=True).pvalue)
    return McNemar(only_a, only_b, (only_a - only_b) / a.size, p)


def compare_all(
    predictions: Mapping[str, np.ndarray], emotion: np.ndarray, seed: int = 0
) -> pd.DataFrame:
    """Compare each pair of several trained models, with Holm's correction (Holm 1979).

    Holm's correction accounts for the number of pairs. At most 5 % of such tables call a pair of
    equally accurate models different, however the tests depend on each other. The intervals are
    not corrected: each one is for its own pair.

    Args:
        predictions: by model, predictions of one run as indices into `EMOTIONS`, int (n,); all for
            the same images.
        emotion: (n,).
        seed: seed of the resampling.

    Returns:
        One row per pair, in the order of `predictions`: model, other; difference (accuracy of
        model minus that of other) with its paired bootstrap interval, low and high; only_model and
        only_other, the numbers of images that only one classifies correctly; p, the exact McNemar
        test of these; p_holm, the same corrected; significant, True if p_holm is at most 0.05.

    Raises:
        StudyError: there are fewer than two models, or a model does not have one prediction per
            image.
    """
    from statsmodels.stats.multitest import multipletests

    if len(predictions) < 2:
        raise StudyError(
            f"compare_all: expected two or more models, found {', '.join(predictions) or 'none'}."
        )
    correct = {}
    for name, of_model in predictions.items():
        predicted = np.asarray(of_model)
        if predicted.shape != np.shape(emotion) or not np.issubdtype(predicted.dtype, np.integer):
            raise StudyError(
                f"compare_all: expected a prediction of {name} for each of {len(emotion):,} "
                f"images, int (n,), found {predicted.dtype} {predicted.shape}. Pass "
                "logits.argmax(axis=1) of one run."
            )
        correct[name] = predicted == emotion
    rows = []
    for model, other in combinations(correct, 2):
        test = mcnemar(correct[model], correct[other])
        low, high = paired_bootstrap(correct[model], correct[other], seed)
        rows.append(
            {
                "model": model,
                "other": other,
                "difference": test.difference,
                "low": low,
                "high": high,
                "only_model": test.only_a,
                "only_other": test.only_b,
                "p": test.p,
            }
        )
    table = pd.DataFrame(rows)
    significant, corrected, *_ = multipletests(table["p"], alpha=1 - LEVEL, method="holm")
    return table.assign(p_holm=corrected, significant=significant)


def pairs_finding(table: pd.DataFrame) -> str:
    """State in one or two sentences which pairs in a table of `compare_all` differ."""
    significant = table[table["significant"]]
    if significant.empty:
        return (
            f"After Holm's correction, none of {len(table)} pairs of models differs significantly "
            "in accuracy."
        )
    largest = significant.iloc[significant["difference"].abs().argmax()]
    better, worse = largest["model"], largest["other"]
    if largest["difference"] < 0:
        better, worse = worse, better
    return (
        f"After Holm's correction, {len(significant)} of {len(table)} pairs of models differ "
        f"significantly in accuracy. The largest difference is {better} minus {worse}: "
        f"{100 * abs(largest['difference']):.1f} points."
    )


def _pair(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = correct_of("correct_a", correct_a), correct_of("correct_b", correct_b)
    if a.shape[1] != b.shape[1]:
        raise StudyError(
            f"comparison: expected predictions for the same images, found {a.shape[1]:,} and "
            f"{b.shape[1]:,}. Choose the images that both models predicted."
        )
    return a, b
