"""Sanity check of explanations: a network with random weights must have different maps.

Adebayo et al., "Sanity Checks for Saliency Maps", 2018, arXiv 1810.03292.
"""

import random
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError
from fer_utils.evaluation.wording import number, percent

SPLITS = 100
"""Number of random splits of the images into halves."""


class SanityCheck(NamedTuple):
    """Result of `sanity_check`.

    Attributes:
        table: one row per comparison: comparison, correlation (Spearman's, mean), low and high
            (central 95 % of the correlations, over random splits or over images), images.
        passed: in at least 95 % of the random splits, the trained network's mean maps correlate
            better with each other than with the random network's.
        verdict: the result in a few sentences.
    """

    table: pd.DataFrame
    passed: bool
    verdict: str


def sanity_check(
    trained: np.ndarray, untrained: np.ndarray, emotion: np.ndarray, *, seed: int = 0
) -> SanityCheck:
    """Compare a trained network's maps with those of the same network with random weights.

    Explanations that look alike for both reflect the faces, not what the network learned (Adebayo
    et al. 2018, arXiv 1810.03292).

    Any two maps of faces correlate if both follow the image. The check therefore compares with the
    agreement of the trained network's maps among each other. The images of each emotion are split
    at random into two halves. The mean maps of one half are compared with those of the other half,
    by emotion, and the correlations are averaged. There are three such comparisons, without common
    images: with the trained network itself (reliability of a mean map), with the random network,
    and with the trained network for other emotions (dependence on the emotion).

    Two more comparisons are of single maps of the same image, as they are and as absolute values:
    the sign of a random network's map is arbitrary.

    Args:
        trained: maps (n, 48, 48).
        untrained: maps of the random network, for the same images and emotions.
        emotion: int (n,). Emotions with fewer than two images are left out of the splits.
        seed: seed of the splits.

    Raises:
        StudyError: shapes differ, or no emotion has two images.
    """
    if not np.shape(trained) == np.shape(untrained) == (len(emotion), SIDE, SIDE):
        raise StudyError(
            f"sanity check: expected maps of the same {len(emotion)} images, ({len(emotion)}, "
            f"{SIDE}, {SIDE}), found {np.shape(trained)} and {np.shape(untrained)}."
        )
    groups = [np.flatnonzero(emotion == code) for code in range(len(EMOTIONS))]
    groups = [indices for indices in groups if len(indices) > 1]
    if not groups:
        raise StudyError(
            "sanity check: expected an emotion with two or more images, found none. Choose more "
            "images."
        )
    generator = np.random.default_rng(seed)
    halves = np.array(
        [_compare_halves(trained, untrained, groups, generator) for _ in range(SPLITS)]
    )
    in_halves = sum(map(len, groups))
    signed = _spearman(trained, untrained)
    unsigned = _spearman(np.abs(trained), np.abs(untrained))
    rows = [
        _row("trained and trained, other images", halves[:, 0], in_halves),
        _row("trained and random, other images", halves[:, 1], in_halves),
        _row("trained and trained, other images and emotions", halves[:, 2], in_halves),
        _row("trained and random, same image", signed),
        _row("trained and random, same image, absolute values", unsigned),
    ]
    table = pd.DataFrame(rows)
    # A random network with constant maps has an undefined correlation, counted as 0.
    better = np.mean(halves[:, 0] > np.nan_to_num(halves[:, 1]))
    passed = bool(better >= 0.95)
    return SanityCheck(table, passed, _verdict(table["correlation"].to_numpy(), better, passed))


def randomised(model, seed: int):
    """Return a copy of a network with new initial weights.

    All weights are new, including the statistics of batch normalisation and an adapted
    preprocessing layer. A kernel that is initialised with zeros, such as Tang's last one, gets
    Glorot's initialisation: constant logits cannot be explained. Other random number generators
    keep their state.

    Args:
        model: a `keras.Model` of layers, float32 (n, 48, 48, 1) to logits. It is not changed.
        seed: seed of the weights.
    """
    from fer_utils.networks.backend import keras

    # Initialisers without a seed take one from Python's global generator.
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


def _row(comparison: str, correlations: np.ndarray, images: int | None = None) -> dict:
    """Return a row of the table; `images` defaults to the number of defined correlations."""
    defined = correlations[~np.isnan(correlations)]
    low, high = np.quantile(defined, [0.025, 0.975]) if len(defined) else (np.nan, np.nan)
    row = {"comparison": comparison, "correlation": _mean(correlations), "low": low, "high": high}
    return row | {"images": len(defined) if images is None else images}


def _compare_halves(
    trained, untrained, groups: list[np.ndarray], generator
) -> tuple[float, float, float]:
    """Correlate mean maps of two random halves.

    Returns:
        Mean correlations of the trained network with itself, with the random network, and with
        itself for other emotions.
    """
    first, second = [], []
    for indices in groups:
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
    same = np.eye(len(groups), dtype=bool)
    return _mean(between[same]), _mean(np.concatenate(with_random)), _mean(between[~same])


def _ranks(maps: np.ndarray) -> np.ndarray:
    """Return the pixel ranks of each map, centred and of length 1, float64 (n, 2304).

    The product of two rows is Spearman's correlation of the maps. A constant map becomes NaN.
    """
    ranks = rankdata(np.asarray(maps).reshape(len(maps), SIDE * SIDE), axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    return ranks / np.where(length > 0, length, np.nan)


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of each pair of maps (n, 48, 48), float64 (n,)."""
    return (_ranks(a) * _ranks(b)).sum(axis=1)


def _mean(values: np.ndarray) -> float:
    """Return the mean without NaN, or NaN if there is no other value."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _verdict(correlation: np.ndarray, better: float, passed: bool) -> str:
    itself, untrained, others = correlation[:3]
    if np.isnan(itself):
        return "The trained network's maps are constant, so there is nothing to check."
    if np.isnan(untrained):
        return "The random network's maps are constant, unlike those of the trained network."
    sentences = [
        "The maps depend on what the network learned."
        if passed
        else "There is no evidence that the maps depend on what the network learned.",
        "Between two halves of the images, the trained network's mean maps correlate "
        f"{number(itself, 2)}.",
        f"With the random network's maps, the correlation is {number(untrained, 2)}; it is lower "
        f"in {percent(better, 0)} of the random splits.",
    ]
    if not np.isnan(others):
        sentences.append(f"Between emotions, the correlation is {number(others, 2)}.")
    return " ".join(sentences)
