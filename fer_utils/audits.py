"""What is odd in the data: exact duplicates, and images with nothing on them."""

import numpy as np

from fer_utils.faces import Faces

NEAR_CONSTANT = 1.0
"""Standard deviation, in grey levels, under which an image counts as near-constant. FER-2013 has 13 such images;
the next one up has 3.9 and shows a face."""


def duplicate_groups(images: np.ndarray) -> np.ndarray:
    """The group of each image, int64 (n,): images uint8 (n, h, w) with equal pixels have the same number."""
    pixels = images.shape[1] * images.shape[2]
    flat = np.ascontiguousarray(images).reshape(len(images), pixels)
    return np.unique(flat.view(f"V{pixels}").ravel(), return_inverse=True)[1]


def redundant_copies(faces: Faces) -> int:
    """How many images could be left out without losing a picture."""
    return len(faces) - len(np.unique(duplicate_groups(faces.images)))


def contrast(faces: Faces) -> np.ndarray:
    """Standard deviation of each image's pixels, grey levels, float64 (n,)."""
    return faces.images.std(axis=(1, 2))


def near_constant(faces: Faces) -> np.ndarray:
    """Which images show nothing, bool (n,)."""
    return contrast(faces) < NEAR_CONSTANT
