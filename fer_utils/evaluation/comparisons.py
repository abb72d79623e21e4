"""Models held against each other on the same images.

`right` says whether the answer to each image is right, bool (n,), or (runs, n) with a row for each seed, always of the
same images in the same order; logits are (n, 7) or (runs, n, 7) likewise.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.evaluation.intervals import CELLS, means_over_emotions
from fer_utils.evaluation.resampling import (
    RESAMPLES,
    cells,
    correct_of,
    logits_of_runs,
    middle,
    resampled,
    share_correct,
)
from fer_utils.evaluation.scores import accuracy, balanced_accuracy, macro_f1


def paired_bootstrap(
    correct_a: np.ndarray,
    correct_b: np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
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
    means_a, means_b = resampled(
        list(_pair(correct_a, correct_b)), 2, share_correct, resamples, seed
    )
    low, high = middle((means_a - means_b)[:, 0], level)
    return float(low), float(high)


def paired_scores(
    logits_a: np.ndarray,
    logits_b: np.ndarray,
    emotion: np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences in accuracy, macro F1 and balanced accuracy, a minus b, with their paired bootstrap intervals.

    As `paired_bootstrap`, whose interval that of accuracy is; scores as in `score_table`.

    Args:
        logits_a: (n, 7) or (runs, n, 7).
        logits_b: the same for the other; it may have another number of runs.
        emotion: (n,).
        level: share of such intervals that cover, 0 to 1.
        resamples: how many.
        seed: of the resampling.

    Returns:
        Index score: accuracy, macro F1, balanced accuracy; columns difference, low, high, -1 to 1.

    Raises:
        StudyError: logits and emotions do not belong together, or there is no image.
    """
    a, b = (
        logits_of_runs("logits_a", logits_a, emotion),
        logits_of_runs("logits_b", logits_b, emotion),
    )
    means_a, means_b = resampled(
        [cells(a, emotion), cells(b, emotion)], CELLS, means_over_emotions, resamples, seed
    )
    lows, highs = middle(means_a - means_b, level)
    correct_a, correct_b = (runs.argmax(axis=2) == emotion for runs in (a, b))
    rows = {"accuracy": (accuracy, *paired_bootstrap(correct_a, correct_b, level, resamples, seed))}
    rows |= {
        "macro F1": (macro_f1, lows[0], highs[0]),
        "balanced accuracy": (balanced_accuracy, lows[1], highs[1]),
    }
    return pd.DataFrame(
        [
            (
                np.mean([score(run, emotion) for run in a])
                - np.mean([score(run, emotion) for run in b]),
                low,
                high,
            )
            for score, low, high in rows.values()
        ],
        index=pd.Index(rows, name="score"),
        columns=["difference", "low", "high"],
    )


class McNemar(NamedTuple):
    """Two models on the same images: how many only one has right, the accuracy of a minus b's, and the p-value."""

    only_a: int
    only_b: int
    difference: float
    p: float


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Exact McNemar test (McNemar 1947): two-sided binomial, on the images that just one of two models has right.

    It compares two trained models; that another seed of either would do the same it does not say. Where the models
    differ on no image, p is 1.

    Args:
        right_a: bool (n,).
        right_b: bool (n,).

    Raises:
        StudyError: one is not bool (n,) or is empty, or their lengths differ.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test  # Half a second to import.

    a, b = _pair(correct_a, correct_b)
    if np.ndim(correct_a) != 1 or np.ndim(correct_b) != 1:
        raise StudyError(
            f"mcnemar: expected one run each, bool (n,), found {np.shape(correct_a)} and {np.shape(correct_b)}. Compare "
            "several seeds with paired_bootstrap."
        )
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = float(
        test([[int((a & b).sum()), only_a], [only_b, int((~a & ~b).sum())]], exact=True).pvalue
    )
    return McNemar(only_a, only_b, (only_a - only_b) / a.size, p)


def compare_all(
    answers: Mapping[str, np.ndarray],
    emotion: np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Every two of several trained models, with Holm's correction (Holm 1979) for how many pairs there are.

    At most 1 - `level` of such tables call any pair different whose models are equally good, however the tests depend
    on each other. The intervals are of each pair alone, not widened for their number.

    Args:
        answers: of one run each, index into `EMOTIONS`, int (n,), by the model's name; all to the same images.
        emotion: (n,).
        level: of the intervals, and 1 - the error rate of all tests together; 0 to 1.
        resamples: of each interval.
        seed: of the resampling.

    Returns:
        A row a pair, in the order of `answers`: model, other; difference in accuracy, model less other, with its
        paired bootstrap interval, low and high; only_model and only_other, the images that just one has right; p,
        McNemar's exact test on these, p_holm, the same corrected, and significant, whether that is at most 1 - level.

    Raises:
        StudyError: there are fewer than two models, or one has not an answer to each image.
    """
    from statsmodels.stats.multitest import multipletests

    if len(answers) < 2:
        raise StudyError(
            f"compare_all: expected two models or more, found {', '.join(answers) or 'none'}."
        )
    for name, given in answers.items():
        if np.shape(given) != np.shape(emotion) or not np.issubdtype(
            np.asarray(given).dtype, np.integer
        ):
            raise StudyError(
                f"compare_all: expected an answer of {name} to each of {len(emotion):,} images, int (n,), found "
                f"{np.asarray(given).dtype} {np.shape(given)}. Give logits.argmax(axis=1) of one run."
            )
    correct = {name: np.asarray(given) == emotion for name, given in answers.items()}
    rows = []
    for model, other in combinations(correct, 2):
        test = mcnemar(correct[model], correct[other])
        low, high = paired_bootstrap(correct[model], correct[other], level, resamples, seed)
        row = {
            "model": model,
            "other": other,
            "difference": test.difference,
            "low": low,
            "high": high,
        }
        rows.append(row | {"only_model": test.only_a, "only_other": test.only_b, "p": test.p})
    table = pd.DataFrame(rows)
    significant, corrected, *_ = multipletests(table["p"], alpha=1 - level, method="holm")
    return table.assign(p_holm=corrected, significant=significant)


def pairs_finding(table: pd.DataFrame) -> str:
    """What a table of `compare_all` says, in one sentence."""
    apart = table[table["significant"]]
    if apart.empty:
        return f"After Holm's correction none of {len(table)} pairs of models is shown to differ in accuracy."
    most = apart.iloc[apart["difference"].abs().argmax()]
    better, worse = (
        (most["model"], most["other"]) if most["difference"] > 0 else (most["other"], most["model"])
    )
    return (
        f"After Holm's correction {len(apart)} of {len(table)} pairs of models differ in accuracy, most of all "
        f"{better} from {worse}, by {100 * abs(most['difference']):.1f} points."
    )


def _pair(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = correct_of("right_a", correct_a), correct_of("right_b", correct_b)
    if a.shape[1] != b.shape[1]:
        raise StudyError(
            f"comparison: expected answers to the same images, found {a.shape[1]:,} and {b.shape[1]:,}. Choose the "
            "images that both were scored on."
        )
    return a, b
