"""Tables of the faces in a video, as CSV or Parquet."""

import csv
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file, expect_replaceable

COLUMNS = (
    *("frame", "seconds", "track", "x", "y", "width", "height", "score", "emotion", "uncertain"),
    *EMOTIONS,
)
"""Keys of a row, in order. Frames are numbered from 0 and tracks from 1. x, y, width and height
are pixels of the upright frame. score is the detector's. Each emotion's column is its
probability."""

_ROW_GROUP = 10_000  # rows of a Parquet file that are in memory at once


def write_rows(rows: Iterable[dict], path: str | os.PathLike) -> int:
    """Write the rows of a video to a CSV or Parquet file, one by one as they come.

    The file appears when it is complete. A CSV file has a header and one line for each row. Parquet
    holds the same values with their types: numbers, texts, and truth values for `uncertain`.

    Args:
        rows: from `recognize_video`; there may be none.
        path: ends with `.csv` or `.parquet`. Parquet needs pyarrow.

    Returns:
        The number of rows.

    Raises:
        StudyError: the suffix is another one, pyarrow is missing, or the file would replace one
            that fer-study did not make. No row is taken before this check.
    """
    path = Path(path)
    write = {".csv": _write_csv, ".parquet": _write_parquet}.get(path.suffix.lower())
    if write is None:
        raise StudyError(f"{path}: expected a name that ends with .csv or .parquet. Rename it.")
    expect_replaceable(path, "a video's rows", _has_columns)
    return write(rows, path)


def _has_columns(path: Path) -> bool:
    """Whether the file is a table from `write_rows`."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"PAR1":  # Parquet has the names of its columns at the end
            file.seek(max(0, path.stat().st_size - 65536))
            end = file.read()
            return all(column.encode() in end for column in COLUMNS)
        header = (start + file.readline()).decode(errors="replace")
        return header.strip() == ",".join(COLUMNS)


def _write_csv(rows: Iterable[dict], path: Path) -> int:
    count = 0
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_parquet(rows: Iterable[dict], path: Path) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise StudyError(
            f"{path}: expected pyarrow to write Parquet, found it is not installed. Install it "
            "with `pip install pyarrow`, or name a .csv file."
        ) from None
    types = dict.fromkeys(("frame", "track", "x", "y", "width", "height"), pyarrow.int64())
    types |= {"emotion": pyarrow.string(), "uncertain": pyarrow.bool_()}
    schema = pyarrow.schema([(column, types.get(column, pyarrow.float64())) for column in COLUMNS])
    rows, count = iter(rows), 0
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        while group := list(itertools.islice(rows, _ROW_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
            count += len(group)
    return count
