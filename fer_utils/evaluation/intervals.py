"""How far scores may be trusted: intervals over images, and over seeds.

They take `right`: whether the answer to each image is right, bool (n,), or (runs, n) with a row for each seed, always
of the same images in the same order.
"""

import numpy as np
from scipy.stats import binomtest

from fer_utils.errors import StudyError
from fer_utils.evaluation.scores import accuracy

RESAMPLES = 10_000
"""Of a bootstrap: another resampling moves the ends of a 95 % interval on 3,589 images by about 0.02 points."""


def accuracy_interval(share: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of a top-1 accuracy on so many images.

    It covers the sampling of images, not of seeds.
    """
    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def split_scores(prefix: str, logits: np.ndarray, emotion: np.ndarray) -> dict[str, float]:
    """`<prefix>_accuracy`, `<prefix>_low` and `<prefix>_high`: accuracy and its 95 % interval."""
    share = accuracy(logits, emotion)
    low, high = accuracy_interval(share, len(emotion))
    return {f"{prefix}_accuracy": share, f"{prefix}_low": low, f"{prefix}_high": high}


def bootstrap_interval(
    right: np.ndarray, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
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
    (means,) = resampled([runs_of("right", right)], resamples, seed)
    return middle(means, level)


def runs_of(name: str, right: np.ndarray) -> np.ndarray:
    """`right` as bool (runs, n), or a StudyError."""
    right = np.asarray(right)
    if right.dtype != bool or right.ndim not in (1, 2) or not right.size:
        raise StudyError(
            f"{name}: expected whether each answer is right, bool (n,) or (runs, n), found {right.dtype} {right.shape}."
        )
    return np.atleast_2d(right)


def resampled(models: list[np.ndarray], resamples: int, seed: int) -> list[np.ndarray]:
    """Mean accuracy of each model, bool (runs, n), in each resample of images and runs; float64 (resamples,) each."""
    generator = np.random.default_rng(seed)
    # Images that every run answers alike are interchangeable. To draw how many there are of each such kind is to draw
    # images, and there are few kinds: two for one run, thirty-two at most for five.
    kinds, counts = np.unique(np.concatenate(models), axis=1, return_counts=True)
    images = counts.sum()
    shares = generator.multinomial(images, counts / images, size=resamples) @ kinds.T / images
    means = []
    for part in np.split(shares, np.cumsum([len(model) for model in models])[:-1], axis=1):
        runs = part.shape[1]
        drawn = generator.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
        means.append((drawn * part).sum(axis=1) / runs)
    return means


def middle(means: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
