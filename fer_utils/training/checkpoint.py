"""The checkpoint of a training. It is written atomically and restored bit for bit."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.storage import atomic_file

CHECKPOINT_SHARE = 0.05
"""The largest share of the time that checkpoints take.

Short epochs are not each followed by one.
"""


class Checkpoint:
    """All state between epochs: model with its dropout generators, optimizer, history, best
    weights."""

    def __init__(
        self, path: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer
    ) -> None:
        self.path, self.model, self.optimizer = path, model, optimizer
        self.history: list[dict] = []
        self.logits: np.ndarray | None = None
        self.best: list[np.ndarray] | None = None
        self.written = 0  # epoch of the checkpoint on disk
        self.due = 0.0  # time of the next checkpoint

    def add(
        self, row: dict, logits: np.ndarray, weights: list[np.ndarray], *, keep_best: bool
    ) -> None:
        """Append an epoch, and write the checkpoint if it is due."""
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
        """Restore the checkpoint if there is one. An unreadable one is set aside.

        Raises:
            StudyError: the checkpoint cannot be read.
        """
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
            expected_shapes = [
                *zip(variables, values, strict=True),
                *zip(self.model.weights, best or (), strict=bool(best)),
            ]
            for variable, value in expected_shapes:
                if tuple(variable.shape) != value.shape:
                    raise ValueError(
                        f"{variable.path} has shape {value.shape}, expected {tuple(variable.shape)}"
                    )
        # A flipped byte can raise nearly any error, such as that of an encrypted archive.
        except Exception as problem:
            aside = self.path.with_name(f"corrupt-{self.path.name}")
            self.path.replace(aside)
            raise StudyError(
                f"{self.path}: expected a checkpoint of this run, found {type(problem).__name__}: "
                f"{problem}. It was set aside as {aside.name}. Run the same command again to start "
                "this run from the beginning."
            ) from None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history, self.logits, self.best = history, logits, best
        self.written = len(history)

    def _variables(self) -> list:
        # Unlike Keras' weights files, `model.variables` includes dropout's random generators.
        return [*self.model.variables, *self.optimizer.variables]
