"""Where the study's files lie, whatever the working directory."""

import os
from pathlib import Path

MARKER = "dvc.yaml"

EVIDENCE = "reports/evidence"
"""Where the evidence of real runs is committed."""


def root() -> Path:
    """The study's folder: every relative path in parameters counts from it.

    Looked for in this order: the environment variable FER_STUDY_ROOT; the working directory and its parents,
    as far as one holds dvc.yaml (so that a copy made by `dvc exp run --queue` reads and writes itself, not
    the tree that an editable install points to); the folder the package lies in; the working directory.
    """
    if given := os.environ.get("FER_STUDY_ROOT"):
        return Path(given).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / MARKER).is_file() and (folder / "fer_utils").is_dir():
            return folder
    return here


def resolve(path: str | os.PathLike) -> Path:
    """`path` as it is when absolute, else below `root()`."""
    return root() / Path(path).expanduser()
