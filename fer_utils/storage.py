"""Atomic writes that survive a kill, and that never replace a user's own files.

`expect_replaceable` alone decides whether a file or folder may be replaced. The project replaces
only what it made itself, and only with a new version of the same thing.

An unfinished file lies beside its target as `.<name>-xxxxxxxx`, locked by its writer. The next
writer of the same target removes unlocked ones, which a killed writer left. Without such locks
(Windows, some network disks) they stay, and do no harm.
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
"""Suffix of a complete folder that is set aside while another one takes its place."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` if the block ends without error.

    The data are on the disk before the name changes, so a kill or a full disk leaves the old file.

    Raises:
        OSError: writing failed; the message names the file.
    """
    path = Path(path)

    def make() -> str:
        # The suffix stays last, because libraries infer the format from it.
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
    """Refuse to replace a file or folder that the project did not make itself.

    Args:
        path: the file or folder to write. It need not exist, and may be an empty folder.
        what: its description, such as "prepared faces".
        made: returns True if `path` contains only such a thing, made by the project.
        reads: the input that it is made from, which must not be replaced.

    Raises:
        StudyError: something else is at `path`.
    """
    path = Path(path)
    if reads is not None and path.exists() and path.samefile(reads):
        raise StudyError(
            f"{path}: expected another file than the one that is read, found {reads} itself. "
            "It was left as it is. Name another file."
        )
    if not os.path.lexists(path) or made(path):
        return
    raise StudyError(
        f"{path}: expected nothing, or {what} made by fer-study, found something else. "
        "It was left as it is. Name another place, or move it away."
    )


@dataclass(frozen=True)
class Contents:
    """The contents of a folder that the project makes.

    Attributes:
        what: description of the folder.
        always: a file that it always contains, as a relative path; "*" stands for one name.
        more: other files that it may contain.
    """

    what: str
    always: str
    more: tuple[str, ...] = ()

    def expect_place(self, path: Path) -> None:
        """Raise StudyError if the folder may not be written to `path`; see `expect_replaceable`."""
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
    """Yield an empty temporary folder, which replaces `path` if the block ends without error.

    A link at `path` stays, and the folder that it points to is replaced.

    Args:
        path: the folder to write.
        contents: the files that it will contain. It may replace a folder with the same contents.

    Raises:
        StudyError: something else is at `path`.
        OSError: writing failed; the message names the folder.
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
    """Yield a locked temporary file or folder beside `path`, and remove it afterwards.

    Removes the ones of killed writers first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    left = f".{glob.escape(stem)}-{'?' * 8}{glob.escape(suffix)}"
    for one in path.parent.glob(left):
        if (lock := _lock(one, wait=False)) is not None:
            _remove(one)
            os.close(lock)
    for aside in path.parent.glob(left + _OLD):
        # The writer is alive if its replacement folder still exists.
        if not aside.with_suffix("").exists():
            _settle(aside, path)

    temporary, lock = Path(make()), None
    # Another writer may remove it before it is locked.
    while fcntl and (lock := _lock(temporary, wait=True)) is None and not temporary.exists():
        temporary = Path(make())
    try:
        yield temporary
    except OSError as problem:
        if type(problem) is not OSError or problem.filename is not None:
            raise
        if problem.errno:
            raise OSError(problem.errno, problem.strerror, str(path)) from problem
        # NumPy's error has the number of values, but neither the file nor the cause.
        free = shutil.disk_usage(path.parent).free
        raise OSError(f"{path}: {problem}; {free:,} bytes are free on that disk") from problem
    finally:
        _remove(temporary)
        if lock is not None:
            os.close(lock)


def _lock(path: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock of `path`; None if another process has it, or it is gone."""
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
    """Remove the folder that was set aside, or put it back if none has taken its place."""
    with suppress(OSError):  # there is none, or another writer was faster
        if not path.exists():
            aside.replace(path)
        else:
            # Rename first: a kill leaves a partial folder, which must not be put back.
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
