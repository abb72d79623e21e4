"""Whether maps of where a network looks may be believed: the same network with random weights must give others.

Adebayo et al., "Sanity Checks for Saliency Maps", 2018, arXiv 1810.03292.
"""

import random
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError

SPLITS = 100
"""Random divisions of the images into halves that `sanity_check` looks at."""


class SanityCheck(NamedTuple):
    """Whether maps depend on what a network learned.

    Attributes:
        table: a row a comparison: comparison, correlation (Spearman's, mean), low, high (95 % of it: of random halves,
            or of images), images.
        passed: mean maps of the trained network agree with themselves better than with the random network's, in at
            least 95 % of the random halves.
        verdict: the same as a sentence with its numbers.
    """

    table: pd.DataFrame
    passed: bool
    verdict: str


def sanity_check(
    trained: np.ndarray,
    untrained: np.ndarray,
    emotion: np.ndarray,
    *,
    splits: int = SPLITS,
    seed: int = 0,
) -> SanityCheck:
    """Compare a trained network's maps with those of the same network with random weights (Adebayo et al. 2018,
    arXiv 1810.03292): explanations that look alike for both show the faces, not what was learned.

    Rank correlations of any two maps of faces are above 0 where both follow the picture, so they are held against how
    far the trained network's maps agree among themselves. The images of each emotion are divided at random into two
    halves, and the mean maps of one half are compared with those of the other, by emotion, then averaged: of the
    trained network with itself (how reliable such a map is), with the random network, and with itself for other
    emotions (how far maps say anything of the emotion). No image is on both sides of these. The last comparisons are
    of single maps of the same image, as they are and, as a random network has no reason for either sign, as absolute
    values.

    Args:
        trained: maps (n, 48, 48).
        untrained: the random network's, of the same images and emotions.
        emotion: int (n,). Emotions with fewer than two images are left out of the halves.
        splits: how many random halves.
        seed: of the halves.

    Raises:
        StudyError: shapes differ, or no emotion has two images.
    """
    if not np.shape(trained) == np.shape(untrained) == (len(emotion), SIDE, SIDE):
        raise StudyError(
            f"sanity check: expected maps of the same {len(emotion)} images, ({len(emotion)}, {SIDE}, {SIDE}), found "
            f"{np.shape(trained)} and {np.shape(untrained)}."
        )
    there = [np.flatnonzero(emotion == number) for number in range(len(EMOTIONS))]
    there = [indices for indices in there if len(indices) > 1]
    if not there:
        raise StudyError(
            "sanity check: expected an emotion with two images to divide, found none. Choose more images."
        )
    generator = np.random.default_rng(seed)
    halves = np.array(
        [_compare_halves(trained, untrained, there, generator) for _ in range(splits)]
    )
    comparisons = {
        "trained with itself, other images": halves[:, 0],
        "trained with random, other images": halves[:, 1],
        "trained with itself, other images of other emotions": halves[:, 2],
        "trained with random, same image": _spearman(trained, untrained),
        "trained with random, same image, without sign": _spearman(
            np.abs(trained), np.abs(untrained)
        ),
    }
    rows = []
    for name, values in comparisons.items():
        known = values[~np.isnan(values)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        mean = known.mean() if len(known) else np.nan
        images = len(known) if "same image" in name else sum(map(len, there))
        rows.append(
            {"comparison": name, "correlation": mean, "low": low, "high": high, "images": images}
        )
    table = pd.DataFrame(rows)
    # A random network whose maps are the same all over correlates with nothing.
    better = np.mean(halves[:, 0] > np.nan_to_num(halves[:, 1]))
    passed = bool(better >= 0.95)
    return SanityCheck(table, passed, _verdict(table["correlation"].to_numpy(), better, passed))


def randomised(model, seed: int):
    """The same network with weights as before training, drawn by `seed`; the model given stays as it is.

    All of it is new, batch normalisation's statistics and a fitted front included. A kernel that begins as zeros, as
    Tang's last does, is drawn by Glorot's rule: answers that are the same for every image cannot be looked into. Other
    random numbers are not disturbed.

    Args:
        model: a `keras.Model` of layers, float32 (n, 48, 48, 1) to logits.
        seed: the same gives the same weights.
    """
    from fer_utils.networks.backend import keras

    # Each initialiser that was given no seed takes one from Python's generator.
    before = random.getstate()
    random.seed(seed)
    try:
        fresh = keras.models.clone_model(model)
        for variable in fresh.trainable_variables:
            if len(variable.shape) > 1 and not np.any(keras.ops.convert_to_numpy(variable)):
                variable.assign(keras.initializers.GlorotUniform()(variable.shape))
    finally:
        random.setstate(before)
    return fresh


def _compare_halves(
    trained, untrained, there: list[np.ndarray], generator
) -> tuple[float, float, float]:
    """Correlations of mean maps of two random halves: trained with itself, with random, with other emotions."""
    first, second = [], []
    for indices in there:
        order = generator.permutation(indices)
        first.append(order[: len(order) // 2])
        second.append(order[len(order) // 2 :])

    def means(maps, halves):
        return np.stack([maps[half].mean(axis=0, dtype=np.float64) for half in halves])

    one, other = _ranks(means(trained, first)), _ranks(means(trained, second))
    with_random = [
        (one * _ranks(means(untrained, second))).sum(1),
        (_ranks(means(untrained, first)) * other).sum(1),
    ]
    between = one @ other.T
    same = np.eye(len(there), dtype=bool)
    return _mean(between[same]), _mean(np.concatenate(with_random)), _mean(between[~same])


def _ranks(maps: np.ndarray) -> np.ndarray:
    """Ranks of each map's pixels, centred and of length 1, so that the product of two maps is their Spearman
    correlation; float64 (n, 2304), NaN for a map that is the same all over."""
    ranks = rankdata(np.asarray(maps).reshape(len(maps), SIDE * SIDE), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.where(length > 0, length, np.nan)


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of maps (n, 48, 48), float64 (n,)."""
    return (_ranks(a) * _ranks(b)).sum(axis=1)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _verdict(correlation: np.ndarray, better: float, passed: bool) -> str:
    itself, untrained, others = correlation[:3]
    if np.isnan(itself):
        return "The trained network's maps are the same all over, so there is nothing to check."
    if np.isnan(untrained):
        return "The random network's maps are the same all over: they have nothing of the trained network's."
    between = f"; between emotions it is {others:.2f}" if not np.isnan(others) else ""
    opening = (
        "The maps depend on what was learned"
        if passed
        else "Nothing shows that the maps depend on what was learned"
    )
    return (
        f"{opening}: mean maps of two halves of the images correlate {itself:.2f} for the trained network, and "
        f"{untrained:.2f} with the random network's, less in {better:.0%} of the divisions{between}."
    )
