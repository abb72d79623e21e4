"""Images that occur more than once: within a usage and across."""

import numpy as np

from fer_utils.emotions import TRAINING
from fer_utils.errors import StudyError
from fer_utils.faces import Faces


def duplicate_groups(images: np.ndarray) -> np.ndarray:
    """The group of each image, int64 (n,): images uint8 (n, h, w) with equal pixels have the same number."""
    pixels = images.shape[1] * images.shape[2]
    flat = np.ascontiguousarray(images).reshape(len(images), pixels)
    return np.unique(flat.view(f"V{pixels}").ravel(), return_inverse=True)[1]


def redundant_copies(faces: Faces) -> int:
    """How many images could be left out without losing a picture."""
    return len(faces) - len(np.unique(duplicate_groups(faces.images)))


def leaked(faces: Faces, usage: str) -> np.ndarray:
    """Which images of a test split are in Training too, equal in every pixel, bool (m,) in the order of `faces.of`.

    Labels are not compared, and blanks count as any image does. FER-2013 has 280 such images in PublicTest and 288 in
    PrivateTest: a model may remember their labels, so scores without them are the stricter ones.

    Args:
        faces: Training and the split.
        usage: the split, not Training itself.

    Raises:
        StudyError: the usage is Training or unknown, or one of the two has no face.
    """
    if usage == TRAINING:
        raise StudyError(
            f"usage: expected a test split, found {TRAINING}, every image of which is in it. Its own copies are found "
            "by duplicate_groups."
        )
    split, training = faces.of(usage), faces.of(TRAINING)
    groups = duplicate_groups(np.concatenate([training.images, split.images]))
    return np.isin(groups[len(training) :], groups[: len(training)])
