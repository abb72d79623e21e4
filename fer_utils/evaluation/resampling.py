"""The bootstrap behind all intervals (Efron 1979).

`draw_counts` draws images with replacement, for any bootstrap of the study. `percentile_interval`
turns the scores of resamples into a 95 % interval.

`resampled` also resamples the runs of a model. It takes one code per image, because scores ignore
the order of images: either whether the prediction is correct (2 codes), or its cell of the
confusion matrix (49 codes).
"""

from collections.abc import Callable

import numpy as np

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

LEVEL = 0.95
"""Coverage of all intervals, and 1 minus the significance level of all tests."""
RESAMPLES = 10_000
"""Number of resamples. With another seed, the ends of a 95 % interval on 3,589 images move by about
0.02 points."""
AT_ONCE = 1000
"""Resamples per batch, to bound memory: with several runs there may be as many kinds as images."""


def draw_counts(counts: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Draw bootstrap resamples of images, as the number of images of each kind.

    Images of a kind have equal scores, so one multinomial draw per resample is the same as drawing
    images with replacement. With `np.ones(n)` each image is a kind of its own; the mean of `values`
    (n,) in each resample is then `draw_counts(np.ones(n), ...) @ values / n`.

    Args:
        counts: number of images of each kind, (kinds,).
        resamples: number of resamples.
        generator: advanced by the draws.

    Returns:
        int64 (resamples, kinds). Each row sums to the number of images.
    """
    images = int(np.sum(counts))
    return generator.multinomial(images, np.asarray(counts) / images, size=resamples)


def percentile_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % percentile interval of scores (resamples, ...): low and high, each (...)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def resampled(
    models: list[np.ndarray], codes: int, score: Callable[[np.ndarray], np.ndarray], seed: int = 0
) -> list[np.ndarray]:
    """Score each model in resamples of the images and of its runs.

    A resample has the same images for all models. The runs of a model are resampled independently
    of those of other models.

    Args:
        models: one array of codes per model, int (runs, n) from 0 to `codes` - 1, or bool; all for
            the same n images.
        codes: number of codes.
        score: function from the number of images with each code, float64 (..., codes), to m scores,
            float64 (..., m).
        seed: seed of the resampling.

    Returns:
        Mean over runs of each score, float64 (RESAMPLES, m), one array per model.
    """
    generator = np.random.default_rng(seed)
    # Images with equal codes in all runs are one kind.
    kinds, counts = np.unique(np.concatenate(models), axis=1, return_counts=True)
    has_code = [of_run[:, None] == np.arange(codes) for of_run in kinds]
    batches = []
    for start in range(0, RESAMPLES, AT_ONCE):
        size = min(AT_ONCE, RESAMPLES - start)
        # Matrix products use BLAS for floats only. The counts are exact in float64.
        drawn = draw_counts(counts, size, generator).astype(np.float64)
        batches.append(np.stack([score(drawn @ of_run) for of_run in has_code]))
    scores = np.concatenate(batches, axis=1)
    means = []
    for of_model in np.split(scores, np.cumsum([len(model) for model in models])[:-1]):
        runs = len(of_model)
        weights = draw_counts(np.ones(runs), RESAMPLES, generator)
        means.append((weights.T[:, :, None] * of_model).sum(axis=0) / runs)
    return means


def share_correct(counts: np.ndarray) -> np.ndarray:
    """Accuracy, (..., 1), from the numbers of wrong and correct predictions, (..., 2)."""
    return counts[..., 1:] / counts.sum(axis=-1, keepdims=True)


def correct_of(name: str, correct: np.ndarray) -> np.ndarray:
    """Check an array of correct predictions, (n,) or (runs, n), and return it as bool (runs, n).

    Raises StudyError, which names the array `name`.
    """
    correct = np.asarray(correct)
    if correct.dtype != bool or correct.ndim not in (1, 2) or not correct.size:
        raise StudyError(
            f"{name}: expected True for each correct prediction, bool (n,) or (runs, n), found "
            f"{correct.dtype} {correct.shape}."
        )
    return np.atleast_2d(correct)


def logits_of_runs(name: str, logits: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    """Check logits, (n, 7) or (runs, n, 7), against n emotions, and return them as (runs, n, 7).

    Raises StudyError, which names the logits `name`.
    """
    runs = np.asarray(logits)
    runs = runs[None] if runs.ndim == 2 else runs
    if runs.ndim != 3 or runs.shape[1:] != (len(emotion), len(EMOTIONS)) or not runs.size:
        raise StudyError(
            f"{name}: expected logits (n, {len(EMOTIONS)}) or (runs, n, {len(EMOTIONS)}) for n = "
            f"{len(emotion):,} emotions, found {np.shape(logits)}."
        )
    return runs


def cells(logits: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    """Cell of each image in its run's confusion matrix, int64 (runs, n).

    The number of a cell is 7 * true emotion + predicted emotion.
    """
    return len(EMOTIONS) * np.asarray(emotion, np.int64) + np.argmax(logits, axis=-1)
