"""The packings that Kaggle's CSV comes in: plain, gzip, zip and tar; and the names of the files."""

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
"""Kaggle's name of the contest, and of the archive with all its files."""

STEMS = ("fer2013", "icml_face_data")
"""Names under which Kaggle gives the data, without what tells the packing."""

SUFFIXES = (".csv", ".csv.gz", ".zip", ".tar.gz", ".tgz", ".tar")
"""What the name of a file may end with, in any case."""

_BUFFER = 1 << 20

# What the standard library raises where a packing is broken or cut short, and only when it is
# opened.
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_UNOPENED = (*_BROKEN, struct.error, NotImplementedError, RuntimeError, ValueError)

# What browsers and systems put after the name of a second copy: "fer2013 (1)", "fer2013 - copy".
_SECOND = re.compile(r"(( -)? copy)?( ?\([0-9]+\)|[ _-][0-9]+)?$")
# The contest's CSVs without a column Usage, and those without faces; the last is FER+'s.
_WITHOUT_USAGE = ("train", "test")
_WITHOUT_FACES = ("example_submission", "fer2013new")


def find(folder: Path) -> Path:
    """The one file in `folder` that is Kaggle's, as far as its name tells.

    Names of `STEMS` and `CONTEST` go before those of second copies, and before archive.zip, as
    Kaggle calls any data set; these go before whatever else ends with one of `SUFFIXES`.

    Raises:
        StudyError: there is none, or more than one of the best kind, or the folder cannot be read.
    """
    entries = visible(Path(folder))
    ranks = {file: _rank(file.name) for file in entries if file.is_file()}
    known = [rank for rank in ranks.values() if rank is not None]
    best = [file for file in ranks if known and ranks[file] == min(known)]
    if len(best) == 1:
        return best[0]
    if best and _lacks_usage([file.name for file in best]):
        raise StudyError(
            f"{folder}: expected a file with the column Usage, found {_list(best)}, which the "
            f"contest gives without it. {where_usage_is(best[0])}"
        )
    if best:
        raise StudyError(
            f"{folder}: expected one file with the faces, found {_list(best)}. "
            "Name the one that is to be read with --path."
        )
    raise StudyError(
        f"{folder}: expected a file with the faces, such as {STEMS[0]}.csv, that ends with "
        f"{', '.join(SUFFIXES)}; found {_list(entries) or 'none'}. Put Kaggle's file there, or "
        "name the file itself with --path. Images in train/<emotion>/ and test/<emotion>/ are read "
        "with --source folder."
    )


def where_usage_is(path: Path) -> str:
    """Advice for who gave a CSV without Usage, such as the contest's, plain or packed in `path`."""
    inside = _packed(_members(path))
    if inside:
        return f"Unpack {path.name} and give {inside[0]}, which is in it and should have Usage."
    beside = [file for file in visible(path.parent) if file != path and _rank(file.name) == 0]
    if beside:
        return f"Give {beside[0]}, which should have Usage."
    return (
        f"The same download holds {STEMS[1]}.csv and {STEMS[0]}.tar.gz, which have Usage: give one "
        f"of them (https://www.kaggle.com/competitions/{CONTEST}/data)."
    )


def _packed(names: list[str]) -> list[str]:
    """Those members of an archive that are Kaggle's data packed once more."""
    ranks = {name: _rank(PurePosixPath(name).name) for name in names}
    return [name for name in names if ranks[name] == 0 and not name.lower().endswith(".csv")]


def _stem(name: str) -> str | None:
    """The name in small letters without its ending; None where it has another ending."""
    name = name.lower()
    endings = (".csv.zip", *SUFFIXES)
    return next((name.removesuffix(one) for one in endings if name.endswith(one)), None)


def _rank(name: str) -> int | None:
    """0 for a name under which Kaggle gives the data, 1 for a likely one, 2 for any other table or
    archive, None for what holds no faces."""
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
    """Whether all of these are the contest's CSVs without a column Usage."""
    return all(_SECOND.sub("", _stem(name) or "") in _WITHOUT_USAGE for name in names)


def _list(files: list[Path]) -> str:
    more = f" and {len(files) - 10:,} more" if len(files) > 10 else ""
    return ", ".join(file.name for file in files[:10]) + more


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open the CSV at or inside `path`.

    Gives the buffered stream of the CSV's bytes, and the packed file itself, whose `tell()` says
    how far the reading is. When the block ends without error what is left is read to its end, for
    that is where gzip and zip keep their checksums.

    Raises:
        StudyError: no such file, a name that tells no known packing, an archive without one CSV to
            choose, or (also while the block reads) a packing that is broken.
    """
    path = Path(path)
    kind = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if not path.is_file():
        raise StudyError(
            f"{path}: expected a file, found "
            f"{'something else' if path.exists() else 'nothing there'}."
        )
    if kind is None:
        raise StudyError(
            f"{path}: expected a name that ends with {', '.join(SUFFIXES)}. Rename it after what "
            "it is."
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
            # The readline of zip's own stream is slow.
            stream = (
                stack.enter_context(io.BufferedReader(layers[-1], _BUFFER)) if layers else packed
            )
            yield stream, packed
            for layer in (stream, *reversed(layers)):
                while layer.read(_BUFFER):
                    pass
        except _BROKEN as problem:
            raise _broken(path, kind, problem) from problem


def _broken(path: Path, kind: str, problem: Exception) -> StudyError:
    return StudyError(
        f"{path}: expected a whole {kind} file, found {type(problem).__name__}: {problem}. "
        "It is broken, cut short or cannot be opened: get it again."
    )


def _layers(path: Path, kind: str, packed: BinaryIO, stack: ExitStack) -> list[Any]:
    """The binary streams between `packed` and the CSV, outermost first."""
    if kind == ".csv":
        return []
    if kind == ".csv.gz":
        return [stack.enter_context(gzip.GzipFile(fileobj=packed))]
    if kind == ".zip":
        zipped = stack.enter_context(zipfile.ZipFile(packed))
        return [stack.enter_context(zipped.open(_choose(path, zipped.namelist())))]
    # gzip is a layer of its own, because tarfile does not read as far as gzip's checksum.
    outer: Any = packed if kind == ".tar" else stack.enter_context(gzip.GzipFile(fileobj=packed))
    archive = stack.enter_context(tarfile.TarFile(fileobj=outer))
    members = {member.name: member for member in archive.getmembers() if member.isfile()}
    member = archive.extractfile(members[_choose(path, list(members))])
    assert member is not None  # it is a file
    return [outer, stack.enter_context(member)]


def _choose(path: Path, names: list[str]) -> str:
    """The member with the faces: the only CSV, or of several the only one that has Kaggle's name,
    or that may hold faces."""
    # macOS puts a "._" file, which is no CSV, beside each it packs.
    shown = [name for name in names if not PurePosixPath(name).name.startswith(".")]
    tables = [name for name in shown if name.lower().endswith(".csv")]
    ranks = {name: _rank(PurePosixPath(name).name) for name in tables}
    known = [name for name in tables if ranks[name] == 0]
    with_faces = [name for name in tables if ranks[name] is not None]
    for candidates in (tables, known, with_faces):
        if len(candidates) == 1:
            return candidates[0]
    if with_faces and _lacks_usage([PurePosixPath(name).name for name in with_faces]):
        raise StudyError(
            f"{path}: expected a CSV with the column Usage inside, found {', '.join(with_faces)}, "
            f"which the contest gives without it. {where_usage_is(path)}"
        )
    advice = "Unpack it and name the CSV with --path."
    if not tables and (packed := _packed(shown)):
        advice = f"Unpack it and give {packed[0]}, which is in it, with --path."
    elif not tables and any(part_of(part) for name in shown for part in PurePosixPath(name).parts):
        advice = "It holds images in folders: unpack it and read the folder with --source folder."
    raise StudyError(
        f"{path}: expected one CSV inside, or one named {STEMS[0]}.csv or {STEMS[1]}.csv; found "
        f"{', '.join(tables[:10]) or 'no CSV'}. {advice}"
    )


def _members(path: Path) -> list[str]:
    """Names of the files inside an archive; none where it is no archive, or is broken."""
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
