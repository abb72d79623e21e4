"""Explanations by occlusion: which regions of a face a network uses.

A grey patch slides over a face. Each pixel's value is the drop in the log-probability of the face's
emotion under the patches that cover the pixel (Zeiler & Fergus 2014, arXiv 1311.2901). The method
works for any predictor from images uint8 (n, 48, 48) to logits (n, 7). Gradients are not used: the
last feature map of the released network has 3x3 cells, too few for Grad-CAM.

Faces are aligned only by FER-2013's framing, so a mean map is no sharper than the mean face. The
patch is wide for that reason.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from tqdm.auto import tqdm

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError
from fer_utils.evaluation import draw_counts, percentile_interval
from fer_utils.evaluation.wording import interval, percent

PATCH, STRIDE = 9, 3
"""Side of the patch, about that of an eye or half a mouth, and its step, both in pixels.

The steps reach the image's last row and column: 48 - 9 is a multiple of 3.
"""

RESAMPLES = 2_000
"""Bootstrap resamples. The Monte Carlo error of an interval's end is a twentieth of its width."""

_BATCH = 2048
"""Images per call of the predictor: 5 MB as uint8, 19 MB as float32."""

REGIONS = {
    "forehead": (0, 10, 9, 39),
    "brows and eyes": (10, 22, 7, 42),
    "nose and cheeks": (22, 33, 7, 41),
    "mouth and chin": (33, 46, 10, 39),
}
"""Boxes (top, bottom, left, right) in pixels; bottom and right are exclusive.

The boxes are read off the mean of the 28,709 training faces. Its eyes are darkest in rows 16 to 18,
below brows that start in row 11. The tip of the nose ends in row 30. The mouth is darkest in rows
36 to 41. Left and right are where the mean face falls off most steeply into the background, rounded
over each band's rows. Pixels in no box belong to `OUTSIDE`.
"""
OUTSIDE = "outside the face"


def occlusion_maps(
    predictor: Callable[[np.ndarray], np.ndarray], images: np.ndarray, emotion: np.ndarray
) -> np.ndarray:
    """Compute one occlusion map per face, float32 (n, 48, 48), in nats.

    A pixel's value is a mean over the patches that cover it: the log-probability of the emotion
    without the patch minus that with it. It is positive if the hidden part is evidence for the
    emotion, and negative if it is evidence against it. Logarithms are used because probabilities
    near 1 hardly change. The patch has the image's own mean grey, so the image's brightness stays
    the same, also for networks that standardise each image.

    Args:
        predictor: uint8 (m, 48, 48) to logits (m, 7). It receives about 2,000 images per call.
        images: uint8 (n, 48, 48).
        emotion: emotions whose probability counts, int (n,): the labels or the predictions.

    Raises:
        StudyError: the numbers of images and emotions differ.
    """
    if len(images) != len(emotion):
        raise StudyError(
            f"occlusion: expected one emotion per image, found {len(images)} images and "
            f"{len(emotion)} emotions."
        )
    starts = np.arange(0, SIDE - PATCH + 1, STRIDE)
    # along: which pixels of one axis each patch covers; covers: the same for both axes.
    along = (starts[:, None] <= np.arange(SIDE)) & (np.arange(SIDE) < starts[:, None] + PATCH)
    covers = (along[:, None, :, None] & along[None, :, None, :]).reshape(-1, SIDE, SIDE)
    times_covered = covers.sum(axis=0)
    maps = np.empty((len(images), SIDE, SIDE), np.float32)
    faces_per_call = max(1, _BATCH // (len(covers) + 1))
    with tqdm(total=len(images), desc="occlusion", unit="face") as bar:
        for start in range(0, len(images), faces_per_call):
            part = np.asarray(images[start : start + faces_per_call])
            grey = np.rint(part.mean(axis=(1, 2))).astype(np.uint8)
            occluded = np.where(covers, grey[:, None, None, None], part[:, None])
            # Of each face, the first image is the original, the others are occluded.
            inputs = np.concatenate([part[:, None], occluded], axis=1)
            logits = np.asarray(predictor(inputs.reshape(-1, SIDE, SIDE)), np.float64)
            logs = log_softmax(logits, axis=1).reshape(*inputs.shape[:2], -1)
            of_emotion = logs[np.arange(len(part)), :, emotion[start : start + len(part)]]
            drops = of_emotion[:, :1] - of_emotion[:, 1:]
            maps[start : start + len(part)] = np.tensordot(drops, covers, axes=1) / times_covered
            bar.update(len(part))
    return maps


def choose(emotion: np.ndarray, logits: np.ndarray, per_emotion: int, seed: int) -> np.ndarray:
    """Choose random faces that a model classifies correctly.

    Args:
        emotion: true emotions, int (n,).
        logits: (n, 7).
        per_emotion: number of faces per emotion; fewer if fewer are correct.
        seed: seed of the random choice.

    Returns:
        Sorted indices, int64.
    """
    generator = np.random.default_rng(seed)
    correct = np.argmax(logits, axis=1) == emotion
    chosen = []
    for number in range(len(EMOTIONS)):
        candidates = np.flatnonzero(correct & (emotion == number))
        chosen.append(generator.permutation(candidates)[:per_emotion])
    return np.sort(np.concatenate(chosen))


class MeanMaps(NamedTuple):
    """Mean map of each emotion, float64 (7, 48, 48), and its number of images, int (7,).

    The map of an emotion without images is NaN.
    """

    maps: np.ndarray
    images: np.ndarray


def mean_maps(maps: np.ndarray, emotion: np.ndarray) -> MeanMaps:
    """Average maps or images (n, 48, 48) by emotion, without any alignment.

    Args:
        maps: (n, 48, 48).
        emotion: int (n,).
    """
    images = np.bincount(emotion, minlength=len(EMOTIONS))
    means = np.full((len(EMOTIONS), SIDE, SIDE), np.nan)
    for number in np.flatnonzero(images):
        means[number] = maps[emotion == number].sum(axis=0, dtype=np.float64) / images[number]
    return MeanMaps(means, images)


def region_masks() -> dict[str, np.ndarray]:
    """Return a mask, bool (48, 48), per region and for `OUTSIDE`; each pixel is in exactly one."""
    masks = {}
    for name, (top, bottom, left, right) in REGIONS.items():
        masks[name] = np.zeros((SIDE, SIDE), bool)
        masks[name][top:bottom, left:right] = True
    return masks | {OUTSIDE: ~np.any(list(masks.values()), axis=0)}


def region_table(maps: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Compute how the evidence for each emotion is distributed over the regions of the face.

    The evidence of an image is the positive part of its map. Every image has the same weight,
    whatever the network's confidence. The 95 % intervals are percentile bootstraps over images
    (Efron 1979). They cover other faces, for this network and these patches.

    Args:
        maps: (n, 48, 48), as returned by `occlusion_maps`.
        emotion: int (n,).

    Returns:
        One row per emotion and region, in their orders. Columns:

        - emotion, region.
        - images: number of images whose map is positive somewhere.
        - area: the region's share of the pixels.
        - share: the region's share of the evidence, with its interval, low and high.
        - relative: share / area. It is 1 in every region if the evidence is spread evenly.
        - leads: whether the region's `relative` is significantly larger than that of every other
          region: the intervals of the differences, on the same images, are above 0.

        Without images, share, low, high and relative are NaN. With a single image, low and high
        are NaN.
    """
    masks = region_masks()
    flat = np.stack([mask.ravel() for mask in masks.values()], axis=1).astype(np.float64)
    area = flat.mean(axis=0)
    positive = np.maximum(maps, 0).reshape(len(maps), SIDE * SIDE).astype(np.float64) @ flat
    some = positive.sum(axis=1) > 0
    rows = []
    for number, name in enumerate(EMOTIONS):
        chosen = positive[some & (emotion == number)]
        shares = chosen / chosen.sum(axis=1, keepdims=True)
        share, low, high = _mean_and_interval(shares)
        best = np.argmax(share / area)
        ahead = np.delete((shares / area)[:, [best]] - shares / area, best, axis=1)
        clear = bool((_mean_and_interval(ahead)[1] > 0).all())
        for column, region in enumerate(masks):
            row = {"emotion": name, "region": region, "images": len(chosen), "area": area[column]}
            row |= {"share": share[column], "low": low[column], "high": high[column]}
            row |= {"relative": share[column] / area[column], "leads": clear and column == best}
            rows.append(row)
    return pd.DataFrame(rows)


def region_finding(table: pd.DataFrame) -> str:
    """Summarise the table of `region_table` in a few sentences.

    They name the leading region of each emotion, and the shares of the mouth for happy and of the
    brows and eyes for angry.
    """
    table = table[table["images"] > 0]
    if table.empty:
        return "No map has positive evidence, so the regions cannot be compared."
    leading = table[table["leads"]]
    sentences = []
    for region, rows in leading.groupby("region", sort=False):
        emotions = [f"{row.emotion} ({row.relative:.1f}×)" for row in rows.itertuples()]
        sentences.append(
            f"Relative to an even spread, the evidence for {_listed(emotions)} is densest at the "
            f"{region}."
        )
    undecided = [name for name in table["emotion"].unique() if name not in set(leading["emotion"])]
    if undecided:
        sentences.append(f"No single region leads significantly for {_listed(undecided)}.")
    sentences.append(_evidence_sentence(table, "mouth and chin", "happy"))
    sentences.append(_evidence_sentence(table, "brows and eyes", "angry"))
    return " ".join(filter(None, sentences))


def _mean_and_interval(shares: np.ndarray) -> np.ndarray:
    """Return mean, low and high of each column of shares (n, regions), float64 (3, regions)."""
    found = np.full((3, shares.shape[1]), np.nan)
    if len(shares):
        found[0] = shares.mean(axis=0)
    if len(shares) > 1:
        weights = draw_counts(np.ones(len(shares)), RESAMPLES, np.random.default_rng(0))
        found[1:] = percentile_interval(weights @ shares / len(shares))
    return found


def _evidence_sentence(table: pd.DataFrame, region: str, emotion: str) -> str:
    """Return a sentence on a region's share of the evidence; empty without images."""
    rows = table[(table["emotion"] == emotion) & (table["region"] == region)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    uncertainty = interval(row["low"], row["high"]) if row["images"] > 1 else "one image"
    return (
        f"For {emotion}, {percent(row['share'])} of the evidence is at the {region} "
        f"({uncertainty}), on {percent(row['area'])} of the area."
    )


def _listed(names: list[str]) -> str:
    """Join names with commas and "and"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
