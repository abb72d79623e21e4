"""Ensembles of trained networks: chosen on PublicTest, kept as a list of runs, answering with the mean probability.

`reports/evidence/ensembles/<name>.json` says which committed runs an ensemble has, how often each counts, and what it
was chosen from; its scores follow from the runs' own logits.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.evaluation import bootstrap_interval, cross_entropy, mean_prediction
from fer_utils.storage import atomic_file
from fer_utils.training.recipe import recipe_from_dict
from fer_utils.training.runs import logits_of

FOLDER = "ensembles"
SIZE = 8
"""The most members, one counted as often as it was chosen."""


def select(
    candidates: Mapping[str, np.ndarray], emotion: np.ndarray, size: int = SIZE
) -> pd.DataFrame:
    """Greedy forward selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries of models").

    At each step the candidate is added with which the ensemble has the lowest cross-entropy. Accuracy would move by
    single images, and take whatever network happens to have these right. Since the images that choose are those that
    it is scored on here, the scores flatter.

    Args:
        candidates: logits on PublicTest, (n, 7), by the run's label.
        emotion: (n,).
        size: how many steps.

    Returns:
        A row a step: size, added (label), accuracy, low, high (95 % bootstrap interval over images), cross_entropy.

    Raises:
        StudyError: there is no candidate, or `size` is not 1 or more.
    """
    if not candidates or size < 1:
        raise StudyError(
            f"ensemble: expected candidates and a size of 1 or more, found {len(candidates)} and {size}."
        )
    chosen: list[np.ndarray] = []
    rows = []
    for step in range(1, size + 1):
        answers = {
            label: mean_prediction([*chosen, logits]) for label, logits in candidates.items()
        }
        added = min(answers, key=lambda each: cross_entropy(answers[each], emotion))
        chosen.append(candidates[added])
        correct = answers[added].argmax(axis=1) == emotion
        low, high = bootstrap_interval(correct)
        row = {
            "size": step,
            "added": added,
            "accuracy": float(correct.mean()),
            "low": low,
            "high": high,
        }
        rows.append(row | {"cross_entropy": cross_entropy(answers[added], emotion)})
    return pd.DataFrame(rows)


def kept(path: pd.DataFrame) -> pd.Series:
    """The step of `select` at which the ensemble is kept: that with the lowest cross-entropy."""
    return path.loc[path["cross_entropy"].idxmin()]


def members(path: pd.DataFrame) -> dict[str, int]:
    """How often each run counts in the ensemble that is kept, by its label."""
    added = path.loc[path["size"] <= kept(path)["size"], "added"]
    return {label: int(times) for label, times in added.value_counts(sort=False).items()}


def member_logits(abouts: Mapping[Path, dict], faces: Faces) -> dict[Path, np.ndarray]:
    """What each run answers, float32 (n, 7), under its recipe's test-time averaging where it has that.

    Args:
        abouts: what is known about each run, by the folder with its logits.
        faces: which to look up, (n,).

    Raises:
        StudyError: some of these faces have none.
    """
    return {
        folder: logits_of(folder, faces, tta=bool(recipe_from_dict(about["recipe"]).tta_label))
        for folder, about in abouts.items()
    }


def answer(counts: Mapping, logits: Mapping) -> np.ndarray:
    """The ensemble's answer, float32 (n, 7), in the place of logits.

    Args:
        counts: how often each member counts.
        logits: (n, 7) of each member at least, under the same keys.
    """
    return mean_prediction(
        [logits[member] for member, times in counts.items() for _ in range(times)]
    )


def write_ensemble(folder: Path, name: str, path: pd.DataFrame, candidates: Iterable[str]) -> Path:
    """Keep an ensemble of committed runs among the evidence in `folder`; where it lies."""
    about = {"members": members(path), "candidates": sorted(candidates), "size": len(path)}
    about["public_accuracy"] = round(float(kept(path)["accuracy"]), 6)
    target = Path(folder) / FOLDER / f"{name}.json"
    with atomic_file(target) as new:
        new.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return target


def read_ensembles(folder: Path) -> dict[str, dict[Path, int]]:
    """The ensembles among the evidence in `folder`: how often each run counts, by the run's own folder.

    Raises:
        StudyError: a run that one needs is not there.
    """
    found = {}
    for file in sorted((Path(folder) / FOLDER).glob("*.json")):
        counts = json.loads(file.read_text(encoding="utf-8"))["members"]
        if missing := [label for label in counts if not (Path(folder) / label).is_dir()]:
            raise StudyError(
                f"{file}: expected the evidence of its members beside it, found none of {', '.join(missing)}. Publish "
                "them (`fer-study score RUN --publish`), or choose anew (`fer-study ensemble`)."
            )
        found[file.stem] = {Path(folder) / label: times for label, times in counts.items()}
    return found
