"""Writing that is whole or not there at all, also where the writer is killed, and that loses nothing of the user's.

`expect_replaceable` is the one place that decides whether something may be replaced: only what the
project made itself, and only by the same thing made anew.

What is not finished lies beside its place as `.<name>-xxxxxxxx`, locked by its writer while that lives. So the next
writer of the same file or folder can tell what a killed one left, and removes it. Where there are no such locks
(Windows, some network disks) it stays, and does no harm.
"""

import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fer_utils.errors import StudyError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LEFT_BY_DESKTOPS = (".DS_Store", "Thumbs.db", "desktop.ini")

_OLD = ".old"
"""Ends the name of a folder for the moment in which another takes its place: whole, and the only one there is."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; when the block ends without error it takes `path`'s place.

    What was written is on the disk before the name changes, so a kill or a full disk leaves the old file.

    Raises:
        OSError: of the block's writing, with the file's name where it has none.
    """
    path = Path(path)

    def make() -> str:
        # The suffix stays last: libraries choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        return name

    with _beside(path, make, path.stem, path.suffix) as temporary:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)


def expect_replaceable(
    path: Path, what: str, made: Callable[[Path], bool], reads: Path | None = None
) -> None:
    """Refuse to write where that would lose something that the project did not make itself.

    Nothing at `path` is fine, and an empty folder where a folder is to be written.

    Args:
        path: where a file or a folder is to go.
        what: is written there, in words: "prepared faces".
        made: whether what lies at `path` is such a thing of the project's own, and nothing more.
        reads: what it is made from, which must never be replaced by it.

    Raises:
        StudyError: there is something else.
    """
    path = Path(path)
    if reads is not None and path.exists() and path.samefile(reads):
        raise StudyError(
            f"{path}: expected another file than the one that is read, found {reads} itself. It was left "
            "as it is; name another file."
        )
    if not os.path.lexists(path) or made(path):
        return
    raise StudyError(
        f"{path}: expected nothing there, or {what} made by fer-study to replace, found something else. "
        "It was left as it is; name another place, or move it away."
    )


@dataclass(frozen=True)
class Contents:
    """What a folder holds that the project makes.

    Attributes:
        what: it is, in words.
        always: a file that it always holds, relative to it; "*" stands for any one name.
        more: other files that it may hold, in the same way.
    """

    what: str
    always: str
    more: tuple[str, ...] = ()

    def expect_place(self, path: Path) -> None:
        """Raise StudyError where such a folder may not be written to `path`, as `expect_replaceable`."""
        expect_replaceable(path, self.what, self._is_all_of)

    def _is_all_of(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        files = [each.relative_to(folder) for each in folder.rglob("*") if not each.is_dir()]
        files = [each for each in files if each.name not in _LEFT_BY_DESKTOPS]

        def fits(file: Path, pattern: str) -> bool:
            return len(file.parts) == len(Path(pattern).parts) and file.match(pattern)

        known = all(any(fits(file, each) for each in (self.always, *self.more)) for file in files)
        return not files or (known and any(fits(file, self.always) for file in files))


@contextmanager
def atomic_folder(path: Path, contents: Contents) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; when the block ends without error it takes `path`'s place.

    A link at `path` stays, and the folder that it leads to is replaced.

    Args:
        path: of the folder.
        contents: what it is to hold, and so what it may replace.

    Raises:
        StudyError: there is something else at `path`, which would be lost.
        OSError: of the block's writing, with the folder's name where it has none.
    """
    path = Path(path)
    if path.is_symlink():
        path = path.resolve()
    contents.expect_place(path)

    def make() -> str:
        return tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent)

    with _beside(path, make, path.name, "") as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        aside = temporary.with_name(temporary.name + _OLD)
        try:
            if path.is_dir() and not path.is_symlink():
                path.replace(aside)
            temporary.replace(path)
        finally:
            _settle(aside, path)


@contextmanager
def _beside(path: Path, make: Callable[[], str], stem: str, suffix: str) -> Iterator[Path]:
    """What `make` makes beside `path`, locked, and gone when the block ends, as is what killed writers left there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = f".{glob.escape(stem)}-{'?' * 8}{glob.escape(suffix)}"
    for one in path.parent.glob(left):
        if (lock := _lock(one, wait=False)) is not None:
            _remove(one)
            os.close(lock)
    for aside in path.parent.glob(left + _OLD):
        # Its writer lives where the folder that is to take the place is still there.
        if not aside.with_suffix("").exists():
            _settle(aside, path)

    temporary, lock = Path(make()), None
    # Before it is locked, another writer may take it for a killed one's.
    while fcntl and (lock := _lock(temporary, wait=True)) is None and not temporary.exists():
        temporary = Path(make())
    try:
        yield temporary
    except OSError as problem:
        if type(problem) is not OSError or problem.filename is not None:
            raise
        if problem.errno:
            raise OSError(problem.errno, problem.strerror, str(path)) from problem
        # NumPy says how many values it wrote, but neither where nor what was in its way.
        free = shutil.disk_usage(path.parent).free
        raise OSError(f"{path}: {problem}; {free:,} bytes are free on that disk") from problem
    finally:
        _remove(temporary)
        if lock is not None:
            os.close(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock of what is at `path`; None where another has it, or it is gone."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _settle(aside: Path, path: Path) -> None:
    """After another folder was to take the place of the one that lies aside: put this one back, or remove it."""
    with suppress(OSError):  # there is none, or another writer was here first
        if not path.exists():
            aside.replace(path)
        else:
            # First under a name that is never put back: only a part of it may be there when this is killed.
            shutil.rmtree(aside.replace(aside.with_suffix("")))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
