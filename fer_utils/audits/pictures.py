"""Properties of images: brightness, contrast, sharpness, and blank images."""

from collections.abc import Callable

import cv2
import numpy as np

from fer_utils.data.faces import Faces

NEAR_CONSTANT = 1.0
"""An image with a standard deviation below this many grey levels is near-constant. FER-2013 has 13
near-constant images. The next image has 3.9 grey levels and shows a face."""

BATCH = 2048
"""Images per batch, so that their float copy stays small."""


def brightness(faces: Faces) -> np.ndarray:
    """Mean of each image's pixels, grey levels 0 to 255, float64 (n,)."""
    return faces.images.mean(axis=(1, 2))


def contrast(faces: Faces) -> np.ndarray:
    """Standard deviation of each image's pixels, grey levels, float64 (n,)."""
    return _in_batches(faces.images, lambda images: images.std(axis=(1, 2)))


def sharpness(faces: Faces) -> np.ndarray:
    """Variance of each image's Laplacian, grey levels squared, float64 (n,).

    It is a measure of focus, low for blurred images (Pech-Pacheco et al. 2000, doi
    10.1109/ICPR.2000.903548). Noise and compression raise it too, and it grows with the square of
    contrast. It therefore compares images of one kind, not of different cameras.
    """
    return _in_batches(faces.images, _laplacian_variance)


def near_constant(faces: Faces) -> np.ndarray:
    """The blank images, bool (n,)."""
    return contrast(faces) < NEAR_CONSTANT


def _laplacian_variance(images: np.ndarray) -> np.ndarray:
    # The kernel is 3x3 with 4 in the middle. The border is reflected, which is cv2's default.
    laplacians = np.stack([cv2.Laplacian(image, cv2.CV_16S) for image in images])
    return laplacians.var(axis=(1, 2))


def _in_batches(images: np.ndarray, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    parts = [measure(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate([np.empty(0), *parts])
