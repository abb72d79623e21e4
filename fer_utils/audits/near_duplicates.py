"""Near-duplicates: the same photo with other pixels, such as resized, translated or flipped.

How a pair is compared. The lowest frequencies of an image's discrete cosine transform are kept, as
perceptual hashes do, and each is divided by its root mean square over the images: without that
(whitening), all faces that are lit alike resemble each other. `similarity` is the correlation of
two images filtered so, at the best of shifts by up to three pixels, with the other image flipped
where that fits better.

How pairs are found. Comparing all would take time as the square of their number. Instead the images
are halved again and again by random projections of their coarsest frequencies, until a few hundred
are left together (random projection trees, Dasgupta & Freund 2008, doi 10.1145/1374376.1374452),
and these are compared by matrix products. Near-duplicates that one of the
`TREES` trees separates are together in another.

How the threshold was chosen. Two photos of different people agree with each other's mirror image
about as often as with each other, and few near-duplicates are flipped, so flipped pairs show how
often chance reaches a similarity (as decoys do in a search of spectra, Elias & Gygi 2007, doi
10.1038/nmeth1019). In FER-2013 plain and flipped pairs are equally many below 0.7; plain ones are
fewest at 0.76, and rise again to a second mode at 0.92 that flipped ones lack: the copies. From
0.82 to 0.84 there are 13 flipped pairs for some 430 plain ones, and of 48 plain ones looked at, all
showed one photo; from 0.80 to 0.82 it was 45 of 48, from 0.78 to 0.80 some 36 of 48. So 0.82 says
little that is wrong and misses some copies, mostly those framed otherwise.
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

BAND, COARSE = 12, 6  # frequencies kept along each side, of 48: of all, and of the coarsest
# Pairs with lower correlations are no near-duplicates, and are not aligned.
COARSE_SIMILAR, BAND_SIMILAR = 0.75, 0.3
# Pairs are aligned on 32 x 32 pixels with translations of up to 2 pixels, which are 3 of an image.
GRID, REACH = 32, 2
LEAF, TREES = 512, 24
BATCH = 4096  # images at a time
PAIRS = 256  # pairs at a time: more leave the processor's cache


MEANINGLESS = 0.5
"""If chance may explain this share of the near-duplicates, they are not significant."""


def near_duplicates(faces: Faces, similar: float = SIMILAR) -> pd.DataFrame:
    """Find pairs of near-duplicates, each pair once.

    Near-constant images are left out, because they show only noise. Exact duplicates all take part:
    a picture that occurs three times and resembles another makes three pairs.

    Args:
        faces: at least one.
        similar: smallest similarity of a pair, `COARSE_SIMILAR` to 1. Below that, more pairs are
            missed than found.

    Returns:
        Columns: i, j (positions in `faces`, i < j, int64), similarity (float32), flipped (one is
            the
        horizontal flip of the other, bool), usage_i, usage_j, same_label (bool). Sorted by i and j.
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
    return counts.rename_axis(index="usage", columns="copy in")


def near_leaked(
    faces: Faces, usage: str, pairs: pd.DataFrame, *, same_label: bool = False
) -> np.ndarray:
    """The images of a test split that have a near-duplicate in Training.

    `duplicates.leaked` finds exact duplicates. An image may have both.

    Args:
        faces: the faces that `pairs` was found in.
        usage: the test split.
        pairs: as `near_duplicates(faces)` returns them.
        same_label: count only near-duplicates with the image's label.

    Returns:
        bool (m,), in the order of `faces.of(usage)`.

    Raises:
        StudyError: the split is unknown or has no face.
    """
    faces.of(usage)  # its errors
    both = _both_ways(pairs[pairs["same_label"]] if same_label else pairs)
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
    return min(1.0, flipped / (len(pairs) - flipped)) if len(pairs) > flipped else None


def significant(pairs: pd.DataFrame) -> bool:
    """True if chance explains less than half of the pairs."""
    chance = expected_by_chance(pairs)
    return chance is None or chance < MEANINGLESS


def _both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    swapped = pairs.rename(columns={"i": "j", "j": "i", "usage_i": "usage_j", "usage_j": "usage_i"})
    return pd.concat([pairs, swapped], ignore_index=True)


def _spectra(images: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Whitened cosine coefficients of the images at `which`, float32 (n, BAND, BAND), without the
    mean."""
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
    """Pairs whose coarsest frequencies agree, plain or flipped, int64 (m, 2), smaller index
    first."""
    from threadpoolctl import threadpool_limits

    count, generator, found = len(even), np.random.default_rng(0), [np.empty(0, np.int64)]
    # Small matrix products are slower with several threads.
    with threadpool_limits(1, "blas"):
        for _ in range(TREES):
            parts = [np.arange(count)]
            while parts:
                part = parts.pop()
                if len(part) > LEAF:
                    # The part that a flip keeps, so that flipped near-duplicates stay together.
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
    """The pairs whose whole bands agree without translation, and which are flipped, bool."""
    even, odd = _parts(spectra)
    plain, turned = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), BATCH):
        some = slice(start, start + BATCH)
        one, other = pairs[some].T
        plain[some] = np.einsum("nk,nk->n", even[one], even[other])
        turned[some] = np.einsum("nk,nk->n", odd[one], odd[other])
    good = plain + np.abs(turned) > BAND_SIMILAR
    return pairs[good], turned[good] < 0


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
