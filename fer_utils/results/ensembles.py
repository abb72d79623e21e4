"""Ensembles of trained networks, selected on PublicTest.

`reports/evidence/ensembles/<name>.json` lists the committed runs of an ensemble, how often each one
counts, and the candidates. An ensemble predicts the mean probability of its members, and its scores
are computed from the members' own logits.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.evaluation import bootstrap_interval, cross_entropy, mean_prediction
from fer_utils.storage import atomic_file
from fer_utils.training.runs import RunInfo, logits_of, read_run_info

FOLDER = "ensembles"
SIZE = 8
"""The largest number of members. A member that is selected twice counts twice."""


@dataclass(frozen=True)
class Ensemble:
    """A committed ensemble.

    Attributes:
        counts: how often each run counts, by its folder in the evidence.
        tta: whether the members use the test-time augmentation of their recipes.
    """

    counts: dict[Path, int]
    tta: bool = True

    def predict(self, runs: Mapping[Path, RunInfo], faces: Faces) -> np.ndarray:
        """The ensemble's predictions in the form of logits, float32 (n, 7), as committed.

        Args:
            runs: the record of each member at least.
            faces: the faces to look up, (n,).

        Raises:
            StudyError: some of these faces have no logits.
        """
        used = {folder: runs[folder] for folder in self.counts}
        return predict_ensemble(self.counts, member_logits(used, faces, tta=self.tta))


def select(
    candidates: Mapping[str, np.ndarray], emotion: np.ndarray, size: int = SIZE
) -> pd.DataFrame:
    """Greedy forward selection with replacement (Caruana et al. 2004, "Ensemble selection from
    libraries of models").

    Each step adds the candidate that lowers the ensemble's cross-entropy most. Accuracy is a poor
    criterion here: single images change it. The scores are optimistic, because the members are
    selected on the same images.

    Args:
        candidates: logits on PublicTest, (n, 7), by the run's label.
        emotion: true emotions, (n,).
        size: number of steps.

    Returns:
        One row per step: size, added (label), accuracy, low, high (95 % bootstrap interval over
        images), cross_entropy.

    Raises:
        StudyError: there is no candidate, or `size` is below 1.
    """
    if not candidates or size < 1:
        raise StudyError(
            f"ensemble: expected candidates and a size of 1 or more, found {len(candidates)} and "
            f"{size}."
        )
    members: list[np.ndarray] = []
    rows = []
    for step in range(1, size + 1):
        predictions = {
            label: mean_prediction([*members, logits]) for label, logits in candidates.items()
        }
        added = min(predictions, key=lambda label: cross_entropy(predictions[label], emotion))
        members.append(candidates[added])
        correct = predictions[added].argmax(axis=1) == emotion
        low, high = bootstrap_interval(correct)
        rows.append(
            {
                "size": step,
                "added": added,
                "accuracy": float(correct.mean()),
                "low": low,
                "high": high,
                "cross_entropy": cross_entropy(predictions[added], emotion),
            }
        )
    return pd.DataFrame(rows)


def select_with_tta(
    runs: Mapping[Path, RunInfo], faces: Faces, size: int = SIZE
) -> tuple[pd.DataFrame, bool]:
    """Select members, and whether all of them use test-time augmentation, on PublicTest.

    Args:
        runs: the record of each candidate, by the folder with its logits.
        faces: PublicTest, (n,).
        size: number of steps.

    Returns:
        The table of `select`, and True if the selected ensemble has a lower cross-entropy with the
        TTA of its members' recipes than the one that is selected without.

    Raises:
        StudyError: as in `select` and `member_logits`.
    """
    paths = {}
    for tta in (True, False):
        logits = member_logits(runs, faces, tta=tta)
        candidates = {runs[folder].label: each for folder, each in logits.items()}
        paths[tta] = select(candidates, faces.emotion, size)
    tta = selected(paths[True])["cross_entropy"] <= selected(paths[False])["cross_entropy"]
    return paths[bool(tta)], bool(tta)


def selected(path: pd.DataFrame) -> pd.Series:
    """The step of `select` with the lowest cross-entropy. Its ensemble is the selected one."""
    return path.loc[path["cross_entropy"].idxmin()]


def members(path: pd.DataFrame) -> dict[str, int]:
    """How often each run counts in the selected ensemble, by its label."""
    added = path.loc[path["size"] <= selected(path)["size"], "added"]
    return {label: int(times) for label, times in added.value_counts(sort=False).items()}


def member_logits(
    runs: Mapping[Path, RunInfo], faces: Faces, *, tta: bool = True
) -> dict[Path, np.ndarray]:
    """Look up each run's logits, float32 (n, 7).

    Args:
        runs: the record of each run, by the folder with its logits.
        faces: the faces to look up, (n,).
        tta: take the logits with test-time augmentation of the runs whose recipe has one.

    Raises:
        StudyError: some of these faces have no logits.
    """
    return {
        folder: logits_of(folder, faces, tta=tta and bool(info.recipe.tta_label))
        for folder, info in runs.items()
    }


def predict_ensemble(counts: Mapping, logits: Mapping) -> np.ndarray:
    """The ensemble's predictions in the form of logits, float32 (n, 7).

    Args:
        counts: how often each member counts.
        logits: (n, 7) of each member at least, under the same keys.
    """
    return mean_prediction([logits[member] for member, n in counts.items() for _ in range(n)])


def write_ensemble(
    folder: Path, name: str, path: pd.DataFrame, candidates: Iterable[str], *, tta: bool = True
) -> Path:
    """Write an ensemble of committed runs to the evidence in `folder`. Returns the file."""
    values = {
        "members": members(path),
        "tta": tta,
        "candidates": sorted(candidates),
        "size": len(path),
        "public_accuracy": round(float(selected(path)["accuracy"]), 6),
    }
    target = Path(folder) / FOLDER / f"{name}.json"
    with atomic_file(target) as new:
        new.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    return target


def read_candidates(folder: Path, name: str = "ensemble") -> dict[Path, RunInfo]:
    """The runs from which a committed ensemble was selected, by their folders in the evidence.

    Raises:
        StudyError: there is no such ensemble, or a run's evidence is missing.
    """
    file = Path(folder) / FOLDER / f"{name}.json"
    try:
        labels = json.loads(file.read_text(encoding="utf-8"))["candidates"]
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{file}: expected an ensemble with its candidates, found {problem}. Select it again "
            "(`fer-study ensemble`)."
        ) from None
    return {Path(folder) / label: read_run_info(Path(folder) / label) for label in labels}


def read_ensembles(folder: Path) -> dict[str, Ensemble]:
    """Read the ensembles in the evidence in `folder`, by name.

    Raises:
        StudyError: a member's evidence is missing.
    """
    found = {}
    for file in sorted((Path(folder) / FOLDER).glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        counts = values["members"]
        if missing := [label for label in counts if not (Path(folder) / label).is_dir()]:
            raise StudyError(
                f"{file}: expected the evidence of its members beside it, found none of "
                f"{', '.join(missing)}. Publish them (`fer-study score RUN --publish`), or select "
                "the ensemble again (`fer-study ensemble`)."
            )
        by_folder = {Path(folder) / label: times for label, times in counts.items()}
        found[file.stem] = Ensemble(by_folder, values["tta"])
    return found
