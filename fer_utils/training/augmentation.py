"""Augmentation: what an epoch does to each training image, and the views of test-time averaging.

The draws are plain numbers, decided by recipe, seed and epoch; `apply` uses them with OpenCV on the processor, and
`fer_utils.training.engines.jax` on an accelerator. Only `tta_transforms` ever changes a validation or test image, and only
under its name.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from fer_utils.emotions import SIDE
from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe


@dataclass(frozen=True)
class Draws:
    """What happens to each of n images in an epoch; None where the recipe has no such thing.

    Attributes:
        flipped: bool (n,), flipped left to right. Where there are transforms, they have it in them.
        transform: float32 (n, 2, 3), from (x, y, 1) in the result to (x, y) in the image, pixels.
        erased: int32 (n, 4), the rectangle x0, y0, x1, y1 (ends excluded) that is filled with the image's mean.
        share: float32 (n,), the image's share when it is mixed with another one of its batch.
        pasted: int32 (n, 4), the rectangle that is taken from that other image instead of mixing.
        side: of the result, pixels.
    """

    flipped: np.ndarray
    transform: np.ndarray | None = None
    erased: np.ndarray | None = None
    share: np.ndarray | None = None
    pasted: np.ndarray | None = None
    side: int = SIDE

    def of(self, chosen: np.ndarray) -> "Draws":
        """The draws of these images."""
        arrays = {name: each for name, each in vars(self).items() if isinstance(each, np.ndarray)}
        these: dict[str, Any] = {name: each[chosen] for name, each in arrays.items()}
        return replace(self, **these)


def draw(
    recipe: Recipe,
    generator: np.random.Generator,
    images: int,
    side: int,
    flipped: np.ndarray | None = None,
) -> Draws:
    """Draw an epoch's augmentation.

    Args:
        recipe: its fields say how strong each is.
        generator: advanced by the draws.
        images: how many.
        side: of the result, pixels; images are 48 pixels wide, and a smaller result is cut from their middle.
        flipped: bool (n,), which images are flipped; None draws it.
    """
    coin = generator.random(images) < (0.5 if recipe.flip else 0.0)
    flipped = coin if flipped is None else flipped
    transform = erased = share = pasted = None
    if recipe.rotation or recipe.zoom or recipe.translation:
        angle = np.deg2rad(recipe.rotation) * generator.uniform(-1, 1, images)
        scale = generator.uniform(1 - recipe.zoom, 1 + recipe.zoom, images)
        shift = recipe.translation * generator.uniform(-1, 1, (images, 2))
        transform = similarity(angle, scale, shift, flipped, side)
    elif recipe.crop or side != SIDE:
        transform = similarity(
            np.zeros(images), np.ones(images), np.zeros((images, 2)), flipped, side
        )
    if recipe.crop:
        assert transform is not None  # either branch above makes it
        transform = _cropped(transform, *_crops(generator, recipe.crop, images))
    if recipe.erase:
        chosen = generator.random(images) < recipe.erase
        erased = (
            _rectangles(generator, generator.uniform(0.02, 0.25, images), side) * chosen[:, None]
        )
    if recipe.mixup or recipe.cutmix:
        # Where both are asked for, each image has one of them, by a coin.
        paste = generator.random(images) < (
            0.5 if recipe.mixup and recipe.cutmix else float(bool(recipe.cutmix))
        )
        mix = (
            generator.beta(recipe.mixup, recipe.mixup, images) if recipe.mixup else np.ones(images)
        )
        pasted = np.zeros((images, 4), np.int32)
        if recipe.cutmix:
            area = 1 - generator.beta(recipe.cutmix, recipe.cutmix, images)
            pasted = _rectangles(generator, area, side, squares=True) * paste[:, None]
        covered = (pasted[:, 2] - pasted[:, 0]) * (pasted[:, 3] - pasted[:, 1]) / side**2
        share = np.where(paste, 1 - covered, mix).astype(np.float32)
    return Draws(flipped, transform, erased, share, pasted, side)


def similarity(
    angle: np.ndarray, scale: np.ndarray, shift: np.ndarray, flipped: np.ndarray, side: int
) -> np.ndarray:
    """Transforms from the result's pixels to the image's, float32 (n, 2, 3), about the middle of both.

    Args:
        angle: (n,), radians.
        scale: (n,), above 1 enlarges.
        translation: (n, 2), of the middle, in pixels of the image, x and y.
        flipped: bool (n,).
        side: of the result, pixels.
    """
    cosine, sine = np.cos(angle) / scale, np.sin(angle) / scale
    flip = np.where(flipped, -1.0, 1.0)
    linear = np.stack(
        [np.stack([flip * cosine, -sine], -1), np.stack([flip * sine, cosine], -1)], -2
    )
    middle = (SIDE - 1) / 2 + shift - linear @ np.full(2, (side - 1) / 2)
    return np.concatenate([linear, middle[..., None]], -1).astype(np.float32)


def _crops(generator, least: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles inside the image, of a share of its area from `least` to 1: width and height as shares of the image's
    side, and the middle's x and y in pixels, each float64 (n, 2)."""
    area = generator.uniform(least, 1, count)
    # Of the aspects from 3/4 to 4/3 those that fit: neither side is longer than the image's.
    aspect = np.exp(np.minimum(math.log(4 / 3), -np.log(area)) * generator.uniform(-1, 1, count))
    size = np.sqrt(np.stack([area * aspect, area / aspect], -1))
    return size, (SIDE - 1) / 2 + SIDE * (1 - size) * generator.uniform(-0.5, 0.5, (count, 2))


def _cropped(transform: np.ndarray, size: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Transforms (n, 2, 3) that take rectangles, as of `_crops`, for the whole image."""
    result = size[:, :, None] * transform
    result[:, :, 2] += middle - size * (SIDE - 1) / 2
    return result.astype(np.float32)


def _rectangles(generator, area, side: int, *, squares: bool = False) -> np.ndarray:
    """Rectangles x0, y0, x1, y1 of about these shares of the image, cut at its border, int32 (n, 4)."""
    count = len(area)
    aspect = (
        np.ones(count)
        if squares
        else np.exp(generator.uniform(-math.log(3.3), math.log(3.3), count))
    )
    middle = generator.uniform(0, side, (count, 2))
    half = side * np.sqrt(np.stack([area * aspect, area / aspect], -1)) / 2
    return np.concatenate([middle - half, middle + half], -1).round().clip(0, side).astype(np.int32)


def warp(images: np.ndarray, transform: np.ndarray, side: int, border: str) -> np.ndarray:
    """Images (n, 48, 48), uint8 or float32, under transforms float32 (n, 2, 3), bilinear: (n, side, side).

    `border` says what lies outside: "zero", or "edge" for the nearest pixel of the image.
    """
    mode = cv2.BORDER_CONSTANT if border == "zero" else cv2.BORDER_REPLICATE
    result = np.empty((len(images), side, side), images.dtype)
    for image, matrix, target in zip(images, transform, result, strict=True):
        cv2.warpAffine(
            image, matrix, (side, side), target, cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, mode
        )
    return result


def apply(images: np.ndarray, draws: Draws, side: int, border: str) -> np.ndarray:
    """Augmented images, float32 (b, side, side), of a batch (b, 48, 48), uint8 or float32; mixes with the reversed."""
    if draws.transform is not None:
        result = warp(images, draws.transform, side, border).astype(np.float32)
    else:
        result = images.astype(np.float32)
        result[draws.flipped] = result[draws.flipped, :, ::-1]
    if draws.erased is not None:
        mean = result.mean((1, 2), keepdims=True)
        result = np.where(_inside(draws.erased, side), mean, result)
    if draws.share is not None and draws.pasted is not None:  # they come together
        other, inside = result[::-1], _inside(draws.pasted, side)
        # A pasted rectangle replaces; only images without one are mixed.
        mixed = np.where(inside.any((1, 2), keepdims=True), 1.0, draws.share[:, None, None]).astype(
            np.float32
        )
        result = np.where(inside, other, mixed * result + (1 - mixed) * other)
    return result


def _inside(rectangles: np.ndarray, side: int) -> np.ndarray:
    """Which pixels lie in each rectangle, bool (n, side, side)."""
    x0, y0, x1, y1 = rectangles[:, :, None].transpose(1, 0, 2)
    at = np.arange(side)
    columns, rows = (at >= x0) & (at < x1), (at >= y0) & (at < y1)
    return rows[:, :, None] & columns[:, None, :]


def _flipped(scale=(1.0,), translation=((0.0, 0.0),)):
    settings = [(flip, size, by) for flip in (False, True) for size in scale for by in translation]
    flips, sizes, shifts = (np.array(each) for each in zip(*settings, strict=True))
    return np.zeros(len(settings)), sizes, shifts.astype(float), flips


def _jitter(count: int):
    # Tang's own training jitter; drawn once, the same for every image, so that a score can be had again.
    generator = np.random.default_rng(2013)
    uniform = generator.uniform
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
    "jitter": lambda: _jitter(64),
}
"""Test-time averaging by name: `mirror` is the image and its mirror image; `shifts` 20 views, both of these at two
sizes, in the middle and shifted 2 pixels to each corner; `crops` 10 views, squares of 42 of the 48 pixels, enlarged, in
the middle and in the corners, and their mirror images (Krizhevsky et al. 2012: 224 of 256 pixels); `jitter` 64 draws of
Tang's training jitter."""


def tta_transforms(name: str, side: int) -> np.ndarray:
    """The transforms that test-time averaging looks through, float32 (v, 2, 3), as in `Draws`.

    Raises:
        StudyError: the name is unknown; the message lists the known ones.
    """
    if name not in TTA:
        raise StudyError(f"tta: expected one of {', '.join(TTA)}, found {name!r}.")
    angle, scale, shift, flipped = TTA[name]()
    return similarity(angle, scale, shift, flipped, side)
