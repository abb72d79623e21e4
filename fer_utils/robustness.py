"""Robustness: accuracy on images that are blurred, noisy, small, dark, covered, turned or compressed.

After Hendrycks & Dietterich ("Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019,
arXiv 1903.12261): every corruption at five fixed strengths, and nothing is trained on them. Their settings are for
photos of 224 pixels; those below were chosen for faces of 48, by looking, so that the first is just visible and the
fifth hard for a person. albumentations does the work.
"""

import os
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError
from fer_utils.evaluation import RESAMPLES, accuracy_interval
from fer_utils.faces import Faces

Predictor = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, 48, 48) to logits float32 (n, 7)."""


class Corruption(NamedTuple):
    """What a corruption's strength is counted in, and its value at each strength, mildest first."""

    unit: str
    values: tuple[float, ...]


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "blur": Corruption("sigma, pixels", (0.7, 1.1, 1.6, 2.3, 3.2)),
        "noise": Corruption("sigma, grey levels", (8, 16, 28, 44, 64)),
        "low resolution": Corruption("pixels a side", (32, 24, 18, 13, 9)),
        "darker": Corruption("grey levels taken off", (20, 40, 60, 85, 110)),
        "brighter": Corruption("grey levels added", (20, 40, 60, 85, 110)),
        "lower contrast": Corruption("share of contrast left", (0.7, 0.5, 0.3, 0.15, 0.08)),
        "eyes covered": Corruption("rows of pixels", (2, 4, 6, 8, 12)),
        "mouth covered": Corruption("rows of pixels", (2, 4, 6, 8, 12)),
        "rotation": Corruption("degrees", (8, 15, 25, 40, 60)),
        "shift": Corruption("pixels", (2, 4, 7, 10, 14)),
        "JPEG": Corruption("quality", (40, 20, 12, 7, 4)),
    }
)
"""The corruptions. Blur is Gaussian; a low resolution is averaged down and interpolated up again; darker and brighter
cut off at black and white; contrast is lowered around the image's own mean; what rotation (either way) and shift (in
one of four directions) uncover repeats the edge."""

STRENGTHS = range(1, 6)

CLEAN = "clean"
"""What the tables call images as they are, strength 0."""

COLUMNS = slice(6, 42)
MIDDLES: Mapping[str, int] = MappingProxyType({"eyes covered": 18, "mouth covered": 39})
"""Where a bar covers the eyes or the mouth: these columns of pixels, and rows around this one (first below the middle).

Read off the mean of FER-2013's images, where each eye is darkest in row 17, columns 15 and 32, below brows from row 13
on, and the mouth in row 38, with columns 17 to 31 darker than those beside them. At full strength rows 12 to 23 hide
eyes and brows, 33 to 44 the mouth. Both bars are of one size, so that the two can be compared, and have the image's
mean grey, which takes away what was there and adds least of its own. FER-2013's faces are not aligned to the pixel:
the bar hides more of some than of others."""


def corrupt(images: np.ndarray, corruption: str, strength: int, seed: int = 0) -> np.ndarray:
    """Images under a corruption, uint8 (n, 48, 48), in the same order.

    What is drawn (the noise, the direction of a rotation or shift) follows from the seed and the image's own pixels,
    so it does not depend on the other images or their order, and is the same at every strength. (For noise, OpenCV's
    own generator is seeded anew each time; what draws from it elsewhere is affected.)

    Args:
        images: uint8 (n, 48, 48).
        corruption: one of `CORRUPTIONS`.
        strength: 1 (mildest) to 5.
        seed: of what is drawn, 0 or more.

    Raises:
        StudyError: an unknown corruption or strength, or images of another dtype or shape.
    """
    if corruption not in CORRUPTIONS:
        raise StudyError(f"corruption: expected one of {', '.join(CORRUPTIONS)}, found {corruption!r}.")
    if strength not in STRENGTHS:
        raise StudyError(f"strength: expected a whole number from 1 (mildest) to 5, found {strength!r}.")
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise StudyError(f"images: expected uint8 (n, {SIDE}, {SIDE}), found {images.dtype} {images.shape}.")
    value = CORRUPTIONS[corruption].values[int(strength) - 1]
    if corruption in MIDDLES:
        return _covered(images, MIDDLES[corruption], int(value))
    variants = _variants(corruption, value)
    result = np.empty(images.shape, np.uint8)
    for number, image in enumerate(images):
        image = np.ascontiguousarray(image)
        generator = np.random.default_rng((seed, zlib.crc32(image)))
        variant = variants[generator.integers(len(variants))]
        variant.set_random_seed(int(generator.integers(2**32)))
        result[number] = variant(image=image)["image"]
    return result


def _covered(images: np.ndarray, middle: int, rows: int) -> np.ndarray:
    result = images.copy()
    mean = np.rint(images.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    result[:, middle - rows // 2 : middle + rows // 2, COLUMNS] = mean
    return result


def _variants(corruption: str, value: float) -> list:
    """albumentations transforms with this strength, of which each image gets one."""
    # Imported, albumentations asks the package index for newer versions, unless told not to. A study asks nobody.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations as transforms

    light = partial(transforms.RandomBrightnessContrast, p=1)
    move = partial(transforms.Affine, border_mode=cv2.BORDER_REPLICATE, p=1)
    both = (value, value)
    level = (value / 255, value / 255)
    match corruption:
        case "blur":
            return [transforms.GaussianBlur(sigma_limit=both, blur_limit=0, p=1)]
        case "noise":
            return [transforms.GaussNoise(std_range=level, p=1)]
        case "low resolution":
            ways = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
            return [transforms.Downscale((value / SIDE, value / SIDE), interpolation_pair=ways, p=1)]
        case "darker":
            return [light((-level[0], -level[0]), (0, 0))]
        case "brighter":
            return [light(level, (0, 0))]
        case "lower contrast":  # the share left of each pixel, and for the rest the mean
            return [light((1 - value, 1 - value), (value - 1, value - 1), brightness_by_max=False)]
        case "rotation":
            return [move(rotate=(angle, angle)) for angle in (value, -value)]
        case "shift":
            steps = [(value, 0), (-value, 0), (0, value), (0, -value)]
            return [move(translate_px={"x": (right, right), "y": (down, down)}) for right, down in steps]
        case _:
            return [transforms.ImageCompression("jpeg", quality_range=both, p=1)]


def subset(faces: Faces, count: int, seed: int = 0) -> Faces:
    """`count` of the faces (all, where there are no more) with the emotions in proportion to within one image.

    Systematic sampling: every so-many-th face of those sorted by emotion, and within an emotion by `seed`.

    Raises:
        StudyError: `count` is less than 1.
    """
    if count < 1:
        raise StudyError(f"count: expected at least 1 face, found {count}.")
    if count >= len(faces):
        return faces
    order = np.lexsort((np.random.default_rng(seed).random(len(faces)), faces.emotion))
    steps = ((np.arange(count) + 0.5) * len(faces) / count).astype(int)
    return faces.select(np.sort(order[steps]))


class Robustness(NamedTuple):
    """How models answer under every corruption and strength.

    Attributes:
        table: a row for each model and condition, columns model, corruption, strength, value, unit, images, accuracy,
            low, high. Strength 0 is the images as they are, corruption "clean", without value. Low and high are
            Wilson's 95 % interval.
        right: by model, bool (conditions, n): which images it has right, in the order of the model's rows.
        floor: accuracy of answering the commonest emotion whatever the image shows, 0 to 1.
    """

    table: pd.DataFrame
    right: dict[str, np.ndarray]
    floor: float


def robustness(
    predictor: Predictor | Mapping[str, Predictor],
    images: np.ndarray,
    emotion: np.ndarray,
    *,
    seed: int = 0,
    progress: bool = True,
) -> Robustness:
    """Accuracy of one predictor (called "model") or several named ones, each on the very same corrupted images.

    Args:
        predictor: images uint8 (n, 48, 48) to logits float32 (n, 7), or a name to each.
        images: uint8 (n, 48, 48).
        emotion: uint8 (n,), index into `EMOTIONS`.
        seed: see `corrupt`.
        progress: show a bar.

    Raises:
        StudyError: no predictor, fewer than two images, not one emotion an image, or answers of another shape.
    """
    predictors = dict(predictor) if isinstance(predictor, Mapping) else {"model": predictor}
    if not predictors:
        raise StudyError("robustness: expected at least one predictor, found none.")
    if len(images) != len(emotion) or len(images) < 2:
        raise StudyError(
            f"robustness: expected two images or more and an emotion for each, found {len(images):,} images and "
            f"{len(emotion):,} emotions."
        )
    conditions = [(CLEAN, 0), *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)]
    right = {name: np.empty((len(conditions), len(images)), bool) for name in predictors}
    for number, (corruption, strength) in enumerate(
        tqdm(conditions, desc="corruptions", unit="condition", disable=not progress)
    ):
        shown = images if corruption == CLEAN else corrupt(images, corruption, strength, seed)
        for name, predict in predictors.items():
            logits = predict(shown)
            if logits.shape != (len(images), len(EMOTIONS)):
                raise StudyError(
                    f"{name}: expected logits ({len(images)}, {len(EMOTIONS)}), found {logits.shape}. A predictor "
                    "takes images uint8 (n, 48, 48) and gives a score for each emotion."
                )
            right[name][number] = logits.argmax(axis=1) == emotion
    rows = []
    for name, answers in right.items():
        for (corruption, strength), share in zip(conditions, answers.mean(axis=1), strict=True):
            unit, values = CORRUPTIONS.get(corruption, ("", (np.nan,)))
            row = {"model": name, "corruption": corruption, "strength": strength, "value": values[strength - 1]}
            low, high = accuracy_interval(share, len(images))
            rows.append(row | {"unit": unit, "images": len(images), "accuracy": share, "low": low, "high": high})
    floor = float(np.bincount(emotion).max() / len(emotion))
    return Robustness(pd.DataFrame(rows), right, floor)


def summary(measured: Robustness) -> pd.DataFrame:
    """What the conditions come to, a row a model, most robust first.

    The one number to compare models by is `corrupted`, the mean accuracy over all corruptions and strengths: one less
    the mean corruption error, every corruption with the same weight. Hendrycks & Dietterich's mCE divides each
    corruption's error by AlexNet's, so that hard ones do not outweigh easy ones; no baseline of that kind exists for
    FER-2013, and dividing by a network of ours would make the number mean nothing elsewhere. `relative` = corrupted /
    clean tells how much of its own accuracy a model keeps; it is no ranking, since a model that looks at nothing keeps
    all of it. Both are to be read against `floor`, not 0: below it a model is worse than one that looks at nothing.

    Returns:
        Columns model, images, clean, corrupted, corrupted_low, corrupted_high, relative, relative_low, relative_high
        (NaN where clean is 0), worst (the corruption with the lowest mean over strengths), worst_accuracy (that mean)
        and floor. Low and high: 95 % percentile bootstrap over images (Efron 1979), the same images in all conditions;
        they say nothing of other seeds.
    """
    rows = []
    for name, answers in measured.right.items():
        table = measured.table[(measured.table["model"] == name) & (measured.table["strength"] > 0)]
        by_corruption = table.groupby("corruption", sort=False)["accuracy"].mean()
        scores = np.stack([answers[0], answers[1:].mean(axis=0)])
        clean, corrupted = scores.mean(axis=1)
        row = {"model": name, "images": answers.shape[1], "clean": clean, "corrupted": corrupted}
        drawn_clean, drawn_corrupted = _resampled_means(scores)
        row["corrupted_low"], row["corrupted_high"] = np.quantile(drawn_corrupted, (0.025, 0.975))
        row |= dict.fromkeys(("relative", "relative_low", "relative_high"), np.nan)
        if clean:
            some = drawn_clean > 0  # few images may all be drawn from those that are wrong
            low, high = np.quantile(drawn_corrupted[some] / drawn_clean[some], (0.025, 0.975))
            row |= {"relative": corrupted / clean, "relative_low": low, "relative_high": high}
        row |= {"worst": by_corruption.idxmin(), "worst_accuracy": by_corruption.min(), "floor": measured.floor}
        rows.append(row)
    return pd.DataFrame(rows).sort_values("corrupted", ascending=False, kind="stable", ignore_index=True)


def _resampled_means(scores: np.ndarray) -> np.ndarray:
    """Means of each row of (2, n) in resamples of the columns, float64 (2, resamples)."""
    # Images with the same scores are interchangeable: to draw how many there are of each kind is to draw images.
    kinds, counts = np.unique(scores, axis=1, return_counts=True)
    images = counts.sum()
    drawn = np.random.default_rng(0).multinomial(images, counts / images, size=RESAMPLES)
    return kinds @ drawn.T / images


def finding(scores: pd.DataFrame) -> str:
    """One sentence on what `summary` found: of the most robust model, and how far behind it the others are."""
    best = scores.iloc[0]
    said = (
        f"Over {len(CORRUPTIONS)} corruptions at {len(STRENGTHS)} strengths each, {best['model']} goes from "
        f"{_percent(best['clean'])} on clean images to {_percent(best['corrupted'])} on average (95 % interval "
        f"{_percent(best['corrupted_low'])} to {_percent(best['corrupted_high'])}), lowest with {best['worst']} "
        f"({_percent(best['worst_accuracy'])}); always answering the commonest emotion gives {_percent(best['floor'])}"
    )
    if len(scores) > 1:
        last = scores.iloc[-1]
        said += (
            f"; of {len(scores)} models it has the most right on average, {last['model']} the fewest "
            f"({_percent(last['corrupted'])})"
        )
    return said + "."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
