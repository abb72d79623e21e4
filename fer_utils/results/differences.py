"""Differences in accuracy between models of the evidence that docs/results.md discusses."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.audits.duplicates import leaked
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import mcnemar, paired_bootstrap
from fer_utils.results.ensembles import Ensemble
from fer_utils.training.runs import RunInfo, logits_of

TABLE = "differences.csv"

PAIRS = (
    ("tang_l2svm", "tang_softmax"),
    ("small_resnet_l2svm", "small_resnet"),
    ("small_student", "small_resnet"),
    ("small_student_of_four", "small_resnet"),
    ("small_student_on_views", "small_resnet"),
    ("student_of_ensemble", "small_untaught"),
    ("small_resnet_muon", "small_resnet"),
    ("small_resnet_continued", "small_resnet-seed2"),
    ("speedrun", "speedrun_sgd"),
    ("speedrun", "baseline_cnn"),
    ("small_student", "ensemble"),
    ("small_student_of_four", "ensemble"),
)
"""Model and reference: the name of a recipe, with all its seeds, of one run, or of an ensemble. A
pair without evidence of both is left out of the table."""

UNLEAKED = f"{PRIVATE} without leaks"
"""PrivateTest without the images that have an exact duplicate in Training."""


def differences(
    runs: Mapping[Path, RunInfo], ensembles: Mapping[str, Ensemble], faces: Faces
) -> pd.DataFrame:
    """Compare the models of `PAIRS` on both test splits and `UNLEAKED`, each with TTA if its recipe
    has one.

    Args:
        runs: the record of each run, by the folder with its logits.
        ensembles: the committed ensembles, by name.
        faces: the faces that the logits belong to.

    Returns:
        One row per pair and split: model, other, split, seeds (of model and other), difference in
        accuracy (model minus other) with its 95 % paired bootstrap interval over images and seeds
        (low, high), and p of the exact McNemar test if there is one seed of each.
    """
    rows = []
    unleaked = faces.of(PRIVATE).select(~leaked(faces, PRIVATE))
    parts = {PUBLIC: faces.of(PUBLIC), PRIVATE: faces.of(PRIVATE), UNLEAKED: unleaked}
    for split, part in parts.items():
        correct = {}
        for name in {name for pair in PAIRS for name in pair}:
            if name in ensembles:
                logits = [ensembles[name].predict(runs, part)]
            else:
                logits = [
                    logits_of(folder, part, tta=bool(info.recipe.tta_label))
                    for folder, info in runs.items()
                    if name in (info.recipe.name, info.label)
                ]
            if logits:
                correct[name] = np.stack(logits).argmax(axis=2) == part.emotion
        for model, other in PAIRS:
            if model not in correct or other not in correct:
                continue
            a, b = correct[model], correct[other]
            low, high = paired_bootstrap(a, b)
            single = len(a) == len(b) == 1
            rows.append(
                {
                    "model": model,
                    "other": other,
                    "split": split,
                    "seeds": f"{len(a)} and {len(b)}",
                    "difference": a.mean() - b.mean(),
                    "low": low,
                    "high": high,
                    "p": mcnemar(a[0], b[0]).p if single else np.nan,
                }
            )
    return pd.DataFrame(rows).round({"difference": 6, "low": 6, "high": 6})


def read_differences(evidence: Path) -> pd.DataFrame:
    """Read the committed table. Raises StudyError if it cannot be read."""
    path = Path(evidence) / TABLE
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as problem:
        raise StudyError(
            f"{path}: expected the table of differences, found {problem}. Write it with "
            "`fer-study results --csv FILE --write`."
        ) from None
