"""File names and packings of Kaggle's CSV: plain, gzip, zip and tar."""

import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fer_utils.data.layout import part_of, visible
from fer_utils.errors import StudyError

CONTEST = "challenges-in-representation-learning-facial-expression-recognition-challenge"
"""Kaggle's name of the contest and of the archive with all its files."""

STEMS = ("fer2013", "icml_face_data")
"""Kaggle's names of the file, without endings."""

SUFFIXES = (".csv", ".csv.gz", ".zip", ".tar.gz", ".tgz", ".tar")
"""Allowed endings of a file's name, in upper or lower case."""

_BUFFER = 1 << 20

# Errors of the standard library for a broken packing: while reading, and when opening.
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_UNOPENED = (*_BROKEN, struct.error, NotImplementedError, RuntimeError, ValueError)

# Suffixes of second copies from browsers and systems: "fer2013 (1)", "fer2013 - copy".
_SECOND = re.compile(r"(( -)? copy)?( ?\([0-9]+\)|[ _-][0-9]+)?$")
# Names of the contest's CSVs without a column Usage, and of CSVs without faces.
_WITHOUT_USAGE = ("train", "test")
_WITHOUT_FACES = ("example_submission", "fer2013new")


def find(folder: Path) -> Path:
    """Find Kaggle's file in `folder` by its name.

    The ranks are: names of `STEMS` and `CONTEST`; second copies of these, and archive.zip (Kaggle's
    name of any data set); other names that end with one of `SUFFIXES`.

    Raises:
        StudyError: there is no such file, there are several of the best rank, or the folder cannot
            be read.
    """
    entries = visible(Path(folder))
    ranks = {file: _rank(file.name) for file in entries if file.is_file()}
    known = [rank for rank in ranks.values() if rank is not None]
    best = [file for file in ranks if known and ranks[file] == min(known)]
    if len(best) == 1:
        return best[0]
    if best and _lacks_usage([file.name for file in best]):
        raise StudyError(
            f"{folder}: expected a file with the column Usage, found {_list(best)}, which lack it "
            f"in the contest's data. {where_usage_is(best[0])}"
        )
    if best:
        raise StudyError(
            f"{folder}: expected one file with the faces, found {_list(best)}. Choose one of them "
            "with --path."
        )
    raise StudyError(
        f"{folder}: expected a file with the faces, such as {STEMS[0]}.csv, that ends with "
        f"{', '.join(SUFFIXES)}; found {_list(entries) or 'none'}. Put Kaggle's file there, or "
        "choose a file with --path. For images in train/<emotion>/ and test/<emotion>/, use "
        "--source folder."
    )


def where_usage_is(path: Path) -> str:
    """Advice for a CSV without the column Usage, at `path` or packed in it."""
    inside = _packed(_members(path))
    if inside:
        return f"Unpack {path.name} and choose {inside[0]} from it, which should have Usage."
    beside = [file for file in visible(path.parent) if file != path and _rank(file.name) == 0]
    if beside:
        return f"Choose {beside[0]}, which should have Usage."
    return (
        f"Choose {STEMS[1]}.csv or {STEMS[0]}.tar.gz of the same download, which have Usage "
        f"(https://www.kaggle.com/competitions/{CONTEST}/data)."
    )


def _packed(names: list[str]) -> list[str]:
    """The members of an archive that are themselves packings of Kaggle's file."""
    ranks = {name: _rank(PurePosixPath(name).name) for name in names}
    return [name for name in names if ranks[name] == 0 and not name.lower().endswith(".csv")]


def _stem(name: str) -> str | None:
    """The name in lower case without its ending, or None for another ending."""
    name = name.lower()
    endings = (".csv.zip", *SUFFIXES)
    return next((name.removesuffix(one) for one in endings if name.endswith(one)), None)


def _rank(name: str) -> int | None:
    """Rank a file name, see `find`: 0 to 2, or None for a file without faces."""
    stem = _stem(name)
    if stem is None:
        return None
    original = _SECOND.sub("", stem)
    if original in _WITHOUT_FACES:
        return None
    if original in (*STEMS, CONTEST):
        return 0 if original == stem else 1
    return 1 if original == "archive" else 2


def _lacks_usage(names: list[str]) -> bool:
    """True if all of these are the contest's CSVs without a column Usage."""
    return all(_SECOND.sub("", _stem(name) or "") in _WITHOUT_USAGE for name in names)


def _list(files: list[Path]) -> str:
    more = f" and {len(files) - 10:,} more" if len(files) > 10 else ""
    return ", ".join(file.name for file in files[:10]) + more


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open the CSV at `path` or inside it.

    Yields the buffered stream of the CSV's bytes, and the packed file, whose `tell()` measures
    progress. After the block, the rest of the stream is read, because gzip and zip have their
    checksums at the end.

    Raises:
        StudyError: there is no such file, its name has an unknown ending, an archive has no CSV or
            several, or the packing is broken. The last may also be raised in the block.
    """
    path = Path(path)
    kind = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if not path.is_file():
        found = "something else" if path.exists() else "nothing there"
        raise StudyError(f"{path}: expected a file, found {found}. Check the path.")
    if kind is None:
        raise StudyError(
            f"{path}: expected a name that ends with {', '.join(SUFFIXES)}, found {path.name}. "
            "Rename it according to its content."
        )
    with ExitStack() as stack:
        try:
            packed = stack.enter_context(path.open("rb", buffering=_BUFFER))
            layers = _layers(path, kind, packed, stack)
        except StudyError:
            raise
        except _UNOPENED as problem:
            raise _broken(path, kind, problem) from problem
        try:
            stream: BinaryIO = packed
            if layers:  # buffered, because the readline of zip's stream is slow
                stream = stack.enter_context(io.BufferedReader(layers[-1], _BUFFER))
            yield stream, packed
            for layer in (stream, *reversed(layers)):
                while layer.read(_BUFFER):
                    pass
        except _BROKEN as problem:
            raise _broken(path, kind, problem) from problem


def _broken(path: Path, kind: str, problem: Exception) -> StudyError:
    return StudyError(
        f"{path}: expected a complete {kind} file, found {type(problem).__name__}: {problem}. "
        "Download it again."
    )


def _layers(path: Path, kind: str, packed: BinaryIO, stack: ExitStack) -> list[Any]:
    """The binary streams from `packed` to the CSV, outermost first."""
    if kind == ".csv":
        return []
    if kind == ".csv.gz":
        return [stack.enter_context(gzip.GzipFile(fileobj=packed))]
    if kind == ".zip":
        zipped = stack.enter_context(zipfile.ZipFile(packed))
        return [stack.enter_context(zipped.open(_choose(path, zipped.namelist())))]
    # gzip is a separate layer, because tarfile does not read gzip's checksum.
    outer: Any = packed if kind == ".tar" else stack.enter_context(gzip.GzipFile(fileobj=packed))
    archive = stack.enter_context(tarfile.TarFile(fileobj=outer))
    members = {member.name: member for member in archive.getmembers() if member.isfile()}
    member = archive.extractfile(members[_choose(path, list(members))])
    assert member is not None  # it is a file
    return [outer, stack.enter_context(member)]


def _choose(path: Path, names: list[str]) -> str:
    """The member with the faces.

    It is the only CSV; otherwise the only CSV with Kaggle's name; otherwise the only CSV that may
    contain faces.
    """
    # macOS adds a hidden file, which begins with "._", for each file.
    visible_names = [name for name in names if not PurePosixPath(name).name.startswith(".")]
    tables = [name for name in visible_names if name.lower().endswith(".csv")]
    ranks = {name: _rank(PurePosixPath(name).name) for name in tables}
    original = [name for name in tables if ranks[name] == 0]
    with_faces = [name for name in tables if ranks[name] is not None]
    for candidates in (tables, original, with_faces):
        if len(candidates) == 1:
            return candidates[0]
    if with_faces and _lacks_usage([PurePosixPath(name).name for name in with_faces]):
        raise StudyError(
            f"{path}: expected a CSV with the column Usage inside, found {', '.join(with_faces)}, "
            f"which lack it in the contest's data. {where_usage_is(path)}"
        )
    advice = "Unpack it and choose the CSV with --path."
    if not tables:
        folders = {part for name in visible_names for part in PurePosixPath(name).parts}
        if packed := _packed(visible_names):
            advice = f"Unpack it and choose {packed[0]} from it with --path."
        elif any(part_of(folder) for folder in folders):
            advice = "It contains images in folders. Unpack it and use --source folder."
    raise StudyError(
        f"{path}: expected one CSV inside, or one named {STEMS[0]}.csv or {STEMS[1]}.csv; found "
        f"{', '.join(tables[:10]) or 'no CSV'}. {advice}"
    )


def _members(path: Path) -> list[str]:
    """The names of the files in an archive; empty for other files and broken archives."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as zipped:
                return zipped.namelist()
        if path.name.lower().endswith((".tar.gz", ".tgz", ".tar")):
            with tarfile.open(path) as archive:
                return archive.getnames()
    except _UNOPENED:
        pass
    return []
