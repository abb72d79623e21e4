"""Exact duplicates: images that are equal in every pixel, within a split and across splits."""

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, TRAINING, USAGES
from fer_utils.errors import StudyError


def duplicate_groups(images: np.ndarray) -> np.ndarray:
    """Number the groups of equal images.

    Args:
        images: uint8 (n, h, w).

    Returns:
        int64 (n,). Images with equal pixels have the same number.
    """
    pixels = images.shape[1] * images.shape[2]
    flat = np.ascontiguousarray(images).reshape(len(images), pixels)
    return np.unique(flat.view(f"V{pixels}").ravel(), return_inverse=True)[1]


def redundant_duplicates(faces: Faces) -> int:
    """The number of images that repeat another one."""
    return len(faces) - len(np.unique(duplicate_groups(faces.images)))


def copy_groups(faces: Faces) -> pd.DataFrame:
    """Tabulate each picture that occurs at least twice, largest group first.

    Columns: group (number in `duplicate_groups`), images, one column per split with the images
    there, labels (number of different labels). FER-2013 has 57 groups with more than one label.
    """
    groups = duplicate_groups(faces.images)
    number = int(groups.max(initial=-1)) + 1
    labels = np.bincount(groups * len(EMOTIONS) + faces.emotion, minlength=number * len(EMOTIONS))
    table = pd.DataFrame(
        {"group": np.arange(number), "images": np.bincount(groups, minlength=number)}
    )
    for usage in USAGES:
        table[usage] = np.bincount(groups[faces.usage == usage], minlength=number)
    table["labels"] = (labels.reshape(number, len(EMOTIONS)) > 0).sum(axis=1)
    table = table[table["images"] > 1]
    return table.sort_values(["images", "group"], ascending=[False, True], ignore_index=True)


def copied(faces: Faces) -> np.ndarray:
    """The images that have an exact duplicate, bool (n,)."""
    return np.isin(duplicate_groups(faces.images), copy_groups(faces)["group"])


def conflicting(faces: Faces) -> np.ndarray:
    """The images that have an exact duplicate with another label, bool (n,)."""
    table = copy_groups(faces)
    return np.isin(duplicate_groups(faces.images), table.loc[table["labels"] > 1, "group"])


def duplicates_by_usage(faces: Faces) -> pd.DataFrame:
    """Count the images of a split (rows) with an exact duplicate in a split (columns), int64."""
    groups = duplicate_groups(faces.images)
    table = pd.DataFrame(
        0, index=pd.Index(USAGES, name="usage"), columns=pd.Index(USAGES, name="duplicate in")
    )
    for other in USAGES:
        inside = faces.usage == other
        sizes = np.bincount(groups[inside], minlength=groups.max(initial=-1) + 1)
        # Equal images in the other split, without the image itself.
        equal = sizes[groups] - inside
        for usage in USAGES:
            table.loc[usage, other] = int((equal[faces.usage == usage] > 0).sum())
    return table


def leaked(faces: Faces, usage: str) -> np.ndarray:
    """The images of a test split that have an exact duplicate in Training.

    Labels are not compared, and blank images count. FER-2013 has 280 leaked images in PublicTest
    and 288 in PrivateTest. A model may remember their labels, so scores without them are stricter.

    Args:
        faces: Training and the split.
        usage: the test split.

    Returns:
        bool (m,), in the order of `faces.of(usage)`.

    Raises:
        StudyError: the split is Training or unknown, or one of the two has no face.
    """
    split, training = _split(faces, usage)
    groups = duplicate_groups(np.concatenate([training.images, split.images]))
    return np.isin(groups[len(training) :], groups[: len(training)])


def leaked_same_label(faces: Faces, usage: str) -> np.ndarray:
    """The images of a test split that have an exact duplicate with the same label in Training.

    FER-2013 has 273 in PublicTest and 279 in PrivateTest. Arguments, result and errors are those of
    `leaked`.
    """
    split, training = _split(faces, usage)
    groups = duplicate_groups(np.concatenate([training.images, split.images]))
    keys = groups * len(EMOTIONS) + np.concatenate([training.emotion, split.emotion])
    return np.isin(keys[len(training) :], keys[: len(training)])


def _split(faces: Faces, usage: str) -> tuple[Faces, Faces]:
    if usage == TRAINING:
        raise StudyError(
            f"usage: expected a test split, found {TRAINING}. `duplicate_groups` finds duplicates "
            "within it."
        )
    return faces.of(usage), faces.of(TRAINING)
