"""What an image is like before anyone asks what it shows: its light, and whether there is anything on it."""

import numpy as np

from fer_utils.faces import Faces

NEAR_CONSTANT = 1.0
"""Standard deviation, in grey levels, under which an image counts as near-constant. FER-2013 has 13 such images;
the next one up has 3.9 and shows a face."""


def brightness(faces: Faces) -> np.ndarray:
    """Mean of each image's pixels, grey levels 0 to 255, float64 (n,)."""
    return faces.images.mean(axis=(1, 2))


def contrast(faces: Faces) -> np.ndarray:
    """Standard deviation of each image's pixels, grey levels, float64 (n,)."""
    return faces.images.std(axis=(1, 2))


def near_constant(faces: Faces) -> np.ndarray:
    """Which images show nothing, bool (n,)."""
    return contrast(faces) < NEAR_CONSTANT
