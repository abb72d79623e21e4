"""FER+ votes of ten annotators on each face (Barsoum et al. 2016, arXiv 1608.01041)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError

CATEGORIES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""Columns of fer2013new.csv with votes. NF means "not a face"."""

_ADVICE = "Votes are joined by row: use Microsoft's fer2013new.csv and Kaggle's whole fer2013.csv."


def join_votes(faces: Faces, path: Path) -> Faces:
    """Add the votes of fer2013new.csv to `faces`, row by row.

    Args:
        faces: all rows of Kaggle's CSV in their order.
        path: CSV with the columns Usage and `CATEGORIES`. Other columns are ignored.

    Returns:
        Faces whose `votes` is a uint8 DataFrame (n, 10) with the columns `CATEGORIES`.

    Raises:
        StudyError: the file is missing or invalid, or its rows are not those of `faces`.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(
            f"{path}: expected FER+ votes, found no file. Download fer2013new.csv, or leave "
            "--votes out."
        )
    try:
        table = pd.read_csv(
            path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        )
    # The parser errors of pandas and UnicodeDecodeError are ValueErrors.
    except (OSError, ValueError) as problem:
        raise StudyError(
            f"{path}: expected a CSV with FER+ votes, found {str(problem).strip()}. Download it "
            "again."
        ) from None
    table.columns = [str(name).strip() for name in table.columns]
    for column in ("Usage", *CATEGORIES):
        if list(table.columns).count(column) != 1:
            raise StudyError(
                f"{path}: expected one column {column!r} (columns Usage, {', '.join(CATEGORIES)}), "
                f"found {', '.join(table.columns)[:200]}. Download fer2013new.csv again."
            )
    if len(table) != len(faces):
        raise StudyError(
            f"{path}: expected votes for {len(faces):,} faces, found {len(table):,} rows. {_ADVICE}"
        )
    differing = np.flatnonzero(table["Usage"].str.strip().to_numpy(np.str_) != faces.usage)
    if len(differing):
        row = differing[0]
        raise StudyError(
            f"{path}: row {row}: expected Usage {faces.usage[row]!s} of the face, found "
            f"{table['Usage'].iloc[row]!r} ({len(differing):,} rows differ). {_ADVICE}"
        )
    return replace(
        faces, votes=pd.DataFrame({name: _counts(table[name], path) for name in CATEGORIES})
    )


def _counts(column: pd.Series, path: Path) -> np.ndarray:
    text = column.str.strip()
    wrong = np.flatnonzero(~text.str.fullmatch("[0-9]{1,2}").to_numpy(bool))
    if len(wrong):
        raise StudyError(
            f"{path}: row {wrong[0]}: {column.name}: expected a number of votes 0..99, found "
            f"{column.iloc[wrong[0]]!r}. Download fer2013new.csv again."
        )
    return text.to_numpy().astype(np.uint8)
