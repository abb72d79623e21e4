"""Reads the two tables of the truth: the photos, and the faces in them."""

import csv
from dataclasses import dataclass
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.recognition.found import Box

HERE = Path(__file__).resolve().parent
KINDS = ("sdist", "wheel", "npm")
"""Kinds of archives: two of pip, one of npm."""

VIEWS = ("frontal", "turned", "hidden")
SMALLEST = 24
"""Pixels across the smallest face that counts."""


@dataclass(frozen=True)
class Face:
    """A face: its box in pixels of the upright photo, and one of `VIEWS`."""

    box: Box
    view: str


@dataclass(frozen=True)
class Photo:
    """A photo that a package carries.

    Attributes:
        file: its name here.
        package, version, kind: the archive that carries it; kind is one of `KINDS`.
        path: its path inside the archive.
        sha256: of the file, in hexadecimal digits.
        width, height: in pixels, upright.
        faces: the faces in it; there may be none.
    """

    file: str
    package: str
    version: str
    kind: str
    path: str
    sha256: str
    width: int
    height: int
    faces: tuple[Face, ...] = ()


PHOTO_COLUMNS = ("file", "package", "version", "kind", "path", "sha256", "width", "height")
FACE_COLUMNS = ("file", "x", "y", "width", "height", "view")


def rows_of(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a table.

    Raises:
        StudyError: the file is missing, or has other columns.
    """
    try:
        with file.open(newline="", encoding="utf-8") as table:
            reader = csv.DictReader(table)
            rows = list(reader)
    except OSError as problem:
        raise StudyError(f"{file}: expected a table, found {problem}.") from None
    found = tuple(reader.fieldnames or ())
    if found != columns or any(None in row or None in row.values() for row in rows):
        raise StudyError(
            f"{file}: expected the columns {', '.join(columns)} in each row, found "
            f"{', '.join(found) or 'none'}, or a row of another length. Restore the file."
        )
    return rows


def read_truth(folder: Path = HERE) -> list[Photo]:
    """Read the photos with their faces from a folder's photos.csv and faces.csv.

    Raises:
        StudyError: a table is missing or has other columns, or a row contradicts the rule.
    """
    boxes: dict[str, list[Face]] = {}
    try:
        for row in rows_of(folder / "faces.csv", FACE_COLUMNS):
            box = Box(*(int(row[name]) for name in FACE_COLUMNS[1:5]))
            boxes.setdefault(row["file"], []).append(Face(box, row["view"]))
        photos = [
            Photo(
                **row | {side: int(row[side]) for side in ("width", "height")},
                faces=tuple(boxes.get(row["file"], ())),
            )
            for row in rows_of(folder / "photos.csv", PHOTO_COLUMNS)
        ]
    except ValueError as problem:
        raise StudyError(f"{folder}: expected whole numbers of pixels, found: {problem}.") from None
    if strange := boxes.keys() - {photo.file for photo in photos}:
        raise StudyError(
            f"{folder / 'faces.csv'}: expected photos of photos.csv, found faces of "
            f"{', '.join(sorted(strange))}. Add their photos, or remove their faces."
        )
    for photo in photos:
        check(photo)
    for what in ("file", "sha256"):
        values = [getattr(photo, what) for photo in photos]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise StudyError(
                f"{folder / 'photos.csv'}: expected each {what} once, found {', '.join(twice)} "
                "more than once. Remove the other rows."
            )
    return photos


def check(photo: Photo) -> None:
    """Check the rows of a photo and its faces.

    Raises:
        StudyError: a hash, kind or view is none, or a box is too small, outside or there twice.
    """
    problems = []
    if len(photo.sha256) != 64 or set(photo.sha256) - set("0123456789abcdef"):
        problems.append(f"a SHA-256 of 64 hexadecimal digits, found {photo.sha256!r}")
    if photo.kind not in KINDS:
        problems.append(f"a kind among {', '.join(KINDS)}, found {photo.kind!r}")
    for box, view in ((face.box, face.view) for face in photo.faces):
        if view not in VIEWS:
            problems.append(f"a view among {', '.join(VIEWS)}, found {view!r}")
        inside = 0 <= box.x <= photo.width - box.width and 0 <= box.y <= photo.height - box.height
        if not inside or min(box.width, box.height) < SMALLEST:
            problems.append(
                f"a box from {SMALLEST} pixels on inside {photo.width} x {photo.height}, found "
                f"{tuple(box)}"
            )
    if len({face.box for face in photo.faces}) < len(photo.faces):
        problems.append("each box once, found one twice")
    if problems:
        raise StudyError(f"{photo.file}: expected {'; expected '.join(problems)}. Correct its row.")
