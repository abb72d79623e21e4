"""Augmentation of training images, and the transforms of test-time augmentation (TTA).

The draws are plain numbers that depend on recipe, seed and epoch alone. `apply` uses them with
OpenCV on the processor, `fer_utils.training.engines.jax` on an accelerator. Only TTA transforms
validation and test images.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from fer_utils.emotions import SIDE
from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe

# Seeds of views. Trainings use [seed, epoch].
_VIEWS = (2022, 1)


@dataclass(frozen=True)
class Draws:
    """The augmentation of n images in an epoch. None stands for a kind that the recipe lacks.

    Attributes:
        flipped: bool (n,), True for a horizontal flip. `transform` includes the flip.
        transform: float32 (n, 2, 3), from (x, y, 1) in the result to (x, y) in the image, pixels.
        erased: int32 (n, 4), the rectangle x0, y0, x1, y1 (ends excluded) to fill with the image's
            mean.
        share: float32 (n,), weight of the image when it is mixed with another one of its batch.
        pasted: int32 (n, 4), the rectangle to replace by that of the other image. An image with
            such a rectangle is not mixed.
        side: side of the result, pixels.
    """

    flipped: np.ndarray
    transform: np.ndarray | None = None
    erased: np.ndarray | None = None
    share: np.ndarray | None = None
    pasted: np.ndarray | None = None
    side: int = SIDE

    def of(self, chosen: np.ndarray) -> "Draws":
        """Select the draws of the images at `chosen`, int (b,)."""
        selected: dict[str, Any] = {
            name: value[chosen]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return replace(self, **selected)


def draw(
    recipe: Recipe,
    generator: np.random.Generator,
    images: int,
    side: int,
    flipped: np.ndarray | None = None,
) -> Draws:
    """Draw the augmentation of an epoch.

    Args:
        recipe: its fields set the strength of each kind, as `Recipe.in_epoch` returns it.
        generator: advanced by the draws.
        images: number of images.
        side: side of the result, pixels. Below 48 it is cut from the middle of the image, unless
            the recipe resizes.
        flipped: bool (n,), the images to flip; None draws them.
    """
    coin = generator.random(images) < (0.5 if recipe.flip else 0.0)
    flipped = coin if flipped is None else flipped
    transform = erased = share = pasted = None
    resized = recipe.training_side / recipe.crop_side
    if recipe.rotation or recipe.zoom or recipe.translation:
        angle = np.deg2rad(recipe.rotation) * generator.uniform(-1, 1, images)
        scale = generator.uniform(1 - recipe.zoom, 1 + recipe.zoom, images)
        shift = recipe.translation * generator.uniform(-1, 1, (images, 2))
        transform = similarity(angle, resized * scale, shift, flipped, side)
    elif recipe.crop or side != SIDE:
        scale = np.full(images, resized)
        transform = similarity(np.zeros(images), scale, np.zeros((images, 2)), flipped, side)
    if recipe.crop:
        assert transform is not None  # either branch above makes it
        transform = _cropped(transform, *_crops(generator, recipe.crop, images))
    if recipe.erase:
        chosen = generator.random(images) < recipe.erase
        area = generator.uniform(0.02, 0.25, images)
        erased = _rectangles(generator, area, side) * chosen[:, None]
    if recipe.mixup or recipe.cutmix:
        probability = float(bool(recipe.cutmix))
        if recipe.mixup and recipe.cutmix:
            probability = 0.5
        paste = generator.random(images) < probability
        mix = np.ones(images)
        if recipe.mixup:
            mix = generator.beta(recipe.mixup, recipe.mixup, images)
        pasted = np.zeros((images, 4), np.int32)
        if recipe.cutmix:
            area = 1 - generator.beta(recipe.cutmix, recipe.cutmix, images)
            pasted = _rectangles(generator, area, side, squares=True) * paste[:, None]
        covered = (pasted[:, 2] - pasted[:, 0]) * (pasted[:, 3] - pasted[:, 1]) / side**2
        share = np.where(paste, 1 - covered, mix).astype(np.float32)
    return Draws(flipped, transform, erased, share, pasted, side)


def alternating_flips(seed: Sequence[int], images: int, *, inverted: bool) -> np.ndarray:
    """Which images are flipped, bool (n,): a coin is tossed once for each, or its inverse.

    Args:
        seed: of the coins.
        images: number of images.
        inverted: flip the other images instead, as in every second epoch.
    """
    return (np.random.default_rng(seed).random(images) < 0.5) ^ inverted


VIEW_FIELDS = (
    *("flip", "alternating_flip", "rotation", "zoom", "translation", "border", "crop"),
    *("crop_side", "erase"),
)
"""The fields of a recipe that determine its views."""


def draw_view(recipe: Recipe, view: int, images: int) -> Draws:
    """Draw one of the augmented versions that teachers predict and students train on.

    It depends on `VIEW_FIELDS` of the recipe and on the number of the view, and on no seed.

    Args:
        recipe: its fields set the strength of each kind.
        view: number of the version, from 0.
        images: number of training images.
    """
    flipped = None
    if recipe.alternating_flip:
        flipped = alternating_flips(_VIEWS, images, inverted=view % 2 == 1)
    generator = np.random.default_rng([*_VIEWS, view])
    return draw(recipe, generator, images, recipe.crop_side, flipped)


def similarity(
    angle: np.ndarray, scale: np.ndarray, shift: np.ndarray, flipped: np.ndarray, side: int
) -> np.ndarray:
    """Transforms from pixels of the result to pixels of the image, float32 (n, 2, 3).

    The middle of the result maps to the middle of the image, plus the shift.

    Args:
        angle: (n,), radians.
        scale: (n,); values above 1 enlarge.
        shift: (n, 2), in x and y, pixels of the image.
        flipped: bool (n,).
        side: side of the result, pixels.
    """
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    flip = np.where(flipped, -1.0, 1.0)
    linear = np.stack(
        [np.stack([flip * cosine, -sine], -1), np.stack([flip * sine, cosine], -1)], -2
    )
    middle = (SIDE - 1) / 2 + shift - linear @ np.full(2, (side - 1) / 2)
    return np.concatenate([linear, middle[..., None]], -1).astype(np.float32)


def _crops(generator, least: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw rectangles inside the image that cover a share of its area from `least` to 1.

    Returns:
        Width and height as shares of the image's side, and x and y of the middle in pixels; each
        float64 (n, 2).
    """
    area = generator.uniform(least, 1, count)
    # Aspect ratios from 3/4 to 4/3, restricted to those with no side longer than the image's.
    aspect = np.exp(np.minimum(math.log(4 / 3), -np.log(area)) * generator.uniform(-1, 1, count))
    size = np.sqrt(np.stack([area * aspect, area / aspect], -1))
    return size, (SIDE - 1) / 2 + SIDE * (1 - size) * generator.uniform(-0.5, 0.5, (count, 2))


def _cropped(transform: np.ndarray, size: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Transforms (n, 2, 3) in which the rectangles of `_crops` replace the whole image."""
    result = size[:, :, None] * transform
    result[:, :, 2] += middle - size * (SIDE - 1) / 2
    return result.astype(np.float32)


def _rectangles(generator, area, side: int, *, squares: bool = False) -> np.ndarray:
    """Draw rectangles x0, y0, x1, y1 that cover about these shares of the image, int32 (n, 4).

    They are cut at the image's border.
    """
    count = len(area)
    aspect = np.ones(count)
    if not squares:
        aspect = np.exp(generator.uniform(-math.log(3.3), math.log(3.3), count))
    middle = generator.uniform(0, side, (count, 2))
    half = side * np.sqrt(np.stack([area * aspect, area / aspect], -1)) / 2
    return np.concatenate([middle - half, middle + half], -1).round().clip(0, side).astype(np.int32)


def warp(images: np.ndarray, transform: np.ndarray, side: int, border: str) -> np.ndarray:
    """Transform images with bilinear interpolation.

    Args:
        images: (n, 48, 48), uint8 or float32.
        transform: float32 (n, 2, 3), see `Draws`.
        side: side of the result, pixels.
        border: pixels outside the image: "zero", or "edge" for the nearest pixel of the image.

    Returns:
        (n, side, side), of the images' type.
    """
    mode = cv2.BORDER_CONSTANT if border == "zero" else cv2.BORDER_REPLICATE
    result = np.empty((len(images), side, side), images.dtype)
    for image, matrix, target in zip(images, transform, result, strict=True):
        cv2.warpAffine(
            image, matrix, (side, side), target, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, mode
        )
    return result


def apply(images: np.ndarray, draws: Draws, side: int, border: str) -> np.ndarray:
    """Augment a batch (b, 48, 48), uint8 or float32, to float32 (b, side, side).

    Mixup and CutMix combine each image with that at the same place of the reversed batch.
    """
    if draws.transform is not None:
        result = warp(images, draws.transform, side, border).astype(np.float32)
    else:
        result = images.astype(np.float32)
        result[draws.flipped] = result[draws.flipped, :, ::-1]
    if draws.erased is not None:
        mean = result.mean((1, 2), keepdims=True)
        result = np.where(_inside(draws.erased, side), mean, result)
    if draws.share is not None and draws.pasted is not None:  # both or neither
        other, inside = result[::-1], _inside(draws.pasted, side)
        # An image with a pasted rectangle is not mixed.
        has_pasted = inside.any((1, 2), keepdims=True)
        share = np.where(has_pasted, 1.0, draws.share[:, None, None]).astype(np.float32)
        result = np.where(inside, other, share * result + (1 - share) * other)
    return result


def _inside(rectangles: np.ndarray, side: int) -> np.ndarray:
    """Masks of the pixels inside each rectangle, bool (n, side, side)."""
    x0, y0, x1, y1 = rectangles[:, :, None].transpose(1, 0, 2)
    position = np.arange(side)
    columns = (position >= x0) & (position < x1)
    rows = (position >= y0) & (position < y1)
    return rows[:, :, None] & columns[:, None, :]


def _flipped(scale=(1.0,), translation=((0.0, 0.0),)):
    settings = [(flip, size, by) for flip in (False, True) for size in scale for by in translation]
    flips, sizes, shifts = (np.array(column) for column in zip(*settings, strict=True))
    return np.zeros(len(settings)), sizes, shifts.astype(float), flips


def _jitter():
    # Tang's training jitter. The draws are fixed and equal for all images, so scores repeat.
    uniform = np.random.default_rng(2013).uniform
    count = 64
    return (
        np.deg2rad(45) * uniform(-1, 1, count),
        uniform(0.8, 1.2, count),
        uniform(-3, 3, (count, 2)),
        uniform(0, 1, count) < 0.5,
    )


TTA = {
    "flip": lambda: _flipped(),
    "shifts": lambda: _flipped((1.0, 1.08), ((0, 0), (-2, -2), (2, -2), (-2, 2), (2, 2))),
    "crops": lambda: _flipped((SIDE / 42,), ((0, 0), (-3, -3), (3, -3), (-3, 3), (3, 3))),
    "jitter": _jitter,
}
"""Test-time augmentations by name; each function returns angle, scale, shift and flip.

- `flip`: the image and its horizontal flip.
- `shifts`: 20 versions. Both of these at two scales, centred and translated by 2 pixels towards
  each corner.
- `crops`: 10 versions. Squares of 42 of the 48 pixels, enlarged, in the middle and in the corners,
  and their flips (Krizhevsky et al. 2012: 224 of 256 pixels).
- `jitter`: 64 draws of Tang's training jitter."""


def tta_transforms(name: str, side: int) -> np.ndarray:
    """The transforms of a test-time augmentation, float32 (v, 2, 3), see `Draws`.

    Raises:
        StudyError: the name is unknown; the message lists the known ones.
    """
    if name not in TTA:
        raise StudyError(f"tta: expected one of {', '.join(TTA)}, found {name!r}.")
    angle, scale, shift, flipped = TTA[name]()
    return similarity(angle, scale, shift, flipped, side)
