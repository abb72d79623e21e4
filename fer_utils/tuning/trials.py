"""One trial: a training in a process of its own, and what is known of it afterwards, whether it worked or not."""

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
"""In a run's folder: why its training failed as a trial. Delete it, and the search tries again."""

GRACE = 2.0
"""Seconds between a trial's sudden end and its being recorded: a kill that is meant for the search kills that too."""

_INTERRUPTED = ("SIGINT", "SIGTERM", "SIGHUP")


def known(recipe: Recipe, faces: Faces, seed: int, store: Path) -> dict | None:
    """What is known of a trial that has ended, or None.

    Returns:
        run (its folder's name), status ("completed" or "failed"), problem ("" or why it failed), parameters,
        val_accuracy (of the epoch kept), epoch_kept, epochs (trained), seconds and curve (PublicTest accuracy by
        epoch); of a failed one what there is of these, else None.
    """
    folder = run_folder(store, recipe, seed, faces)
    if finished(folder):
        run = Run(folder)
        return {
            "run": folder.name,
            "status": "completed",
            "problem": "",
            "parameters": run.info.parameters,
            "val_accuracy": float(
                run.history.set_index("epoch")["val_accuracy"][run.info.epoch_kept]
            ),
            "epoch_kept": run.info.epoch_kept,
            **_spent(run.history),
        }
    if (folder / FAILED).is_file():
        return json.loads((folder / FAILED).read_text(encoding="utf-8"))
    return None


def failed(problem: str, folder: Path | None = None) -> dict:
    """What is known of a trial that failed; with its run's folder it is kept there, for searches that go on."""
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
        **_spent(history),
    }
    if folder:
        with atomic_file(folder / FAILED) as target:
            target.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    return outcome


def _spent(history: pd.DataFrame) -> dict:
    return {
        "epochs": len(history),
        "seconds": round(float(history["seconds"].sum()), 1),
        "curve": [round(float(value), 6) for value in history["val_accuracy"]],
    }


def train_trial(recipe: Recipe, faces: Faces, seed: int, store: Path) -> dict:
    """Train a trial here, go on with it, or load it; a training that fails is an answer too, as `known` has it.

    Raises:
        OSError: a full disk, for instance: the next trial would end in the same way.
    """
    folder = run_folder(store, recipe, seed, faces)
    aside = folder / "corrupt-checkpoint.npz"
    while (outcome := known(recipe, faces, seed, store)) is None:
        corrupt = aside.is_file()
        try:
            fit(recipe, faces, seed, store, progress=False)
        except OSError:
            raise
        except Exception as problem:
            # A checkpoint that cannot be read is set aside, once, and the training starts anew.
            if not corrupt and aside.is_file():
                continue
            return failed(reason(problem), folder)
    return outcome


def reason(problem: BaseException) -> str:
    """Why a training failed, in a line; of what libraries raise, with its type."""
    if isinstance(problem, StudyError):
        return str(problem)
    return f"{type(problem).__name__}: {problem}".strip().splitlines()[0]


class TrainingProcess:
    """A process that trains one trial after another, and is replaced by a new one when a trial takes it along.

    So a trial that exhausts the memory, or crashes a library, ends neither the search nor the notebook.
    """

    def __init__(self, faces: Faces, store: Path) -> None:
        self.faces, self.store = faces, Path(store)
        self.process: BaseProcess | None = None
        self.pipe: Any = None  # our end, of a class that differs between systems

    def train(self, recipe: Recipe, seed: int) -> dict:
        """As `train_trial`, which it does elsewhere unless all is known already."""
        if (outcome := known(recipe, self.faces, seed, self.store)) is not None:
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
            # What a failure left in memory is not the next trial's.
            self.close()
        return answer

    def close(self) -> None:
        """End the process; while it trains, after a few seconds."""
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
        assert self.process is not None
        self.process.join()
        code, self.process = self.process.exitcode or 0, None
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        if how in _INTERRUPTED:
            raise KeyboardInterrupt
        time.sleep(GRACE)
        memory = ", as when memory runs out" if how == "SIGKILL" else ""
        folder = run_folder(self.store, recipe, seed, self.faces)
        return failed(
            f"{folder.name}: the process that trained it ended with {how}{memory}.", folder
        )


def _serve(pipe, faces: Faces, store: Path) -> None:
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
    """A search that is killed takes its training along: the same command, given again, would train it twice."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
