"""The run store: what each training leaves, keyed by what determines it.

A run's folder `<recipe>-seed<N>-<fingerprint>` holds

    run.json         recipe, seed, fingerprint, epoch kept, time and machine; written last: there is a run.json
                     when, and only when, the run is finished
    history.csv      one row an epoch
    predictions.npz  row int64 (m,) and logits float32 (m, 7): PublicTest, and PrivateTest once scored
    model.keras      the weights kept
    checkpoint.npz   while the run is unfinished: all that is needed to go on

The store is no output of a DVC stage, since DVC deletes a stage's outputs before it runs.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.architectures import changed_options
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.recipes import Recipe, recipe_from_dict
from fer_utils.storage import atomic_file

ENGINE = 1
"""Part of every fingerprint: raise it when a change to training gives other weights for the same recipe."""


def run_fingerprint(recipe: Recipe, seed: int, faces: Faces) -> str:
    """SHA-256 over recipe, seed, and the faces' Training and PublicTest.

    Of the recipe only what differs from the defaults counts, so that a run stays valid when recipes or
    networks gain a field whose default changes nothing.
    """
    changed = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name != "options" and getattr(recipe, field.name) != field.default
    }
    options = changed_options(recipe.network, recipe.options)
    key = {
        "engine": ENGINE,
        "recipe": changed | {"options": options},
        "seed": seed,
        "faces": faces.fingerprint,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def run_folder(store: Path, recipe: Recipe, seed: int, faces: Faces) -> Path:
    """Where in the store this run lies, finished or not."""
    return Path(store) / f"{recipe.name}-seed{seed}-{run_fingerprint(recipe, seed, faces)[:12]}"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Raises:
        StudyError: on reading, when the folder holds no finished run.
    """

    folder: Path

    @cached_property
    def about(self) -> dict:
        """The contents of run.json."""
        try:
            return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        except OSError:
            raise StudyError(
                f"{self.folder}: expected a finished run (run.json), found none. Train it with `fer-study train`."
            ) from None

    @property
    def recipe(self) -> Recipe:
        """The recipe it was trained by."""
        return recipe_from_dict(self.about["recipe"])

    @property
    def seed(self) -> int:
        """The seed of weights, batches, augmentation and dropout."""
        return self.about["seed"]

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an epoch: epoch (from 1), loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""
        return pd.read_csv(self.folder / "history.csv")

    def logits(self, faces: Faces) -> np.ndarray:
        """The saved logits of these faces, float32 (n, 7), found by row.

        Raises:
            StudyError: the run holds no logits for some of these faces.
        """
        with np.load(self.folder / "predictions.npz") as saved:
            table = pd.DataFrame(saved["logits"], index=saved["row"], columns=list(EMOTIONS))
        missing = np.setdiff1d(faces.row, table.index)
        if len(missing):
            raise StudyError(
                f"{self.folder.name}: expected logits for {len(faces):,} faces, found none for {len(missing):,} of them "
                f"(usage {', '.join(sorted(set(faces.usage.tolist())))}). PrivateTest is added by `fer-study score`."
            )
        return table.loc[faces.row].to_numpy(np.float32)

    def add_logits(self, faces: Faces, logits: np.ndarray) -> None:
        """Keep logits, float32 (n, 7), beside those already saved."""
        with np.load(self.folder / "predictions.npz") as saved:
            row, before = saved["row"], saved["logits"]
        write_predictions(self.folder, np.concatenate([row, faces.row]), np.concatenate([before, logits]))

    def model(self):
        """The Keras model with the weights kept."""
        import keras

        return keras.saving.load_model(self.folder / "model.keras", compile=False)


def write_predictions(folder: Path, row: np.ndarray, logits: np.ndarray) -> None:
    """Write predictions.npz: row int64 (m,), logits float32 (m, 7)."""
    with atomic_file(folder / "predictions.npz") as target:
        np.savez(target, row=row.astype(np.int64), logits=logits.astype(np.float32))


def finished_runs(store: Path) -> list[Run]:
    """All finished runs of a store, by name."""
    return [Run(path.parent) for path in sorted(Path(store).glob("*/run.json"))]
