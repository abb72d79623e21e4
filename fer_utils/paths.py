"""The paths of the study's files, independent of the working directory."""

import os
from pathlib import Path

MARKER = "dvc.yaml"

EVIDENCE = "reports/evidence"
"""The folder with the committed evidence of real runs."""

RELEASED = Path(__file__).parent / "pretrained"
"""Folder of the released model, which this study trained on FER-2013."""

MODEL, CARD = "model.onnx", "card.json"
"""Files of the folder of an exported model."""


def root() -> Path:
    """The study's folder, to which relative paths in parameters are relative.

    It is the first of these: the environment variable FER_STUDY_ROOT; the working directory or a
    parent with dvc.yaml (a copy made by `dvc exp run --queue` must use itself, not the tree of an
    editable install); the folder that contains the package; the working directory.
    """
    if given := os.environ.get("FER_STUDY_ROOT"):
        return Path(given).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / MARKER).is_file() and (folder / "fer_utils").is_dir():
            return folder
    return here


def resolve(path: str | os.PathLike) -> Path:
    """An absolute path as it is; a relative one below `root()`."""
    return root() / Path(path).expanduser()
