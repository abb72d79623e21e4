"""The checkpoint of a training: written whole or not at all, and taken up to the bit."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.storage import atomic_file

CHECKPOINT_SHARE = 0.05
"""Checkpoints take at most this share of the time: where epochs are short, not every one is followed by one."""


class Checkpoint:
    """All that passes from one epoch to the next: model (with its dropout generators), optimiser, history, best."""

    def __init__(self, path: Path, model: keras.Model, descent: keras.optimizers.Optimizer) -> None:
        self.path, self.model, self.descent = path, model, descent
        self.history: list[dict] = []
        self.logits: np.ndarray | None = None
        self.best: list[np.ndarray] | None = None
        self.written = 0  # the epoch of the checkpoint on the disk
        self.due = 0.0  # not before this time

    def add(
        self, row: dict, logits: np.ndarray, weights: list[np.ndarray], *, keep_best: bool
    ) -> None:
        """Append an epoch, and write where that is due."""
        better = all(row["val_accuracy"] > past["val_accuracy"] for past in self.history)
        self.history.append(row)
        if better or not keep_best:
            self.logits = logits
            self.best = weights if keep_best else None
        if time.monotonic() >= self.due:
            self._write()

    def _write(self) -> None:
        started = time.monotonic()
        arrays: dict[str, Any] = {"history": json.dumps(self.history), "logits": self.logits}
        arrays |= {f"variable_{i}": np.asarray(v) for i, v in enumerate(self._variables())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best or ())}
        with atomic_file(self.path) as target:
            np.savez(target, **arrays)
        self.written = len(self.history)
        self.due = time.monotonic() + (time.monotonic() - started) / CHECKPOINT_SHARE

    def restore(self) -> None:
        """Take up the checkpoint, if there is one; one that cannot be read is set aside and named."""
        if not self.path.is_file():
            return
        variables = self._variables()
        try:
            with np.load(self.path) as saved:
                history = json.loads(str(saved["history"]))
                logits = saved["logits"]
                values = [saved[f"variable_{i}"] for i in range(len(variables))]
                best = [
                    saved[f"best_{i}"] for i in range(len(self.model.weights)) if "best_0" in saved
                ] or None
            judged = [
                *zip(variables, values, strict=True),
                *zip(self.model.weights, best or (), strict=bool(best)),
            ]
            for variable, value in judged:
                if tuple(variable.shape) != value.shape:
                    raise ValueError(
                        f"{variable.path} has shape {value.shape}, expected {tuple(variable.shape)}"
                    )
        # A flipped byte can raise nearly anything: it may call the archive encrypted, or of another version.
        except Exception as problem:
            aside = self.path.with_name(f"corrupt-{self.path.name}")
            self.path.replace(aside)
            raise StudyError(
                f"{self.path}: expected a checkpoint of this run, found {type(problem).__name__}: {problem}. It was "
                f"set aside as {aside.name}; run the same command again to start this run anew."
            ) from None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history, self.logits, self.best = history, logits, best
        self.written = len(history)

    def _variables(self) -> list:
        # Unlike Keras' weights files, `model.variables` has the state of dropout's random generators.
        return [*self.model.variables, *self.descent.variables]
