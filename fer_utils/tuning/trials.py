"""One trial: its training, in a process of its own, and its recorded outcome."""

import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.storage import atomic_file
from fer_utils.training.fit import fit
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run, finished, run_folder

FAILED = "failed.json"
"""File in a run's folder with the outcome of a failed trial. Without it, a search tries again."""

GRACE = 2.0
"""Seconds between the sudden end of a trial's process and the record of its failure.

A kill of the whole search ends this process in the meantime, and no failure is recorded.
"""

_INTERRUPTED = ("SIGINT", "SIGTERM", "SIGHUP")


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


def train_trial(recipe: Recipe, faces: Faces, seed: int, store: Path) -> dict:
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
            fit(recipe, faces, seed, store, progress=False)
        except OSError:
            raise
        except Exception as problem:
            # `fit` sets an unreadable checkpoint aside. The trial then starts again, once.
            if aside.is_file() and not set_aside_before:
                continue
            return failed_outcome(failure_reason(problem), folder)
    return outcome


def failure_reason(problem: BaseException) -> str:
    """Return the reason of a failed training: a StudyError's text, or an error's type and line."""
    if isinstance(problem, StudyError):
        return str(problem)
    return f"{type(problem).__name__}: {problem}".strip().splitlines()[0]


class TrainingProcess:
    """A separate process that trains trials one after another.

    A trial that exhausts the memory or crashes a library ends this process only, not the search or
    the notebook. The next trial starts a new process.
    """

    def __init__(self, faces: Faces, store: Path) -> None:
        self.faces, self.store = faces, Path(store)
        self.process: BaseProcess | None = None
        self.pipe: Any = None  # this side's end; its class depends on the operating system

    def train(self, recipe: Recipe, seed: int) -> dict:
        """Run `train_trial` in the process, unless the outcome is already recorded."""
        if (outcome := recorded_outcome(recipe, self.faces, seed, self.store)) is not None:
            return outcome
        if self.process is None:
            self._start()
        try:
            self.pipe.send((recipe, seed))
            answer = self.pipe.recv()
        except (EOFError, OSError):
            return self._ended(recipe, seed)
        if isinstance(answer, BaseException):
            raise answer
        if answer["status"] == "failed":
            # A new process frees the memory that the failure may have left in use.
            self.close()
        return answer

    def close(self) -> None:
        """End the process; if it is training, after five seconds."""
        if self.process is not None:
            self.pipe.close()
            self.process.join(5)
            self.process.terminate()
            self.process.join()
            self.process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, self.faces, self.store), daemon=True
        )
        self.process.start()
        theirs.close()

    def _ended(self, recipe: Recipe, seed: int) -> dict:
        """Record the failure of the trial whose process ended; pass an interruption on."""
        assert self.process is not None
        self.process.join()
        code, self.process = self.process.exitcode or 0, None
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        if how in _INTERRUPTED:
            raise KeyboardInterrupt
        time.sleep(GRACE)
        memory = ", perhaps out of memory" if how == "SIGKILL" else ""
        folder = run_folder(self.store, recipe, seed, self.faces)
        return failed_outcome(
            f"{folder.name}: the training process ended with {how}{memory}.", folder
        )


def _serve(pipe, faces: Faces, store: Path) -> None:
    """Train the trials that arrive through a pipe, until it is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            recipe, seed = pipe.recv()
            try:
                answer: dict | OSError = train_trial(recipe, faces, seed, store)
            except OSError as problem:
                answer = problem
            pipe.send(answer)
            keras.backend.clear_session()
    except (EOFError, KeyboardInterrupt):
        sys.exit()


def _end_with_parent() -> None:
    """End this process when the search's process ends.

    Otherwise the training would continue while the restarted search trains the same run.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
