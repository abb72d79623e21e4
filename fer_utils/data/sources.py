"""The sources of faces. Every source returns the same `Faces`.

A source is a module beside this one with a function that returns `Faces`, and an entry of
`SOURCES`.
"""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError


@dataclass(frozen=True)
class Source:
    """How to read a source.

    Attributes:
        function: "module:function" in this package.
        options: names of the options of `read` that the function takes.
        path: description of its path; "" if it has none.
        no_votes: the reason why FER+ votes cannot be joined; "" if they can.
    """

    function: str
    options: tuple[str, ...] = ()
    path: str = ""
    no_votes: str = ""


SOURCES = {
    "sample": Source(
        "sample:draw_sample", ("count", "seed"), no_votes="drawn faces have no FER+ votes"
    ),
    "csv": Source(
        "csv:read_csv",
        path="Kaggle's fer2013.csv, .csv.gz, .zip or .tar.gz, or the folder that contains it",
    ),
    "folder": Source(
        "folder:read_folder",
        ("resize", "test_usage"),
        path="the folder that contains train/<emotion>/ and test/<emotion>/",
        no_votes="votes are joined by the CSV's rows, whose order images in folders have lost",
    ),
    "kaggle": Source("kaggle:read_kaggle"),
}
"""The sources by name: drawn faces; Kaggle's file; folders of images; a download of Kaggle's
file."""


def read(
    source: str | None = None,
    path: Path | None = None,
    votes: Path | None = None,
    *,
    resize: bool = False,
    test_usage: str | None = None,
    count: int = 3500,
    seed: int = 0,
    progress: bool = False,
) -> Faces:
    """Read the faces of one source.

    Args:
        source: a name in `SOURCES`. None is `source_of(path)`, or `sample` without a path.
        path: for `csv`, the file or a folder that contains it; for `folder`, the folder with train/
            and test/, or names with the same meaning (see `read_folder`).
        votes: FER+ votes (fer2013new.csv), for sources whose rows are the CSV's.
        resize: for `folder`, resize images that are not 48x48 instead of refusing them.
        test_usage: for `folder`, the split of test/ if file names do not tell it; see
            `read_folder`.
        count: for `sample`, the number of faces.
        seed: for `sample`, the random seed.
        progress: show a progress bar.

    Returns:
        Faces. Their notices describe how a real source differs from the contest's FER-2013.

    Raises:
        StudyError: the source is unknown; its path is missing; an option does not apply to it; or
            its contents are invalid.
    """
    if source is None:
        source = "sample" if path is None else source_of(path)
    if source not in SOURCES:
        raise StudyError(f"source: expected one of {', '.join(SOURCES)}, found {source!r}.")
    options = {"resize": resize, "test_usage": test_usage, "count": count, "seed": seed}
    _check_options(source, path, votes, {"resize": resize, "test_usage": test_usage})
    entry = SOURCES[source]
    # Imported on demand: a source may need packages that the others do not.
    module, _, function = entry.function.partition(":")
    reader = getattr(import_module(f"fer_utils.data.{module}"), function)
    paths = (path,) if entry.path else ()
    faces = reader(*paths, progress=progress, **{name: options[name] for name in entry.options})
    if votes is not None:
        from fer_utils.data.votes import join_votes

        faces = join_votes(faces, votes)
    if faces.drawn:
        return faces
    return replace(faces, notices=(*faces.notices, *faces.deviations()))


def source_of(path: Path) -> str:
    """The source that reads `path`: "folder" for folders of images, else "csv".

    Raises:
        StudyError: the path does not exist.
    """
    from fer_utils.data.folder import looks_like_folder_source

    try:
        exists = Path(path).exists()
    except OSError:  # such as a name that is too long
        exists = False
    if not exists:
        raise StudyError(
            f"{path}: expected Kaggle's file, or a folder with it or with images in folders, found "
            "nothing there. Check the path."
        )
    return "folder" if looks_like_folder_source(path) else "csv"


def _check_options(source: str, path: Path | None, votes: Path | None, others: dict) -> None:
    entry = SOURCES[source]
    if entry.path and path is None:
        raise StudyError(
            f"source {source!r}: expected a path, found none. Give {entry.path}, with --path."
        )
    if not entry.path and path is not None:
        raise StudyError(
            f"source {source!r}: it reads no path, found {path}. Leave --path out, or read it with "
            "--source csv or --source folder."
        )
    if entry.no_votes and votes is not None:
        raise StudyError(
            f"source {source!r}: it takes no votes, because {entry.no_votes}. Found {votes}. Leave "
            "--votes out."
        )
    for name, value in others.items():
        if value and name not in entry.options:
            takers = [other for other, each in SOURCES.items() if name in each.options]
            raise StudyError(
                f"source {source!r}: --{name.replace('_', '-')} applies to --source "
                f"{', '.join(takers)} only. Leave it out."
            )
