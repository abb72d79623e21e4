"""Aggregates of the committed runs that need FER-2013's labels, for readers without them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fer_utils.analysis.mistakes import confusion
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.training.runs import RunInfo, logits_of

CONFUSION = "confusion.csv"
"""File name in the evidence: the released model's confusion matrix on PrivateTest."""


def released_confusion(
    runs: Mapping[Path, RunInfo], faces: Faces, recipe: str, seed: int
) -> pd.DataFrame:
    """Count PrivateTest's images by true emotion (rows) and the model's prediction (columns).

    Args:
        runs: the committed runs, as returned by `evidence.read_evidence`.
        faces: FER-2013.
        recipe: name of the released run's recipe, from its model card.
        seed: its seed.

    Returns:
        int (7, 7), without test-time augmentation, as the model is served.

    Raises:
        StudyError: the released run is not among the runs.
    """
    for folder, info in runs.items():
        if (info.recipe.name, info.seed) == (recipe, seed):
            private = faces.of(PRIVATE)
            return confusion(logits_of(folder, private), private.emotion)
    raise StudyError(
        f"aggregates: expected the released run, {recipe} with seed {seed}, in the evidence, found "
        f"{', '.join(folder.name for folder in runs) or 'none'}. Publish it with `fer-study score "
        "RUN --publish`."
    )


def read_confusion(evidence: Path) -> pd.DataFrame:
    """Read the committed confusion matrix, as `released_confusion` returns it."""
    table = pd.read_csv(evidence / CONFUSION, index_col=0)
    table.columns.name = "predicted emotion"
    return table
