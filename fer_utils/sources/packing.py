"""The packings that Kaggle's CSV comes in: plain, gzip, zip and tar."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fer_utils.errors import StudyError

STEMS = ("fer2013", "icml_face_data")
"""Names under which Kaggle gives the data, without what tells the packing."""

SUFFIXES = (".csv", ".csv.gz", ".zip", ".tar.gz", ".tgz", ".tar")
"""What the name of a file may end with, in any case."""

_BUFFER = 1 << 20

# What the standard library raises where a packing is broken or cut short, and only when it is opened.
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)
_UNOPENED = (*_BROKEN, struct.error, NotImplementedError, RuntimeError, ValueError)


def find(folder: Path) -> Path:
    """The one file in `folder` that is Kaggle's by its name.

    Raises:
        StudyError: there is none, or more than one.
    """
    names = {stem + suffix for stem in STEMS for suffix in SUFFIXES}
    found = sorted(file for file in Path(folder).iterdir() if file.name.lower() in names and file.is_file())
    if len(found) != 1:
        raise StudyError(
            f"{folder}: expected one file with the faces, named {STEMS[0]} or {STEMS[1]} and ending with "
            f"{', '.join(SUFFIXES)}; found {', '.join(file.name for file in found) or 'none'}. "
            "Put Kaggle's file there, or name the file itself with --path."
        )
    return found[0]


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open the CSV at or inside `path`.

    Gives the buffered stream of the CSV's bytes, and the packed file itself, whose `tell()` says how far the
    reading is. When the block ends without error what is left is read to its end, for that is where gzip and
    zip keep their checksums.

    Raises:
        StudyError: no such file, a name that tells no known packing, an archive without one CSV to choose, or
            (also while the block reads) a packing that is broken.
    """
    path = Path(path)
    kind = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if not path.is_file():
        raise StudyError(f"{path}: expected a file, found {'something else' if path.exists() else 'nothing there'}.")
    if kind is None:
        raise StudyError(f"{path}: expected a name that ends with {', '.join(SUFFIXES)}. Rename it after what it is.")
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
            stream = stack.enter_context(io.BufferedReader(layers[-1], _BUFFER)) if layers else packed
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
    """The member with the faces: the only CSV, or the only one of several that has Kaggle's name."""
    # macOS puts a "._" file, which is no CSV, beside each it packs.
    visible = [name for name in names if not PurePosixPath(name).name.startswith(".")]
    tables = [name for name in visible if name.lower().endswith(".csv")]
    known = [name for name in tables if PurePosixPath(name).stem.lower() in STEMS]
    for candidates in (tables, known):
        if len(candidates) == 1:
            return candidates[0]
    raise StudyError(
        f"{path}: expected one CSV inside, or one named {STEMS[0]}.csv or {STEMS[1]}.csv; found "
        f"{', '.join(tables[:10]) or 'no CSV'}. Unpack it and name the CSV with --path."
    )
