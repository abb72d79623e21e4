"""How far scores may be trusted: 95 % intervals over images and, where a model has several runs, over these too.

`right` says whether the answer to each image is right, bool (n,), or (runs, n) with a row for each seed, always of the
same images in the same order; logits are (n, 7) or (runs, n, 7) likewise.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation.resampling import (
    RESAMPLES,
    cells,
    correct_of,
    logits_of_runs,
    middle,
    resampled,
    share_correct,
)
from fer_utils.evaluation.scores import accuracy, balanced_accuracy, confusion_scores, macro_f1

CELLS = len(EMOTIONS) ** 2


def accuracy_interval(share: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of a top-1 accuracy on so many images.

    It covers the sampling of images, not of seeds.
    """
    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def split_scores(prefix: str, logits: np.ndarray, emotion: np.ndarray) -> dict[str, float]:
    """`<prefix>_accuracy`, `<prefix>_low` and `<prefix>_high`: accuracy and its 95 % interval, Wilson's."""
    share = accuracy(logits, emotion)
    low, high = accuracy_interval(share, len(emotion))
    return {f"{prefix}_accuracy": share, f"{prefix}_low": low, f"{prefix}_high": high}


def bootstrap_interval(
    correct: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval (Efron 1979) of the accuracy, mean over seeds.

    One run: it covers the sampling of images, for these very weights, as `accuracy_interval` does. Several: images are
    resampled, the same for all runs, and runs are resampled too (the pigeonhole bootstrap, Owen 2007), so that it
    covers what the recipe's mean accuracy would be on other images and other seeds; not the accuracy of one further
    seed, which varies more. Of few runs it sees too little: the seeds' share of the variance comes out (runs - 1) /
    runs of what it is. In simulations with three seeds, 95 % intervals covered 85 to 92 % where seeds differed by more
    than the sampling of images does, and 97 % where they hardly differed.

    Args:
        right: bool (n,) or (runs, n).
        level: share of such intervals that cover, 0 to 1.
        resamples: how many; more make the ends steadier.
        seed: of the resampling. The same seed gives the same interval, in whatever order the images are.

    Returns:
        Low and high, 0 to 1.

    Raises:
        StudyError: `right` is not bool, has another shape, or is empty.
    """
    (means,) = resampled([correct_of("right", correct)], 2, share_correct, resamples, seed)
    low, high = middle(means[:, 0], level)
    return float(low), float(high)


def score_table(
    logits: np.ndarray,
    emotion: np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracy, macro F1 and balanced accuracy, each with its percentile bootstrap interval.

    Definitions are those of `accuracy`, `macro_f1` and `balanced_accuracy`, in each resample as on all images. Of
    several runs the mean, and runs are resampled with the limits that `bootstrap_interval` tells; accuracy's interval
    is that one. In simulations of a network with 69 % right and FER-2013's shares of emotions, 95 % intervals of macro
    F1 covered 94 % with 3,589 images and 92 % with 600, those of balanced accuracy 94 % with either: where they miss,
    they mostly lie too low.

    Args:
        logits: (n, 7) or (runs, n, 7).
        emotion: (n,).
        level: share of such intervals that cover, 0 to 1.
        resamples: how many.
        seed: of the resampling.

    Returns:
        Index score: accuracy, macro F1, balanced accuracy; columns value, low, high, 0 to 1.

    Raises:
        StudyError: logits and emotions do not belong together, or there is no image.
    """
    runs = logits_of_runs("score_table", logits, emotion)
    (means,) = resampled([cells(runs, emotion)], CELLS, means_over_emotions, resamples, seed)
    lows, highs = middle(means, level)
    rows = {
        "accuracy": (
            accuracy,
            *bootstrap_interval(runs.argmax(axis=2) == emotion, level, resamples, seed),
        )
    }
    rows |= {
        "macro F1": (macro_f1, lows[0], highs[0]),
        "balanced accuracy": (balanced_accuracy, lows[1], highs[1]),
    }
    return pd.DataFrame(
        [
            (np.mean([score(run, emotion) for run in runs]), low, high)
            for score, low, high in rows.values()
        ],
        index=pd.Index(rows, name="score"),
        columns=["value", "low", "high"],
    )


def per_emotion(
    logits: np.ndarray,
    emotion: np.ndarray,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Precision, recall, F1 and number of images by emotion, of one run, with percentile bootstrap intervals.

    A score without a case is 0, on all images as in a resample: precision where an emotion is never answered, recall
    where it has no image, F1 where both are so. All images are resampled together, so that the number of an emotion's
    images varies as well, which widens the intervals of rare ones.

    Args:
        logits: (n, 7).
        emotion: (n,).
        level: share of such intervals that cover, 0 to 1.
        resamples: how many.
        seed: of the resampling.

    Returns:
        Index emotion; columns precision, recall, F1 (0 to 1), images, and precision_low, precision_high, recall_low,
        recall_high, F1_low, F1_high.

    Raises:
        StudyError: logits and emotions do not belong together, or there is no image.
    """
    runs = logits_of_runs("per_emotion", np.asarray(logits)[None], emotion)
    values = precision_recall_fscore_support(
        emotion, runs[0].argmax(axis=1), labels=range(len(EMOTIONS)), zero_division=0
    )
    (means,) = resampled([cells(runs, emotion)], CELLS, by_emotion, resamples, seed)
    lows, highs = (ends.reshape(3, len(EMOTIONS)) for ends in middle(means, level))
    table = pd.DataFrame(
        dict(zip(("precision", "recall", "F1", "images"), values, strict=True)),
        index=pd.Index(EMOTIONS, name="emotion"),
    )
    for name, low, high in zip(("precision", "recall", "F1"), lows, highs, strict=True):
        table[f"{name}_low"], table[f"{name}_high"] = low, high
    return table


def means_over_emotions(counts: np.ndarray) -> np.ndarray:
    """Macro F1 and balanced accuracy, float64 (..., 2), from confusion counts (..., 49)."""
    scores = confusion_scores(_squares(counts))
    return np.stack([scores["macro F1"], scores["balanced accuracy"]], axis=-1)


def by_emotion(counts: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of each emotion, float64 (..., 21), from confusion counts (..., 49)."""
    scores = confusion_scores(_squares(counts))
    return np.concatenate([scores["precision"], scores["recall"], scores["F1"]], axis=-1)


def _squares(counts: np.ndarray) -> np.ndarray:
    return counts.reshape(*counts.shape[:-1], len(EMOTIONS), len(EMOTIONS))
