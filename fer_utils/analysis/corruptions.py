"""Corruptions of images: blurred, noisy, small, dark, covered, turned or compressed, each at five strengths.

After Hendrycks & Dietterich ("Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019,
arXiv 1903.12261): every corruption at five fixed strengths, and nothing is trained on them. Their settings are for
photos of 224 pixels; those below were chosen for faces of 48, by looking, so that the first is just visible and the
fifth hard for a person. albumentations does the work.
"""

import os
import zlib
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from fer_utils.emotions import SIDE
from fer_utils.errors import StudyError


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
        raise StudyError(
            f"corruption: expected one of {', '.join(CORRUPTIONS)}, found {corruption!r}."
        )
    if strength not in STRENGTHS:
        raise StudyError(
            f"strength: expected a whole number from 1 (mildest) to 5, found {strength!r}."
        )
    if images.dtype != np.uint8 or images.shape[1:] != (SIDE, SIDE):
        raise StudyError(
            f"images: expected uint8 (n, {SIDE}, {SIDE}), found {images.dtype} {images.shape}."
        )
    value = CORRUPTIONS[corruption].values[int(strength) - 1]
    if corruption in MIDDLES:
        return _covered(images, MIDDLES[corruption], int(value))
    variants = _variants(corruption, value)
    result = np.empty(images.shape, np.uint8)
    for number, image in enumerate(images):
        image = np.ascontiguousarray(image)
        generator = np.random.default_rng((seed, zlib.crc32(image.data)))
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
            return [
                transforms.Downscale((value / SIDE, value / SIDE), interpolation_pair=ways, p=1)
            ]
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
            return [
                move(translate_px={"x": (right, right), "y": (down, down)}) for right, down in steps
            ]
        case _:
            return [transforms.ImageCompression("jpeg", quality_range=both, p=1)]
