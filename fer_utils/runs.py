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
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.architectures import changed_options
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.recipes import Recipe, recipe_from_dict
from fer_utils.storage import atomic_file, atomic_folder

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

    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """All that is saved: row int64 (m,) and logits float32 (m, 7)."""
        return read_predictions(self.folder)

    def holds(self, faces: Faces) -> bool:
        """Whether the logits of all these faces are saved."""
        return bool(np.isin(faces.row, self.predictions()[0]).all())

    def logits(self, faces: Faces) -> np.ndarray:
        """The saved logits of these faces, float32 (n, 7). Raises StudyError where some are missing."""
        return logits_of(self.folder, faces)

    def add_logits(self, faces: Faces, logits: np.ndarray) -> None:
        """Keep logits, float32 (n, 7), beside those already saved."""
        row, before = self.predictions()
        write_predictions(self.folder, np.concatenate([row, faces.row]), np.concatenate([before, logits]))

    def model(self):
        """The Keras model with the weights kept."""
        from fer_utils.backend import keras

        return keras.saving.load_model(self.folder / "model.keras", compile=False)


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What `write_predictions` wrote: row int64 (m,) and logits float32 (m, 7)."""
    with np.load(Path(folder) / "predictions.npz") as saved:
        return saved["row"], saved["logits"]


def logits_of(folder: Path, faces: Faces) -> np.ndarray:
    """The logits of these faces, float32 (n, 7), found by row, from a run's or a published run's folder.

    Raises:
        StudyError: some of these faces have none.
    """
    row, logits = read_predictions(folder)
    table = pd.DataFrame(logits, index=row)
    if missing := len(np.setdiff1d(faces.row, row)):
        usages = ", ".join(sorted(set(faces.usage.tolist())))
        raise StudyError(
            f"{folder}: expected logits for {len(faces):,} faces of {usages}, found none for {missing:,} of them. "
            "PrivateTest is added by `fer-study score`."
        )
    return table.loc[faces.row].to_numpy(np.float32)


def write_predictions(folder: Path, row: np.ndarray, logits: np.ndarray) -> None:
    """Write predictions.npz: row int64 (m,), logits float32 (m, 7)."""
    with atomic_file(folder / "predictions.npz") as target:
        np.savez(target, row=row.astype(np.int64), logits=logits.astype(np.float32))


def publish_run(run: Run, folder: Path) -> None:
    """Copy what other stages need of a run to `folder`: model.keras, predictions.npz, history.csv, about.json.

    history.csv is without times, and about.json without time and machine, so that the same results give the
    same bytes.
    """
    kept = run.history.set_index("epoch").loc[run.about["epoch_kept"]]
    about = {"name": f"{run.recipe.name}, seed {run.seed}", "public_accuracy": float(kept["val_accuracy"])}
    about |= {key: run.about[key] for key in ("source", "recipe", "seed", "parameters", "epoch_kept", "fingerprint")}
    with atomic_folder(folder) as target:
        for name in ("model.keras", "predictions.npz"):
            shutil.copyfile(run.folder / name, target / name)
        run.history.drop(columns="seconds").to_csv(target / "history.csv", index=False)
        (target / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
