"""How good the audits are, where the faults are known: precision and recall on the drawn sample's
planted ones."""

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
"""Kinds of faults: an image that is there more than once; a test image that is in Training; a copy
whose picture is there with another label; an image that shows another emotion than its label; an
image that shows no face."""


def planted(faces: Faces, fault: str) -> np.ndarray:
    """Which drawn faces have a fault, bool (n,), by `faces.truth` and not by their pixels.

    Of faces that were selected, only copies of what was selected too count as such.

    Args:
        faces: drawn ones (see `sources.sample`).
        fault: one of `FAULTS`.

    Raises:
        StudyError: the faces were not drawn, or there is no such fault.
    """
    if faces.truth is None:
        raise StudyError(
            f"faces: expected drawn ones, whose faults are known, found {faces.source!r} without. "
            "Use the sample."
        )
    if fault not in FAULTS:
        raise StudyError(f"fault: expected one of {', '.join(FAULTS)}, found {fault!r}.")
    if fault == "wrong_label":
        return mislabelled(faces)
    if fault == "not_a_face":
        return np.isin(faces.row, faces.truth.loc[faces.truth["fault"] == fault, "row"])
    original = faces.truth.dropna(subset="of").set_index("row")["of"]
    each = pd.DataFrame(
        {
            "picture": pd.Series(faces.row)
            .map(original)
            .fillna(pd.Series(faces.row))
            .astype(np.int64)
        }
    )
    each["label"], each["training"] = faces.emotion, faces.usage == TRAINING
    alike = each.groupby("picture")
    if fault == "copy":
        return (alike["label"].transform("size") > 1).to_numpy()
    if fault == "conflict":
        return (alike["label"].transform("nunique") > 1).to_numpy()
    return (alike["training"].transform("any") & ~each["training"]).to_numpy()


def score(found: np.ndarray, there: np.ndarray) -> dict[str, float]:
    """Precision and recall of what an audit found.

    Args:
        found: what it flagged, bool (n,).
        there: what it should have, bool (n,).

    Returns:
        planted (number), found (number), right (number of both), precision (right / found, NaN
        where nothing was found) and recall (right / planted, NaN where nothing was planted).
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
    """What the audits of pixels flag: for each its name, the fault it looks for, and bool (n,).

    Leaks are looked for in the splits that have faces, where Training has.
    """
    leaks = np.zeros(len(faces), bool)
    usages = set(faces.usage.tolist())
    for usage in (usages - {TRAINING}) if TRAINING in usages else ():
        leaks[faces.usage == usage] = leaked(faces, usage)
    return {
        "exact copies": ("copy", copied(faces)),
        "leaks": ("leak", leaks),
        "copies with conflicting labels": ("conflict", conflicting(faces)),
        "near-constant": ("not_a_face", near_constant(faces)),
    }


def planted_table(
    faces: Faces, flags: Mapping[str, tuple[str, np.ndarray]] | None = None
) -> pd.DataFrame:
    """Precision and recall of audits on the planted faults, a row an audit.

    Args:
        faces: drawn ones.
        flags: the fault and what was flagged by the audit's name, as `audit_flags` gives them; None
            for those.

    Returns:
        Columns: audit, fault, and those of `score`.

    Raises:
        StudyError: as `planted`, or an audit flags another number of faces than there are.
    """
    rows = []
    for audit, (fault, found) in (audit_flags(faces) if flags is None else flags).items():
        found = np.asarray(found, bool)
        if found.shape != (len(faces),):
            raise StudyError(
                f"{audit}: expected a flag for each of {len(faces):,} faces, found shape "
                f"{found.shape}."
            )
        rows.append({"audit": audit, "fault": fault, **score(found, planted(faces, fault))})
    return pd.DataFrame(
        rows, columns=["audit", "fault", "planted", "found", "right", "precision", "recall"]
    )


def planted_finding(table: pd.DataFrame) -> str:
    """One sentence on a table of `planted_table`."""
    perfect = table[(table["precision"] == 1) & (table["recall"] == 1)]["audit"].tolist()
    rest = table[~table["audit"].isin(perfect) & (table["planted"] > 0)]
    parts = [f"{', '.join(perfect)} find all that was planted and nothing else"] if perfect else []
    parts += [
        f"{row.audit} finds {row.right} of {row.planted} ({row.recall:.0%})"
        + (f", and {row.precision:.0%} of what it finds is right" if row.found else "")
        for row in rest.itertuples()
    ]
    return (
        ("Of the planted faults, " + "; ".join(parts) + ".") if parts else "No fault was planted."
    )
