"""Precision and recall of the audits on the planted faults of drawn faces."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.audits.duplicates import conflicting, copied, leaked
from fer_utils.audits.labels import mislabelled
from fer_utils.audits.pictures import near_constant
from fer_utils.data.faces import Faces
from fer_utils.emotions import TRAINING
from fer_utils.errors import StudyError

FAULTS = ("copy", "leak", "conflict", "wrong_label", "not_a_face")
"""Kinds of faults: an image with an exact duplicate; a test image with an exact duplicate in
Training; an image with an exact duplicate of another label; an image that shows another emotion
than its label; an image without a face."""


def planted(faces: Faces, fault: str) -> np.ndarray:
    """The drawn faces that have a planted fault, bool (n,), from `faces.truth`.

    In a selection of faces, duplicates count only if their original is selected too.

    Args:
        faces: drawn faces (see `data.sample`).
        fault: one of `FAULTS`.

    Raises:
        StudyError: the faces were not drawn, or there is no such fault.
    """
    if faces.truth is None:
        raise StudyError(
            f"faces: expected drawn faces with known faults, found source {faces.source!r}. Use "
            "the sample."
        )
    if fault not in FAULTS:
        raise StudyError(f"fault: expected one of {', '.join(FAULTS)}, found {fault!r}.")
    if fault == "wrong_label":
        return mislabelled(faces)
    if fault == "not_a_face":
        return np.isin(faces.row, faces.truth.loc[faces.truth["fault"] == fault, "row"])
    # Each duplicate belongs to the picture of its original, and any other image to its own.
    original = faces.truth.dropna(subset="of").set_index("row")["of"]
    rows = pd.Series(faces.row)
    table = pd.DataFrame({"picture": rows.map(original).fillna(rows).astype(np.int64)})
    table["label"], table["training"] = faces.emotion, faces.usage == TRAINING
    pictures = table.groupby("picture")
    if fault == "copy":
        return (pictures["label"].transform("size") > 1).to_numpy()
    if fault == "conflict":
        return (pictures["label"].transform("nunique") > 1).to_numpy()
    return (pictures["training"].transform("any") & ~table["training"]).to_numpy()


def score(found: np.ndarray, there: np.ndarray) -> dict[str, float]:
    """Precision and recall of an audit.

    Args:
        found: the flagged images, bool (n,).
        there: the faulty images, bool (n,).

    Returns:
        planted, found and right (numbers of images that are faulty, flagged, and both); precision
        (right / found, NaN if nothing was found); recall (right / planted, NaN if nothing was
        planted).
    """
    correct, flagged, faulty = int((found & there).sum()), int(found.sum()), int(there.sum())
    return {
        "planted": faulty,
        "found": flagged,
        "right": correct,
        "precision": correct / flagged if flagged else np.nan,
        "recall": correct / faulty if faulty else np.nan,
    }


def audit_flags(faces: Faces) -> dict[str, tuple[str, np.ndarray]]:
    """The flags of the audits of pixels, by the audit's name: the kind of fault and bool (n,)."""
    leaks = np.zeros(len(faces), bool)
    usages = set(faces.usage.tolist())
    if TRAINING in usages:
        for usage in usages - {TRAINING}:
            leaks[faces.usage == usage] = leaked(faces, usage)
    return {
        "exact duplicates": ("copy", copied(faces)),
        "leaks": ("leak", leaks),
        "duplicates with conflicting labels": ("conflict", conflicting(faces)),
        "near-constant": ("not_a_face", near_constant(faces)),
    }


def planted_table(
    faces: Faces, flags: Mapping[str, tuple[str, np.ndarray]] | None = None
) -> pd.DataFrame:
    """Precision and recall of audits on the planted faults, one row per audit.

    Args:
        faces: drawn faces.
        flags: as `audit_flags` returns them; None calls it.

    Returns:
        Columns: audit, fault, and those of `score`.

    Raises:
        StudyError: as `planted`, or an audit has another number of flags than faces.
    """
    rows = []
    for audit, (fault, found) in (audit_flags(faces) if flags is None else flags).items():
        found = np.asarray(found, bool)
        if found.shape != (len(faces),):
            raise StudyError(
                f"{audit}: expected a flag for each of {len(faces):,} faces, found shape "
                f"{found.shape}. Flag the same faces."
            )
        rows.append({"audit": audit, "fault": fault, **score(found, planted(faces, fault))})
    return pd.DataFrame(
        rows, columns=["audit", "fault", "planted", "found", "right", "precision", "recall"]
    )


def planted_finding(table: pd.DataFrame) -> str:
    """Summarise a table of `planted_table`."""
    perfect = table[(table["precision"] == 1) & (table["recall"] == 1)]["audit"].tolist()
    rest = table[~table["audit"].isin(perfect) & (table["planted"] > 0)]
    sentences = []
    if perfect:
        sentences.append(
            f"The audits {', '.join(perfect)} found every planted fault without a false alarm."
        )
    for row in rest.itertuples():
        sentence = (
            f"The audit {row.audit} found {row.right} of {row.planted} planted faults "
            f"({100 * row.recall:.0f} %)"
        )
        if row.found:
            sentence += f", and {100 * row.precision:.0f} % of its flags are correct"
        sentences.append(f"{sentence}.")
    return " ".join(sentences) or "No fault was planted."
