"""Where faces come from. Every source gives the same `Faces`."""

from dataclasses import replace
from pathlib import Path

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError

SOURCES = ("sample", "csv", "folder", "kaggle")
"""Names that `read` knows: drawn by the project; Kaggle's file; folders of images; a download of
Kaggle's file."""

_WITH_PATH = ("csv", "folder")
_WITH_VOTES = ("csv", "kaggle")


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
        source: one of `SOURCES`; or None for `source_of(path)`, and for `sample` without a path.
        path: for `csv`, the file or a folder that holds it; for `folder`, the folder with train/
            and test/, or names that mean the same (see `read_folder`).
        votes: FER+ votes (fer2013new.csv), for the sources whose rows are the CSV's: `csv` and
            `kaggle`.
        resize: for `folder`, bring images of another size to 48x48 instead of refusing them.
        test_usage: for `folder`, what test/ is where names do not tell: see `read_folder`.
        count: for `sample`, how many faces to draw. Other sources leave it unread.
        seed: for `sample`, what the drawing starts from. Other sources leave it unread.
        progress: show a progress bar.

    Returns:
        Faces whose notices say how a real source departs from the contest's FER-2013.

    Raises:
        StudyError: the source is unknown, nothing is at the path, an option is missing or does not
            apply to the source, or what it holds is not in order.
    """
    if source is None:
        source = "sample" if path is None else source_of(path)
    if source not in SOURCES:
        raise StudyError(f"source: expected one of {', '.join(SOURCES)}, found {source!r}.")
    _check_options(source, path, votes, resize, test_usage)
    # Imported where used: a source may need what the others do not.
    if source == "sample":
        from fer_utils.data.sample import draw_sample

        return draw_sample(count=count, seed=seed, progress=progress)
    if source == "csv":
        from fer_utils.data.csv import read_csv

        assert path is not None  # or _check_options had refused it
        faces = read_csv(path, progress=progress)
    elif source == "folder":
        from fer_utils.data.folder import read_folder

        assert path is not None
        faces = read_folder(path, resize=resize, test_usage=test_usage, progress=progress)
    else:
        from fer_utils.data.kaggle import read_kaggle

        faces = read_kaggle(progress=progress)
    if votes is not None:
        from fer_utils.data.votes import join_votes

        faces = join_votes(faces, votes)
    return replace(faces, notices=(*faces.notices, *faces.deviations()))


def source_of(path: Path) -> str:
    """The source that reads what is at `path`: "folder" for folders of images, else "csv".

    Raises:
        StudyError: nothing is there.
    """
    from fer_utils.data.folder import looks_like_folder_source

    try:
        there = Path(path).exists()
    except OSError:  # such as a name that is too long
        there = False
    if not there:
        raise StudyError(
            f"{path}: expected Kaggle's file, or a folder that holds it or images in folders; "
            "found nothing there. Check the path."
        )
    return "folder" if looks_like_folder_source(path) else "csv"


def _check_options(
    source: str,
    path: Path | None,
    votes: Path | None,
    resize: bool,
    test_usage: str | None,
) -> None:
    if source in _WITH_PATH and path is None:
        what = {
            "csv": "Kaggle's fer2013.csv, .csv.gz, .zip or .tar.gz, or the folder it lies in",
            "folder": "the folder that holds train/<emotion>/ and test/<emotion>/",
        }[source]
        raise StudyError(
            f"source {source!r}: expected a path, found none. Give {what}, with --path."
        )
    if source not in _WITH_PATH and path is not None:
        raise StudyError(
            f"source {source!r}: it reads no path, found {path}. Leave --path out, or read it with "
            "--source csv or --source folder."
        )
    if source not in _WITH_VOTES and votes is not None:
        reason = {
            "sample": "drawn faces have no taggers",
            "folder": "images in folders have lost the order of the CSV's rows, by which votes are joined",
        }[source]
        raise StudyError(
            f"source {source!r}: it takes no votes, because {reason}. Found {votes}; leave --votes "
            "out."
        )
    for option, given in (("--resize", resize), ("--test-usage", test_usage is not None)):
        if given and source != "folder":
            raise StudyError(
                f"source {source!r}: {option} applies to --source folder only. Leave it out."
            )
