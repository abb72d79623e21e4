"""The sources of faces. Every source returns the same `Faces`.

A source is a module in this folder that assigns a `Source` to the name `SOURCE`. The name of the
module is the name of the source.
"""

import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from fer_utils import data
from fer_utils.data.faces import Faces, Source
from fer_utils.data.folder import looks_like_folder_source
from fer_utils.data.votes import join_votes
from fer_utils.errors import StudyError

_HELPERS = ("drawing", "faces", "layout", "packing", "sources", "votes")

# The modules are listed without importing them, because a source may need packages of its own.
SOURCES = tuple(
    module.name for module in pkgutil.iter_modules(data.__path__) if module.name not in _HELPERS
)
"""Names of the sources, in alphabetical order."""


def find_source(name: str) -> Source:
    """Find a source by name. Raises StudyError if it is unknown."""
    if name not in SOURCES:
        raise StudyError(f"source: expected one of {', '.join(SOURCES)}, found {name!r}.")
    return import_module(f"fer_utils.data.{name}").SOURCE


def read(
    source: str | None = None,
    path: Path | None = None,
    votes: Path | None = None,
    *,
    resize: bool = False,
    test_usage: str | None = None,
    count: int = 3200,
    seed: int = 0,
    progress: bool = False,
) -> Faces:
    """Read the faces of one source.

    Args:
        source: one of `SOURCES`. None is `source_of(path)`, or `sample` without a path.
        path: for `csv`, the file or a folder that contains it; for `folder`, the folder with train/
            and test/, or names with the same meaning (see `read_folder`).
        votes: FER+ votes (fer2013new.csv), for sources whose rows are the CSV's.
        resize: for `folder`, resize images that are not 48x48 instead of refusing them.
        test_usage: for `folder`, the split of test/ if file names do not contain it (see
            `read_folder`).
        count: for `sample`, the number of faces. Other sources ignore it.
        seed: for `sample`, the random seed. Other sources ignore it.
        progress: show a progress bar.

    Returns:
        Faces. Their notices describe how a real source differs from the contest's FER-2013.

    Raises:
        StudyError: the source is unknown, its path is missing, an option does not apply to it, or
            its contents are invalid.
    """
    if source is None:
        source = "sample" if path is None else source_of(path)
    found = find_source(source)
    _check_path_and_votes(source, path, votes)
    if resize:
        _check_option(source, "resize")
    if test_usage is not None:
        _check_option(source, "test_usage")
    values = {"resize": resize, "test_usage": test_usage, "count": count, "seed": seed}
    options = {name: values[name] for name in found.options}
    paths = () if path is None else (path,)
    faces = found.read(*paths, progress=progress, **options)
    if votes is not None:
        faces = join_votes(faces, votes)
    if faces.drawn:
        return faces
    return replace(faces, notices=(*faces.notices, *faces.deviations()))


def source_of(path: Path) -> str:
    """The source that reads `path`: "folder" for folders of images, else "csv".

    Raises:
        StudyError: the path does not exist.
    """
    try:
        exists = Path(path).exists()
    except OSError:  # for example a name that is too long
        exists = False
    if not exists:
        raise StudyError(
            f"{path}: expected Kaggle's file, a folder with it, or a folder of images, found "
            "nothing there. Check the path."
        )
    return "folder" if looks_like_folder_source(path) else "csv"


def _check_path_and_votes(source: str, path: Path | None, votes: Path | None) -> None:
    found = find_source(source)
    if found.path and path is None:
        raise StudyError(
            f"source {source!r}: expected a path, found none. Give {found.path}, with --path."
        )
    if path is not None and not found.path:
        readers = " or ".join(f"--source {name}" for name in SOURCES if find_source(name).path)
        raise StudyError(
            f"source {source!r}: expected no path, found {path}. Leave --path out, or read it with "
            f"{readers}."
        )
    if votes is not None and found.no_votes:
        raise StudyError(
            f"source {source!r}: expected no votes, because {found.no_votes}; found {votes}. Leave "
            "--votes out."
        )


def _check_option(source: str, option: str) -> None:
    if option not in find_source(source).options:
        readers = " or ".join(name for name in SOURCES if option in find_source(name).options)
        raise StudyError(
            f"source {source!r}: expected no --{option.replace('_', '-')}, which applies to "
            f"--source {readers} only. Leave it out."
        )
