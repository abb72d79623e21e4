"""Image corruptions such as blur, noise, occlusion, rotation and JPEG, each at five strengths.

After Hendrycks & Dietterich ("Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019, arXiv 1903.12261): every corruption has five fixed strengths, and no model is
trained on them. Their settings are for photos of 224 pixels. The settings below are for faces of
48 pixels. They were chosen by eye: the first strength is just visible, the fifth is hard for a
person. The library albumentations implements most of them.
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
    """The unit of a corruption's strength, and its value at each strength, mildest first."""

    unit: str
    values: tuple[float, ...]


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "blur": Corruption("sigma, pixels", (0.7, 1.1, 1.6, 2.3, 3.2)),
        "noise": Corruption("sigma, grey levels", (8, 16, 28, 44, 64)),
        "low resolution": Corruption("pixels a side", (32, 24, 18, 13, 9)),
        "darker": Corruption("grey levels subtracted", (20, 40, 60, 85, 110)),
        "brighter": Corruption("grey levels added", (20, 40, 60, 85, 110)),
        "lower contrast": Corruption("share of contrast left", (0.7, 0.5, 0.3, 0.15, 0.08)),
        "eyes covered": Corruption("rows of pixels", (2, 4, 6, 8, 12)),
        "mouth covered": Corruption("rows of pixels", (2, 4, 6, 8, 12)),
        "rotation": Corruption("degrees", (8, 15, 25, 40, 60)),
        "translation": Corruption("pixels", (2, 4, 7, 10, 14)),
        "JPEG": Corruption("quality", (40, 20, 12, 7, 4)),
    }
)
"""All corruptions by name.

Blur is Gaussian. Low resolution averages pixels and interpolates them back. Darker and brighter
clip at black and white. Contrast is lowered around the image's own mean. Rotation goes either way,
translation in one of four directions; both repeat the edge where the image ends.
"""

STRENGTHS = range(1, 6)


COLUMNS = slice(6, 42)
MIDDLES: Mapping[str, int] = MappingProxyType({"eyes covered": 18, "mouth covered": 39})
"""Place of the bar over the eyes or the mouth: these columns, and rows around this one.

The middle row is the first one below the bar's middle. The places are read off the mean image of
FER-2013. Each eye is darkest in row 17, columns 15 and 32, below brows that start in row 13. The
mouth is in row 38, where columns 17 to 31 are darker than those beside them. At full strength, rows
12 to 23 hide eyes and brows, and rows 33 to 44 hide the mouth. Both bars have the same size, so
their effects can be compared. They have the image's mean grey, which adds the least new content.
FER-2013's faces are not aligned to the pixel, so a bar hides more of some faces than of others.
"""


def corrupt(images: np.ndarray, corruption: str, strength: int, seed: int = 0) -> np.ndarray:
    """Corrupt images; return uint8 (n, 48, 48) in the same order.

    Noise and the direction of a rotation or translation are random. They follow from the seed and
    the image's own pixels, so they do not depend on the other images or their order, and they are
    the same at every strength. For noise, OpenCV's global generator is reseeded for each image,
    which affects other code that draws from it.

    Args:
        images: uint8 (n, 48, 48).
        corruption: a key of `CORRUPTIONS`.
        strength: 1 (mildest) to 5.
        seed: seed of the random choices, 0 or more.

    Raises:
        StudyError: the corruption or strength is unknown, or images have another dtype or shape.
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
    """Return albumentations transforms of this strength; each image gets one of them."""
    # On import, albumentations looks for newer versions on the package index. This disables it.
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
        case "lower contrast":
            # Each pixel is mixed with the mean: `value` of the pixel, 1 - `value` of the mean.
            return [light((1 - value, 1 - value), (value - 1, value - 1), brightness_by_max=False)]
        case "rotation":
            return [move(rotate=(angle, angle)) for angle in (value, -value)]
        case "translation":
            steps = [(value, 0), (-value, 0), (0, value), (0, -value)]
            return [
                move(translate_px={"x": (right, right), "y": (down, down)}) for right, down in steps
            ]
        case _:
            return [transforms.ImageCompression("jpeg", quality_range=both, p=1)]
