"""Kaggle's CSV of FER-2013: one face per row, with its pixels as 2,304 numbers in one field.

The file has 83 million numbers. A plain loop would make a Python object for each, which is slow.
Here numpy converts the digits of a few rows at a time. Unusual rows are read again one by one in
plain Python, which accepts a row or raises an error that describes the fault.
"""

import codecs
import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces, Source
from fer_utils.data.packing import find, unpacked, where_usage_is
from fer_utils.emotions import EMOTIONS, SIDE, USAGES
from fer_utils.errors import StudyError

COLUMNS = ("emotion", "pixels", "Usage")

_PIXELS = SIDE * SIDE
_EMOTION = {str(number).encode(): number for number in range(len(EMOTIONS))}
_USAGE = {usage.encode(): usage for usage in USAGES}
_NUMBER = re.compile(rb"0*([0-9]{1,3})")
_LONGEST_LINE = 1 << 20  # bytes, 100 times a row; so a file without line ends is not read whole
_ROWS = 12  # per block: few enough for the cache, enough to make the calls to numpy cheap


@dataclass(frozen=True)
class _Columns:
    """Positions of the columns, and the number of all columns."""

    emotion: int
    pixels: int
    usage: int
    width: int


@dataclass(frozen=True)
class _Rows:
    """Some rows of the file: uint8 (n, 48, 48), emotion numbers, and splits."""

    images: np.ndarray
    emotion: list[int]
    usage: list[str]


def read_csv(path: Path, *, progress: bool = False) -> Faces:
    """Read Kaggle's CSV. Its columns are emotion, pixels and Usage, in any order.

    Other columns are ignored.

    Args:
        path: the CSV; a .csv.gz, .zip, .tar.gz, .tgz or .tar that contains it; or a folder with one
            of these files (see `packing.find`).
        progress: show a progress bar.

    Returns:
        Faces in the order of the file. `row` is the zero-based row without the header.

    Raises:
        StudyError: there is no such file, its packing is broken, a column is missing, or a row is
            invalid. The message contains the file, row and line of the first fault. No row is
            skipped.
    """
    path = Path(path)
    if path.is_dir():
        path = find(path)
    parts = []
    # A file name may contain bytes that a terminal cannot print.
    name = os.fsencode(path.name).decode(errors="backslashreplace")
    with (
        unpacked(path) as (stream, packed),
        tqdm(desc=name, unit="B", unit_scale=True, disable=not progress) as bar,
    ):
        bar.total = path.stat().st_size
        lines = _lines(stream, path)
        columns = _header(next(lines, None), path)
        for first, block in _blocks(lines):
            parts.append(_read_block(block, columns) or _read_rows(block, columns, first, path))
            bar.update(packed.tell() - bar.n)
    if not parts:
        raise StudyError(
            f"{path}: expected a header and rows, found a header only. Download it again."
        )
    emotion = [number for part in parts for number in part.emotion]
    return Faces(
        images=np.concatenate([part.images for part in parts]),
        emotion=np.array(emotion, np.uint8),
        usage=np.array([usage for part in parts for usage in part.usage], np.str_),
        row=np.arange(len(emotion), dtype=np.int64),
        source="csv",
    )


SOURCE = Source(
    read_csv, path="Kaggle's fer2013.csv, .csv.gz, .zip or .tar.gz, or the folder that contains it"
)


def _lines(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines without their ends. Blank lines may only follow the last row."""
    blank = 0
    for number, line in enumerate(iter(partial(stream.readline, _LONGEST_LINE), b""), start=1):
        if len(line) == _LONGEST_LINE:
            raise StudyError(
                f"{path}: line {number}: expected a row of a CSV, found {_LONGEST_LINE:,} bytes "
                "without a line end. Choose FER-2013's CSV."
            )
        content = line.rstrip(b"\r\n")
        if not content.strip():
            blank = blank or number
        elif blank:
            raise StudyError(
                f"{path}: line {blank}: expected a row, found a blank line. Delete it, or download "
                "the file again."
            )
        else:
            yield content


def _blocks(lines: Iterator[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield blocks of rows, each with the number of its first row."""
    first, block = 0, []
    for line in lines:
        block.append(line)
        if len(block) == _ROWS:
            yield first, block
            first, block = first + len(block), []
    if block:
        yield first, block


def _header(line: bytes | None, path: Path) -> _Columns:
    if line is None:
        raise StudyError(
            f"{path}: expected a CSV with columns {', '.join(COLUMNS)}, found an empty file. "
            "Download it again."
        )
    where = f"{path}: line 1"
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise StudyError(
            f"{where}: expected a row of a CSV in UTF-8, found UTF-16, as spreadsheet programs "
            "write it. Save it as a CSV in UTF-8, or use Kaggle's file."
        )
    line = line.removeprefix(codecs.BOM_UTF8)
    for separator, name in ((b";", "semicolons"), (b"\t", "tabs")):
        if separator in line and b"," not in line:
            raise StudyError(
                f"{where}: expected columns separated by commas, found {name}, as spreadsheet "
                "programs write them. Save it with commas, or use Kaggle's file."
            )
    names = [_name(field) for field in _fields(line, where)]
    found = _short(", ".join(names))
    if "pixels" in names and "usage" not in names:
        raise StudyError(
            f"{where}: expected a column 'Usage', found {found}, as in the contest's train.csv and "
            f"test.csv. Without it the splits are unknown. {where_usage_is(path)}"
        )
    for column in COLUMNS:
        if names.count(column.lower()) != 1:
            raise StudyError(
                f"{where}: expected one column {column!r} (columns {', '.join(COLUMNS)} in any "
                f"order), found {found}. Add Kaggle's header."
            )
    emotion, pixels, usage = (names.index(column.lower()) for column in COLUMNS)
    return _Columns(emotion, pixels, usage, width=len(names))


def _name(field: bytes) -> str:
    """A column's name in lower case, without blanks and quotes around it."""
    name = field.decode().strip()
    # After a blank, a quote is part of the field.
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].strip()
    return name.lower()


def _fields(line: bytes, where: str) -> list[bytes]:
    """The fields of one line. A quoted field may contain commas and doubled quotes."""
    if b'"' not in line and line.isascii():
        return line.split(b",")
    try:
        return [field.encode() for field in next(csv.reader([line.decode()], strict=True))]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise StudyError(
            f"{where}: expected a row of a CSV in UTF-8, found {problem}. Choose FER-2013's CSV, "
            "or download it again."
        ) from None


def _read_block(block: list[bytes], columns: _Columns) -> _Rows | None:
    """Read the rows of a block together. Return None if one of them is unusual or invalid."""
    rows = [line.split(b",") for line in block]
    if any(len(row) != columns.width for row in rows):
        return None
    try:
        emotion = [_EMOTION[row[columns.emotion]] for row in rows]
        usage = [_USAGE[row[columns.usage]] for row in rows]
    except KeyError:
        return None
    if columns.width > len(COLUMNS) and not all(
        line.isascii() and b'"' not in line for line in block
    ):
        return None
    images = _numbers([row[columns.pixels] for row in rows])
    return None if images is None else _Rows(images, emotion, usage)


def _numbers(texts: list[bytes]) -> np.ndarray | None:
    """Convert n texts of 2,304 numbers, 0 to 255, to uint8 (n, 48, 48).

    The numbers have one to three digits and blanks between them. Return None for any other text.
    """
    # Margins allow slices that are shifted by up to three bytes back and one byte forward.
    text = np.frombuffer(b"   " + b" ".join(texts) + b" ", np.uint8)
    value = text - np.uint8(48)  # bytes below "0" wrap around to values above 9
    digit = value < 10
    if not (digit | (text == 32)).all():
        return None
    value *= digit.view(np.uint8)
    # For each byte: is it the second, third or fourth digit in succession, and the value of the
    # number that ends there.
    second = digit[3:-1] & digit[2:-2]
    third = second & digit[1:-3]
    fourth = third & digit[:-4]
    tens = value[3:-1] + value[2:-2] * np.uint8(10)
    hundreds = value[1:-3] * third.view(np.uint8)
    whole = tens + hundreds * np.uint8(100)
    # Sums of 256 to 299 overflow, and are then less than their tens.
    if fourth.any() or hundreds.max(initial=0) > 2 or (whole < tens).any():
        return None
    last = np.flatnonzero(digit[3:-1] & ~digit[4:])
    if len(last) != len(texts) * _PIXELS:
        return None
    # Each text must have 2,304 numbers of its own, not only on average.
    stops = np.cumsum([len(one) + 1 for one in texts])
    if (last[_PIXELS - 1 :: _PIXELS] >= stops).any() or (last[_PIXELS::_PIXELS] < stops[:-1]).any():
        return None
    return whole[last].reshape(-1, SIDE, SIDE)


def _read_rows(block: list[bytes], columns: _Columns, first: int, path: Path) -> _Rows:
    """Read the rows of a block one by one. Raises StudyError for the first invalid row."""
    images = np.empty((len(block), _PIXELS), np.uint8)
    emotion, usage = [], []
    for index, line in enumerate(block):
        row = first + index
        where = f"{path}: row {row} (line {row + 2})"
        fields = _fields(line, where)
        if len(fields) != columns.width:
            raise _unexpected(where, f"{columns.width} fields", f"{len(fields)}")
        emotion.append(
            _one_of(_EMOTION, fields[columns.emotion], f"{where}: emotion", "a whole number 0..6")
        )
        images[index] = _pixels(fields[columns.pixels], where)
        usage.append(
            _one_of(_USAGE, fields[columns.usage], f"{where}: Usage", f"one of {', '.join(USAGES)}")
        )
    return _Rows(images.reshape(-1, SIDE, SIDE), emotion, usage)


def _pixels(text: bytes, where: str) -> list[int]:
    tokens = text.split()
    if len(tokens) != _PIXELS:
        raise _unexpected(where, f"{_PIXELS:,} pixels", f"{len(tokens):,}")
    pixels = []
    for index, token in enumerate(tokens):
        matched = _NUMBER.fullmatch(token)
        if not matched or int(matched[1]) > 255:
            raise _unexpected(f"{where}: pixel {index}", "a whole number 0..255", _short(token))
        pixels.append(int(matched[1]))
    return pixels


def _one_of(values: dict, text: bytes, where: str, expected: str):
    try:
        return values[text.strip()]
    except KeyError:
        raise _unexpected(where, expected, _short(text)) from None


def _unexpected(where: str, expected: str, found: str) -> StudyError:
    return StudyError(
        f"{where}: expected {expected}, found {found}. Correct the row, or download the file again."
    )


def _short(text: bytes | str, most: int = 60) -> str:
    """Quote `text` for a message: unprintable bytes are escaped, and long text is cut."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return repr(text if len(text) <= most else text[:most] + "...")
