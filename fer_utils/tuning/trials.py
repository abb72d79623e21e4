"""One trial: its training, in a process of its own or not, and its recorded outcome."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.storage import atomic_file
from fer_utils.training.fit import fit
from fer_utils.training.processes import TrainingProcess, failure_reason
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run, finished, run_folder

FAILED = "failed.json"
"""File in a run's folder with the outcome of a failed trial. Without it, a search tries again."""


def recorded_outcome(recipe: Recipe, faces: Faces, seed: int, store: Path) -> dict | None:
    """Return the outcome of a trial that has ended, or None.

    Returns:
        run (name of its folder), status ("completed" or "failed"), problem (reason of the failure,
        or ""), parameters, val_accuracy (of the kept epoch), epoch_kept, epochs (trained), seconds
        and curve (PublicTest accuracy by epoch). Values that a failed trial lacks are None.
    """
    folder = run_folder(store, recipe, seed, faces)
    if finished(folder):
        (folder / "checkpoint.npz").unlink(missing_ok=True)  # of a kill at the very end
        run = Run(folder)
        by_epoch = run.history.set_index("epoch")["val_accuracy"]
        return {
            "run": folder.name,
            "status": "completed",
            "problem": "",
            "parameters": run.info.parameters,
            "val_accuracy": float(by_epoch[run.info.epoch_kept]),
            "epoch_kept": run.info.epoch_kept,
            **_compute(run.history),
        }
    if (folder / FAILED).is_file():
        return json.loads((folder / FAILED).read_text(encoding="utf-8"))
    return None


def failed_outcome(problem: str, folder: Path | None = None) -> dict:
    """Return the outcome of a failed trial.

    Args:
        problem: reason of the failure.
        folder: the run's folder. With it, the outcome is also written there, so that a search that
            continues does not train the trial again.
    """
    history = pd.DataFrame({"val_accuracy": [], "seconds": []})
    if folder and (folder / "checkpoint.npz").is_file():
        with np.load(folder / "checkpoint.npz") as saved:
            history = pd.DataFrame(json.loads(str(saved["history"])))
    outcome = {
        "run": folder.name if folder else "",
        "status": "failed",
        "problem": problem,
        "parameters": None,
        "val_accuracy": None,
        "epoch_kept": None,
        **_compute(history),
    }
    if folder:
        with atomic_file(folder / FAILED) as target:
            target.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    return outcome


def _compute(history: pd.DataFrame) -> dict:
    """Return the epochs, seconds and accuracy curve of a training's history."""
    return {
        "epochs": len(history),
        "seconds": round(float(history["seconds"].sum()), 1),
        "curve": [round(float(value), 6) for value in history["val_accuracy"]],
    }


def train_trial(
    recipe: Recipe,
    faces: Faces,
    seed: int,
    store: Path,
    report: Callable[[int], None] | None = None,
) -> dict:
    """Train, continue or load a trial in this process, and return its outcome.

    A failed training is an outcome as well. See `recorded_outcome`.

    Raises:
        OSError: an error such as a full disk, which would end the next trial too.
    """
    folder = run_folder(store, recipe, seed, faces)
    aside = folder / "corrupt-checkpoint.npz"
    while (outcome := recorded_outcome(recipe, faces, seed, store)) is None:
        set_aside_before = aside.is_file()
        try:
            fit(recipe, faces, seed, store, progress=False, report=report)
        except OSError:
            raise
        except Exception as problem:
            # `fit` sets an unreadable checkpoint aside. The trial then starts again, once.
            if aside.is_file() and not set_aside_before:
                continue
            return failed_outcome(failure_reason(problem), folder)
    return outcome


def outcome_of(answer: dict | Exception, folder: Path) -> dict:
    """Return the outcome of a trial from what its process answered, and record a failure.

    Args:
        answer: what `train_trial` returned or raised in the process.
        folder: the run's folder.

    Raises:
        OSError: as for `train_trial`.
    """
    if isinstance(answer, OSError):
        raise answer
    if isinstance(answer, Exception):
        return failed_outcome(str(answer), folder)
    return answer


def train_isolated(process: TrainingProcess, recipe: Recipe, seed: int) -> dict:
    """Run `train_trial` in another process, unless the outcome is already recorded.

    Args:
        process: calls `train_trial`. Its end is recorded as the trial's failure.
        recipe: of the trial.
        seed: of the trial.

    Raises:
        OSError: as for `train_trial`.
    """
    place = process.faces, seed, process.store
    if (outcome := recorded_outcome(recipe, *place)) is not None:
        return outcome
    folder = run_folder(process.store, recipe, seed, process.faces)
    outcome = outcome_of(process.run(recipe, seed), folder)
    if outcome["status"] == "failed":
        # A new process frees the memory that the failure may have left in use.
        process.close()
    return outcome
