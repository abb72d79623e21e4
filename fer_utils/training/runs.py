"""The run store: what each training leaves, keyed by what determines it.

A run's folder `<recipe>-seed<N>-<fingerprint>` (`<recipe>-fold<K>-seed<N>-...`) holds

    run.json         recipe, seed, fingerprint, epoch kept, time and machine; written last: there is a run.json
                     when, and only when, the run is finished
    history.csv      one row an epoch
    predictions.npz  row int64 (m,) and logits float32 (m, 7): PublicTest, and PrivateTest once scored
    tta.npz     the same under the recipe's test-time averaging, where it has one
    model.keras      the weights kept
    snapshot-K.npz   earlier weights, where the recipe averages over snapshots
    checkpoint.npz   while the run is unfinished: all that is needed to go on
    failed.json      why a search's trial failed; the search tries it again where this is deleted

The store is no output of a DVC stage, since DVC deletes a stage's outputs before it runs.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.networks import changed_options
from fer_utils.storage import Contents, atomic_file, atomic_folder
from fer_utils.training.recipe import Recipe, recipe_from_dict

ENGINE = 2
"""Part of every fingerprint: raise it when a change to training gives other weights for the same recipe. At 1 it was
model.fit; the step of our own differs from that in rounding."""

_PUBLISHED = "about.json", ("model.keras", "predictions.npz", "tta.npz", "history.csv")

VOTES = "FER+ votes"
"""Among the teachers of a run: it has seen labels that are not FER-2013's."""


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
    return Path(store) / f"{recipe.label(seed)}-{run_fingerprint(recipe, seed, faces)[:12]}"


def finished(folder: Path) -> bool:
    """Whether a run's folder holds a finished run; killed as it ended, it still had its checkpoint, which goes."""
    done = (folder / "run.json").is_file()
    if done:
        (folder / "checkpoint.npz").unlink(missing_ok=True)
    return done


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

    def predictions(self, *, tta: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """All that is saved: row int64 (m,) and logits float32 (m, 7)."""
        return read_predictions(self.folder, tta=tta)

    def holds(self, faces: Faces) -> bool:
        """Whether the logits of all these faces are saved, and the averaged ones where the recipe averages."""
        return all(
            np.isin(faces.row, self.predictions(tta=kind)[0]).all() for kind in self.recipe.kinds
        )

    def logits(self, faces: Faces, *, tta: bool = False) -> np.ndarray:
        """The saved logits of these faces, float32 (n, 7). Raises StudyError where some are missing."""
        return logits_of(self.folder, faces, tta=tta)

    def add_logits(self, faces: Faces, logits: np.ndarray, *, tta: bool = False) -> None:
        """Keep logits, float32 (n, 7), beside those already saved."""
        row, before = self.predictions(tta=tta)
        new = ~np.isin(faces.row, row)
        write_predictions(
            self.folder,
            np.concatenate([row, faces.row[new]]),
            np.concatenate([before, logits[new]]),
            tta=tta,
        )

    def snapshots(self) -> list[list[np.ndarray]]:
        """The earlier weights kept, oldest first, each as `model.set_weights` takes them."""
        kept = []
        for path in sorted(self.folder.glob("snapshot-*.npz")):
            with np.load(path) as saved:
                kept.append([saved[f"arr_{i}"] for i in range(len(saved.files))])
        return kept

    def model(self):
        """The Keras model with the weights kept."""
        from fer_utils.networks import load_layers
        from fer_utils.networks.backend import keras

        load_layers()
        return keras.saving.load_model(self.folder / "model.keras", compile=False)


def about_of(folder: Path) -> dict:
    """What is known about a finished run, or one that `publish_run` left: recipe, seed, parameters and so on."""
    published = Path(folder) / "about.json"
    return (
        json.loads(published.read_text(encoding="utf-8"))
        if published.is_file()
        else Run(Path(folder)).about
    )


def label_of(about: dict) -> str:
    """What the run is called: recipe, fold if it has one, and seed."""
    return recipe_from_dict(about["recipe"]).label(about["seed"])


def learned_from_votes(about: dict) -> bool:
    """Whether a run, of which `about` is what is known, learned from FER+'s votes, or from one that did."""
    return VOTES in about.get("taught_by", ())


def predictions_file(folder: Path, tta: bool) -> Path:
    """Where a run's folder has its logits, plain or averaged."""
    return Path(folder) / ("tta.npz" if tta else "predictions.npz")


def read_predictions(folder: Path, *, tta: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What `write_predictions` wrote: row int64 (m,) and logits float32 (m, 7); none of either before it did."""
    path = predictions_file(folder, tta)
    if tta and not path.is_file():
        return np.empty(0, np.int64), np.empty((0, len(EMOTIONS)), np.float32)
    with np.load(path) as saved:
        return saved["row"], saved["logits"]


def logits_of(folder: Path, faces: Faces, *, tta: bool = False) -> np.ndarray:
    """The logits of these faces, float32 (n, 7), found by row, from a run's or a published run's folder.

    Args:
        folder: with predictions.npz.
        faces: which to look up.
        averaged: those under test-time averaging instead.

    Raises:
        StudyError: some of these faces have none.
    """
    row, logits = read_predictions(folder, tta=tta)
    table = pd.DataFrame(logits, index=row)
    if missing := len(np.setdiff1d(faces.row, row)):
        usages = ", ".join(sorted(set(faces.usage.tolist())))
        raise StudyError(
            f"{predictions_file(folder, tta)}: expected logits for {len(faces):,} faces of {usages}, found none "
            f"for {missing:,} of them. PrivateTest is added by `fer-study score`."
        )
    return table.loc[faces.row].to_numpy(np.float32)


def write_predictions(
    folder: Path, row: np.ndarray, logits: np.ndarray, *, tta: bool = False
) -> None:
    """Write predictions.npz, or tta.npz: row int64 (m,), logits float32 (m, 7)."""
    with atomic_file(predictions_file(folder, tta)) as target:
        np.savez(target, row=row.astype(np.int64), logits=logits.astype(np.float32))


def publish_run(run: Run, folder: Path) -> None:
    """Copy what other stages need of a run to `folder`: model.keras, predictions.npz, history.csv, about.json, and
    tta.npz where there is one.

    history.csv is without times, and about.json without time and machine, so that the same results give the
    same bytes.
    """
    kept = run.history.set_index("epoch").loc[run.about["epoch_kept"]]
    about = {
        "name": f"{run.recipe.name}, seed {run.seed}",
        "public_accuracy": float(kept["val_accuracy"]),
    }
    kept_keys = ("source", "recipe", "seed", "parameters", "epoch_kept", "fingerprint", "taught_by")
    about |= {key: run.about[key] for key in kept_keys if key in run.about}
    with atomic_folder(folder, Contents("a published run", *_PUBLISHED)) as target:
        for kept_file in (
            run.folder / "model.keras",
            *(predictions_file(run.folder, kind) for kind in run.recipe.kinds),
        ):
            shutil.copyfile(kept_file, target / kept_file.name)
        run.history.drop(columns="seconds").to_csv(target / "history.csv", index=False)
        (target / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def publish_runs(runs: Sequence[Run], folder: Path) -> None:
    """Publish each run to a folder of its own in `folder`, called after its recipe and seed; what was there goes."""
    of_each = [f"*/{name}" for name in (_PUBLISHED[0], *_PUBLISHED[1])]
    with atomic_folder(
        folder, Contents("published runs", of_each[0], tuple(of_each[1:]))
    ) as target:
        for run in runs:
            publish_run(run, target / run.recipe.label(run.seed))


def published_abouts(folder: Path) -> dict[Path, dict]:
    """What is known about each run that `publish_runs` left in `folder`, by its own folder."""
    return {
        path.parent: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(Path(folder).glob("*/about.json"))
    }
