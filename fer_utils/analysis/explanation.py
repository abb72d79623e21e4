"""Where a network looks: occlusion maps, and what they say by region of the face.

A grey patch slides over a face, and each pixel is given how much less probable the face's emotion became under the
patches that cover it (Zeiler & Fergus 2014, arXiv 1311.2901). Any predictor will do: uint8 (n, 48, 48) to logits
(n, 7). Gradients are not used: before its last layer the released network has 3x3 cells, too few for Grad-CAM.

Faces are aligned by nothing but FER-2013's framing, so a mean map is as sharp as the mean face, and the patch is wide.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from scipy.stats import bootstrap
from tqdm.auto import tqdm

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError

PATCH, STRIDE = 9, 3
"""Side of the patch, about that of an eye or of half a mouth, and how far it moves, pixels."""

RESAMPLES = 2_000
"""Of a bootstrap over images: another resampling moves the ends of an interval by a twentieth of its width."""

_BATCH = 2048
"""Images shown to the predictor at a time: 5 MB, 19 MB as float32."""

REGIONS = {
    "forehead": (0, 10, 9, 39),
    "brows and eyes": (10, 22, 7, 42),
    "nose and cheeks": (22, 33, 7, 41),
    "mouth and chin": (33, 46, 10, 39),
}
"""Boxes (top, bottom, left, right), pixels, bottom and right not included; what is in none is `OUTSIDE`.

Read off the mean of the 28,709 training faces. Across its eyes the mean face is darkest in rows 16 to 18, with the
brows above from row 11 on; the tip of the nose ends in row 30; the mouth is darkest in rows 36 to 41. Left and right
are where the mean face falls off most steeply into the background, rounded over each band's rows."""
OUTSIDE = "outside the face"


def occlusion_maps(
    predictor: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    emotion: np.ndarray,
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    progress: bool = True,
) -> np.ndarray:
    """How much of each face's evidence for an emotion is under each pixel, float32 (n, 48, 48), nats.

    A pixel's value is the mean, over the patches that cover it, of the log-probability without the patch minus that
    with it: positive where what is hidden spoke for the emotion, negative where it spoke against it. Logarithms,
    because probabilities near 1 hardly move. The patch has the image's own mean grey, so that brightness stays what it
    was, to the network too where it standardises each image. It is always whole; the last one in a row or column
    touches the border, wherever the stride would have put it.

    Args:
        predictor: uint8 (m, 48, 48) to logits (m, 7); it is called with about 2,000 images at a time.
        images: uint8 (n, 48, 48).
        emotion: whose probability, int (n,): the labels, or the answers.
        patch: side of the patch, 1 to 48 pixels.
        stride: between patches, 1 to `patch` pixels, so that none is left out.
        progress: show a bar.

    Raises:
        StudyError: patch or stride is out of range, or there is not one emotion an image.
    """
    if not 1 <= stride <= patch <= SIDE:
        raise StudyError(
            f"occlusion: expected 1 <= stride <= patch <= {SIDE} pixels, found patch {patch} and stride {stride}."
        )
    if len(images) != len(emotion):
        raise StudyError(
            f"occlusion: expected an emotion for each image, found {len(images)} images, {len(emotion)} emotions."
        )
    starts = np.unique([*range(0, SIDE - patch + 1, stride), SIDE - patch])
    along = (starts[:, None] <= np.arange(SIDE)) & (np.arange(SIDE) < starts[:, None] + patch)
    covers = (along[:, None, :, None] & along[None, :, None, :]).reshape(-1, SIDE, SIDE)
    times_covered = covers.sum(axis=0)
    maps = np.empty((len(images), SIDE, SIDE), np.float32)
    at_once = max(1, _BATCH // (len(covers) + 1))
    with tqdm(total=len(images), desc="occlusion", unit="face", disable=not progress) as bar:
        for start in range(0, len(images), at_once):
            part = np.asarray(images[start : start + at_once])
            grey = np.rint(part.mean(axis=(1, 2))).astype(np.uint8)
            hidden = np.where(covers, grey[:, None, None, None], part[:, None])
            shown = np.concatenate([part[:, None], hidden], axis=1)
            logits = np.asarray(predictor(shown.reshape(-1, SIDE, SIDE)), np.float64)
            logs = log_softmax(logits, axis=1).reshape(*shown.shape[:2], -1)
            of_emotion = logs[np.arange(len(part)), :, emotion[start : start + at_once]]
            drops = of_emotion[:, :1] - of_emotion[:, 1:]
            maps[start : start + at_once] = np.tensordot(drops, covers, axes=1) / times_covered
            bar.update(len(part))
    return maps


def choose(emotion: np.ndarray, logits: np.ndarray, per_emotion: int, seed: int) -> np.ndarray:
    """Indices, int64, rising, of faces that a model gets right: `per_emotion` of each at random, or all it has.

    Args:
        emotion: int (n,).
        logits: (n, 7).
        per_emotion: at most so many of each.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    right = np.argmax(logits, axis=1) == emotion
    of_each = [np.flatnonzero(right & (emotion == number)) for number in range(len(EMOTIONS))]
    return np.sort(
        np.concatenate([generator.permutation(there)[:per_emotion] for there in of_each])
    )


class MeanMaps(NamedTuple):
    """Mean map of each emotion, float64 (7, 48, 48), NaN where there is no image; and of how many images, int (7,)."""

    maps: np.ndarray
    images: np.ndarray


def mean_maps(maps: np.ndarray, emotion: np.ndarray) -> MeanMaps:
    """Means by emotion of maps (n, 48, 48), or of images, laid over each other as FER-2013 frames them."""
    images = np.bincount(emotion, minlength=len(EMOTIONS))
    sums = np.stack(
        [maps[emotion == number].sum(axis=0, dtype=np.float64) for number in range(len(EMOTIONS))]
    )
    return MeanMaps(
        np.where(images[:, None, None] > 0, sums / np.maximum(images, 1)[:, None, None], np.nan),
        images,
    )


def region_masks() -> dict[str, np.ndarray]:
    """The regions and what is outside them: name to bool (48, 48); each pixel is in one."""
    masks = {}
    for name, (top, bottom, left, right) in REGIONS.items():
        masks[name] = np.zeros((SIDE, SIDE), bool)
        masks[name][top:bottom, left:right] = True
    return masks | {OUTSIDE: ~np.any(list(masks.values()), axis=0)}


def region_table(
    maps: np.ndarray, emotion: np.ndarray, *, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """How an emotion's evidence is spread over the face.

    Of each image's map the positive part is taken, and the share of it in each region; images count alike, however
    sure the network is of them. Intervals are percentile bootstraps over images (Efron 1979): for this network, these
    patches, other faces.

    Args:
        maps: (n, 48, 48), as `occlusion_maps` gives them.
        emotion: int (n,).
        level: share of such intervals that cover, 0 to 1.
        seed: of the resampling.

    Returns:
        A row an emotion and region, in their orders: emotion, region, images (whose map is positive somewhere), area
        (the region's share of the pixels), share (of the evidence), low, high, relative (share / area: 1 is what a
        network that looks everywhere alike would have), leads (whether the region's `relative` is the largest, and by
        more than chance: the interval of its difference from each other region, on the same images, is above 0).
        Without an image share, low, high and relative are NaN, with a single one low and high.
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
        share, low, high = _mean_and_interval(shares, level, seed)
        best = np.argmax(share / area)
        ahead = np.delete((shares / area)[:, [best]] - shares / area, best, axis=1)
        clear = bool((_mean_and_interval(ahead, level, seed)[1] > 0).all())
        for column, region in enumerate(masks):
            row = {"emotion": name, "region": region, "images": len(chosen), "area": area[column]}
            row |= {"share": share[column], "low": low[column], "high": high[column]}
            rows.append(
                row | {"relative": share[column] / area[column], "leads": clear and column == best}
            )
    return pd.DataFrame(rows)


def finding(table: pd.DataFrame) -> str:
    """What `region_table` found: which region leads for which emotion, and whether it is the mouth for happy and the
    brows for angry."""
    seen = table[table["images"] > 0]
    if seen.empty:
        return "No map shows evidence anywhere, so nothing can be said of where the network looks."
    leading = seen[seen["leads"]]
    said = [
        f"the {region} for {_listed([f'{row.emotion} ({row.relative:.1f})' for row in rows.itertuples()])}"
        for region, rows in leading.groupby("region", sort=False)
    ]
    if undecided := [
        emotion for emotion in seen["emotion"].unique() if emotion not in set(leading["emotion"])
    ]:
        said.append(f"no single region for {_listed(undecided)}")
    asked = [_answer(seen, "mouth and chin", "happy"), _answer(seen, "brows and eyes", "angry")]
    opening = "Where the evidence is densest (times an even spread)"
    return " ".join([f"{opening}: {'; '.join(said)}.", *filter(None, asked)])


def _mean_and_interval(shares: np.ndarray, level: float, seed: int) -> np.ndarray:
    """Mean, low and high of each column of shares (n, regions), float64 (3, regions)."""
    found = np.full((3, shares.shape[1]), np.nan)
    if len(shares):
        found[0] = shares.mean(axis=0)
    if len(shares) > 1:
        found[1:] = bootstrap(
            (shares,),
            np.mean,
            axis=0,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return found


def _answer(seen: pd.DataFrame, region: str, emotion: str) -> str:
    rows = seen[(seen["emotion"] == emotion) & (seen["region"] == region)]
    if rows.empty:
        return ""
    row = rows.iloc[0]
    interval = f"{row['low']:.0%} to {row['high']:.0%}" if row["images"] > 1 else "one image"
    return (
        f"The {region} hold {row['share']:.0%} ({interval}) of what speaks for {emotion}, in {row['area']:.0%} of the "
        "area."
    )


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
