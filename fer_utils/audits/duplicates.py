"""Images that occur more than once, equal in every pixel: within a usage and across, with one
label or several."""

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, TRAINING, USAGES
from fer_utils.errors import StudyError


def duplicate_groups(images: np.ndarray) -> np.ndarray:
    """The group of each image, int64 (n,): images uint8 (n, h, w) with equal pixels have the same
    number."""
    pixels = images.shape[1] * images.shape[2]
    flat = np.ascontiguousarray(images).reshape(len(images), pixels)
    return np.unique(flat.view(f"V{pixels}").ravel(), return_inverse=True)[1]


def redundant_duplicates(faces: Faces) -> int:
    """How many images could be left out without losing a picture."""
    return len(faces) - len(np.unique(duplicate_groups(faces.images)))


def copy_groups(faces: Faces) -> pd.DataFrame:
    """A row for each picture that occurs at least twice, largest group first.

    Columns: group (number in `duplicate_groups`), images, one column a usage with the images there,
    labels (how many emotions they are labelled with). FER-2013 has 57 groups with more than one
    label.
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
    """Which images have at least one copy, bool (n,): of a picture that is there twice, both."""
    return np.isin(duplicate_groups(faces.images), copy_groups(faces)["group"])


def conflicting(faces: Faces) -> np.ndarray:
    """Which images have a copy with another label, bool (n,)."""
    table = copy_groups(faces)
    return np.isin(duplicate_groups(faces.images), table.loc[table["labels"] > 1, "group"])


def duplicates_by_usage(faces: Faces) -> pd.DataFrame:
    """How many images of a usage (rows) have an equal one, other than themselves, in a usage
    (columns); int64."""
    groups = duplicate_groups(faces.images)
    table = pd.DataFrame(
        0, index=pd.Index(USAGES, name="usage"), columns=pd.Index(USAGES, name="copy in")
    )
    for there in USAGES:
        equal = np.bincount(groups[faces.usage == there], minlength=groups.max(initial=-1) + 1)[
            groups
        ]
        others = equal - (faces.usage == there)
        for usage in USAGES:
            table.loc[usage, there] = int((others[faces.usage == usage] > 0).sum())
    return table


def leaked(faces: Faces, usage: str) -> np.ndarray:
    """Which images of a test split are in Training too, equal in every pixel, bool (m,) in the
    order of `faces.of`.

    Labels are not compared, and blanks count as any image does. FER-2013 has 280 such images in
    PublicTest and 288 in
    PrivateTest: a model may remember their labels, so scores without them are the stricter ones.

    Args:
        faces: Training and the split.
        usage: the split, not Training itself.

    Raises:
        StudyError: the usage is Training or unknown, or one of the two has no face.
    """
    split, training = _split(faces, usage)
    groups = duplicate_groups(np.concatenate([training.images, split.images]))
    return np.isin(groups[len(training) :], groups[: len(training)])


def leaked_same_label(faces: Faces, usage: str) -> np.ndarray:
    """Which images of a test split have at least one copy in Training with their own label, bool
    (m,).

    FER-2013 has 273 in PublicTest and 279 in PrivateTest. The order, arguments and errors are those
    of `leaked`.
    """
    split, training = _split(faces, usage)
    groups = duplicate_groups(np.concatenate([training.images, split.images]))
    keys = groups * len(EMOTIONS) + np.concatenate([training.emotion, split.emotion])
    return np.isin(keys[len(training) :], keys[: len(training)])


def _split(faces: Faces, usage: str) -> tuple[Faces, Faces]:
    if usage == TRAINING:
        raise StudyError(
            f"usage: expected a test split, found {TRAINING}, every image of which is in it. Its "
            "own copies are found "
            "by duplicate_groups."
        )
    return faces.of(usage), faces.of(TRAINING)
