"""Near-duplicates: the same photo with other pixels, for example resized, translated or flipped.

Comparison of a pair. Each image is reduced to the lowest frequencies of its discrete cosine
transform, as in perceptual hashes. Each frequency is divided by its root mean square over the
images (whitening). Without whitening, all faces with similar light resemble each other. The
similarity of two images is the correlation of these filtered images at the best translation of up
to three pixels. One image is flipped if this raises the similarity.

Search for pairs. The time to compare all pairs would grow with the square of the number of images.
Random projection trees (Dasgupta & Freund 2008, doi 10.1145/1374376.1374452) halve the images
repeatedly by random projections of their coarsest frequencies. The few hundred images of a leaf are
compared by matrix products. Near-duplicates that are separated in one of the `TREES` trees share a
leaf in another.

Choice of the threshold. Photos of different people match each other about as often as they match
each other's horizontal flip. Few true near-duplicates are flipped. The number of flipped pairs
therefore estimates the number of matches expected by chance, as decoys do in mass spectrometry
(Elias & Gygi 2007, doi 10.1038/nmeth1019). In FER-2013, pairs with a similarity below 0.7 are as
often flipped as unflipped. Unflipped pairs are rarest at 0.76. They have a second mode at 0.92,
which flipped pairs lack: the near-duplicates. Samples of 48 unflipped pairs were inspected by eye:

| similarity | pairs that show the same photo |
|---|---|
| 0.78 to 0.80 | about 36 of 48 |
| 0.80 to 0.82 | 45 of 48 |
| 0.82 to 0.84 | 48 of 48 (13 flipped for about 430 unflipped pairs) |

A threshold of 0.82 therefore has few false positives. It misses some near-duplicates, mostly those
with another crop.
"""

import numpy as np
import pandas as pd
from scipy.fft import dctn
from scipy.fft import idct as inverse

from fer_utils.audits.duplicates import duplicate_groups
from fer_utils.audits.pictures import near_constant
from fer_utils.data.faces import Faces
from fer_utils.emotions import TRAINING, USAGES

SIMILAR = 0.82
"""Smallest similarity of near-duplicates. The module's docstring explains the choice."""

MEANINGLESS = 0.5
"""If chance may explain this share of the near-duplicates, they are not significant."""

BAND, COARSE = 12, 6  # lowest of 48 frequencies along each side: those kept, and the coarsest
# Pairs with lower correlations are not aligned, because they cannot be near-duplicates.
COARSE_SIMILAR, BAND_SIMILAR = 0.75, 0.3
# Pairs are aligned at 32 x 32 pixels. A translation by 2 of these pixels is 3 pixels of the image.
GRID, REACH = 32, 2
LEAF, TREES = 512, 24  # images per leaf, at most; number of trees
BATCH = 4096  # images at a time
PAIRS = 256  # pairs at a time; more do not fit into the processor's cache


def near_duplicates(faces: Faces, similar: float = SIMILAR) -> pd.DataFrame:
    """Find pairs of near-duplicates, each pair once.

    Near-constant images are left out, because they show only noise. Each exact duplicate counts: a
    picture that occurs three times and resembles another image makes three pairs.

    Args:
        faces: at least one.
        similar: smallest similarity of a pair. Below `COARSE_SIMILAR`, the search misses most
            pairs.

    Returns:
        One row per pair, sorted by i and j. Columns: i, j (positions in `faces`, i < j, int64),
        similarity (float32), flipped (one is the horizontal flip of the other, bool), usage_i,
        usage_j (splits), same_label (bool).
    """
    there = np.flatnonzero(~near_constant(faces))
    groups = duplicate_groups(faces.images[there])
    first = np.unique(groups, return_index=True)[1]
    spectra = _spectra(faces.images, there[first])
    even, odd = _parts(spectra[:, :COARSE, :COARSE])
    pairs = _candidates(even, odd)
    pairs, flipped = _alike(spectra, pairs)
    similarity = _aligned(spectra, pairs, flipped)
    found = similarity >= similar
    table = pd.DataFrame(
        {"a": pairs[found, 0], "b": pairs[found, 1], "similarity": similarity[found]}
    )
    table["flipped"] = flipped[found]
    members = pd.DataFrame({"group": groups, "row": there})
    for column, group in (("i", "a"), ("j", "b")):
        table = table.merge(members.rename(columns={"group": group, "row": column}), on=group)
    table[["i", "j"]] = np.sort(table[["i", "j"]].to_numpy(np.int64), axis=1)
    for column in ("i", "j"):
        table[f"usage_{column}"] = faces.usage[table[column]]
    table["same_label"] = faces.emotion[table["i"]] == faces.emotion[table["j"]]
    columns = ["i", "j", "similarity", "flipped", "usage_i", "usage_j", "same_label"]
    return table[columns].sort_values(["i", "j"], ignore_index=True)


def near_duplicates_by_usage(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count the images of a split (rows) with a near-duplicate in a split (columns), int64."""
    both = _both_ways(pairs)
    counts = both.groupby(["usage_i", "usage_j"])["i"].nunique().unstack()
    counts = counts.reindex(index=USAGES, columns=USAGES).fillna(0).astype(np.int64)
    return counts.rename_axis(index="usage", columns="near-duplicate in")


def near_leaked(faces: Faces, usage: str, pairs: pd.DataFrame) -> np.ndarray:
    """The images of a test split that have a near-duplicate in Training.

    `duplicates.leaked` finds exact duplicates. An image may have both.

    Args:
        faces: the faces that `pairs` was found in.
        usage: the test split.
        pairs: as `near_duplicates(faces)` returns them.

    Returns:
        bool (m,), in the order of `faces.of(usage)`.

    Raises:
        StudyError: the split is unknown or has no face.
    """
    faces.of(usage)  # raises StudyError
    both = _both_ways(pairs)
    found = np.zeros(len(faces), bool)
    found[both.loc[both["usage_j"] == TRAINING, "i"]] = True
    return found[faces.usage == usage]


def expected_by_chance(pairs: pd.DataFrame) -> float | None:
    """Upper bound on the share of unflipped pairs that match by chance, 0 to 1.

    It is the number of flipped pairs over that of unflipped ones. Chance makes about as many of
    each, and some flipped pairs are near-duplicates. 1 means that the pairs are not significant, as
    with drawn faces. None means that there is no unflipped pair.
    """
    flipped = int(pairs["flipped"].sum())
    unflipped = len(pairs) - flipped
    return min(1.0, flipped / unflipped) if unflipped else None


def significant(pairs: pd.DataFrame) -> bool:
    """True if chance explains less than half of the pairs."""
    chance = expected_by_chance(pairs)
    return chance is None or chance < MEANINGLESS


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    swapped = pairs.rename(columns={"i": "j", "j": "i", "usage_i": "usage_j", "usage_j": "usage_i"})
    return pd.concat([pairs, swapped], ignore_index=True)


def _spectra(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Whitened cosine coefficients of the images at `which`, float32 (n, BAND, BAND).

    The coefficient of the mean is 0.
    """
    spectra = np.empty((len(which), BAND, BAND), np.float32)
    for start in range(0, len(which), BATCH):
        some = images[which[start : start + BATCH]].astype(np.float32)
        spectra[start : start + BATCH] = dctn(some, axes=(1, 2), norm="ortho")[:, :BAND, :BAND]
    spectra[:, 0, 0] = 0
    size = (
        np.sqrt(np.mean(spectra**2, axis=0, dtype=np.float64))
        if len(spectra)
        else np.ones((BAND, BAND))
    )
    spectra /= np.where(size > 0, size, 1).astype(np.float32)
    return spectra


def _parts(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts that a horizontal flip keeps and negates, float32 (n, k) each, of joint length 1.

    The products of two images' parts sum to their correlation. Their difference is the correlation
    with the other image flipped.
    """
    count, side, _ = spectra.shape
    length = np.linalg.norm(spectra.reshape(count, side * side), axis=1)[:, None]
    length = np.maximum(length, np.finfo(np.float32).tiny)
    even, odd = (spectra[:, :, start::2].reshape(count, side * side // 2) for start in (0, 1))
    return even / length, odd / length


def _candidates(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """Pairs whose coarsest frequencies agree, flipped or not: int64 (m, 2), smaller index first."""
    from threadpoolctl import threadpool_limits

    count, generator, found = len(even), np.random.default_rng(0), [np.empty(0, np.int64)]
    # Small matrix products are slower with several threads.
    with threadpool_limits(1, "blas"):
        for _ in range(TREES):
            parts = [np.arange(count)]
            while parts:
                part = parts.pop()
                if len(part) > LEAF:
                    # A flip does not change the even part, so flipped pairs stay together.
                    along = even[part] @ generator.standard_normal(even.shape[1], np.float32)
                    order = np.argpartition(along, len(part) // 2)
                    parts += [part[order[: len(part) // 2]], part[order[len(part) // 2 :]]]
                    continue
                agreement = even[part] @ even[part].T + np.abs(odd[part] @ odd[part].T)
                one, other = np.divmod(
                    np.flatnonzero(agreement > COARSE_SIMILAR), max(1, len(part))
                )
                one, other = part[one], part[other]
                found.append((one * count + other)[one < other])
            found = [np.unique(np.concatenate(found))]
    return np.stack(np.divmod(found[0], max(1, count)), axis=1)


def _alike(spectra: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs whose whole bands agree without translation, and whether each is flipped, bool."""
    even, odd = _parts(spectra)
    by_even, by_odd = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BATCH):
        some = slice(start, start + BATCH)
        one, other = pairs[some].T
        by_even[some] = np.einsum("nk,nk->n", even[one], even[other])
        by_odd[some] = np.einsum("nk,nk->n", odd[one], odd[other])
    good = by_even + np.abs(by_odd) > BAND_SIMILAR
    return pairs[good], by_odd[good] < 0


def _aligned(spectra: np.ndarray, pairs: np.ndarray, flipped: np.ndarray) -> np.ndarray:
    """The correlation of each pair at the best translation, float32 (m,), -1 to 1."""
    waves = inverse(np.eye(GRID, BAND, dtype=np.float32), axis=0, norm="ortho")
    inner, best = GRID - 2 * REACH, np.full(len(pairs), -1, np.float32)
    for start in range(0, len(pairs), PAIRS):
        some = slice(start, start + PAIRS)
        one, other = (waves @ spectra[which] @ waves.T for which in pairs[some].T)
        other[flipped[some]] = other[flipped[some], :, ::-1]
        middle = np.ascontiguousarray(one[:, REACH:-REACH, REACH:-REACH])
        for down in range(2 * REACH + 1):
            for across in range(2 * REACH + 1):
                window = other[:, down : down + inner, across : across + inner]
                size = np.sqrt(np.einsum("nij,nij->n", window, window))
                fit = np.einsum("nij,nij->n", middle, window) / np.maximum(
                    size, np.finfo(np.float32).tiny
                )
                np.maximum(best[some], fit, out=best[some])
        size = np.sqrt(np.einsum("nij,nij->n", middle, middle))
        best[some] /= np.maximum(size, np.finfo(np.float32).tiny)
    return best
