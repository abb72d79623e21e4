"""The run store: what each training leaves, keyed by what determines it.

A run's folder `<recipe>-seed<N>-<fingerprint>` (`<recipe>-fold<K>-seed<N>-...`) contains

    run.json         the run's record, see `RunInfo`; written last, so the run is finished if it
                     exists
    history.csv      one row per epoch
    predictions.npz  row int64 (m,) and logits float32 (m, 7): PublicTest, and PrivateTest once
                     scored
    tta.npz          the same with test-time augmentation, if the recipe has one
    model.keras      the selected weights
    snapshot-K.npz   earlier weights, if the recipe has snapshots
    checkpoint.npz   all that is needed to continue, while the run is unfinished
    failed.json      why a trial of a search failed; delete it to make the search try again

The store is not an output of a DVC stage, because DVC deletes outputs before it runs a stage.
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
from fer_utils.training.recipe import (
    FORMER_FIELDS,
    FORMER_VALUES,
    Recipe,
    recipe_from_dict,
)

ENGINE = 2
"""Part of every fingerprint. Raise it when a change to training changes the weights of a recipe.
Version 1 was Keras' model.fit; version 2 is the study's own step, which rounds differently."""

RUN_FILE = "run.json"
WEIGHTS = "model.keras"
_PUBLISHED = RUN_FILE, (WEIGHTS, "predictions.npz", "tta.npz", "history.csv")

VOTES = "FER+ votes"
"""The teacher of a run that learned from FER+ votes, which are not FER-2013's labels."""


@dataclass(frozen=True)
class RunInfo:
    """The record of a finished run: run.json in the run store, in published runs and in the
    evidence.

    Attributes:
        recipe: the recipe it was trained with.
        seed: the seed of weights, batches, augmentation and dropout.
        fingerprint: SHA-256 of recipe, seed and faces, hexadecimal; see `run_fingerprint`.
        faces: fingerprint of the prepared faces; "" in a published run.
        source: where the faces come from: "csv", "folder", "kaggle" or "sample".
        parameters: number of trained and untrained parameters.
        epoch_kept: the epoch whose weights were selected, from 1.
        seconds: duration of the training; None in a published run.
        machine: processor and accelerators; None in a published run.
        versions: of keras, numpy and the backend; empty in a published run.
        teachers: labels of the networks that it, or the run that it started from, was distilled
            from; `VOTES` for FER+ votes.
    """

    recipe: Recipe
    seed: int
    fingerprint: str = ""
    faces: str = ""
    source: str = ""
    parameters: int = 0
    epoch_kept: int = 0
    seconds: float | None = None
    machine: str | None = None
    versions: dict = dataclasses.field(default_factory=dict)
    teachers: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Recipe, fold if it has one, and seed, such as "tang_l2svm-seed2"."""
        return self.recipe.label(self.seed)

    @property
    def name(self) -> str:
        """The name of its folder in the run store: label and fingerprint, shortened."""
        return f"{self.label}-{self.fingerprint[:12]}"

    @property
    def learned_from_votes(self) -> bool:
        """True if FER+ votes reached the run, directly or through a teacher."""
        return VOTES in self.teachers

    def write(self, file: Path) -> None:
        """Write the record as JSON. Empty fields are left out."""
        values = {name: value for name, value in vars(self).items() if value or name == "seed"}
        values["recipe"] = self.recipe.to_dict()
        with atomic_file(file) as target:
            target.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_run_info(folder: Path) -> RunInfo:
    """Read the record of a run from its folder, in any of the places that `RunInfo` names.

    Raises:
        StudyError: the folder contains no finished run, or its record has an unknown field.
    """
    file = Path(folder) / RUN_FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        raise StudyError(
            f"{folder}: expected a finished run ({RUN_FILE}), found none. "
            "Train it with `fer-study train`."
        ) from None
    values["recipe"] = recipe_from_dict(values["recipe"])
    # Runs that were trained before 0.1.0 name their teachers "taught_by".
    values["teachers"] = tuple(values.pop("taught_by", values.get("teachers", ())))
    try:
        return RunInfo(**values)
    except TypeError as problem:
        raise StudyError(
            f"{file}: expected the fields "
            f"{', '.join(f.name for f in dataclasses.fields(RunInfo))}, found others ({problem}). "
            "Train the run again."
        ) from None


def read_run_infos(folder: Path) -> dict[Path, RunInfo]:
    """Read the record of each run in `folder`, by the run's own folder, sorted by name."""
    files = sorted(Path(folder).glob(f"*/{RUN_FILE}"))
    return {file.parent: read_run_info(file.parent) for file in files}


def run_fingerprint(recipe: Recipe, seed: int, faces: Faces) -> str:
    """SHA-256 over recipe, seed, and the faces' Training and PublicTest.

    Only fields that differ from their default count, so a run stays valid when recipes or networks
    gain a field whose default changes nothing. Renamed fields and networks are hashed under their
    former names, so that runs and evidence from before the renaming stay valid.
    """
    changed = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name != "options" and getattr(recipe, field.name) != field.default
    }
    for name, former, present in FORMER_VALUES:
        if changed.get(name) == present:
            changed[name] = former
    for former, present in FORMER_FIELDS.items():
        if present in changed:
            changed[former] = changed.pop(present)
    options = changed_options(recipe.network, recipe.options)
    key = {
        "engine": ENGINE,
        "recipe": changed | {"options": options},
        "seed": seed,
        "faces": faces.fingerprint,
    }
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def run_folder(store: Path, recipe: Recipe, seed: int, faces: Faces) -> Path:
    """The folder of a run in the store, whether it exists or not."""
    return Path(store) / f"{recipe.label(seed)}-{run_fingerprint(recipe, seed, faces)[:12]}"


def finished(folder: Path) -> bool:
    """True if the folder contains a finished run."""
    return (folder / RUN_FILE).is_file()


@dataclass(frozen=True)
class Run:
    """A finished run.

    Raises:
        StudyError: on reading, if the folder contains no finished run.
    """

    folder: Path

    @cached_property
    def info(self) -> RunInfo:
        """The run's record."""
        return read_run_info(self.folder)

    @property
    def recipe(self) -> Recipe:
        """The recipe it was trained with."""
        return self.info.recipe

    @property
    def seed(self) -> int:
        """The seed of weights, batches, augmentation and dropout."""
        return self.info.seed

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per epoch: epoch (from 1), loss, accuracy, val_loss, val_accuracy, learning_rate,
        seconds."""
        return pd.read_csv(self.folder / "history.csv")

    def predictions(self, *, tta: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """All saved predictions: row int64 (m,) and logits float32 (m, 7)."""
        return read_predictions(self.folder, tta=tta)

    def has_predictions(self, faces: Faces) -> bool:
        """True if the logits of all these faces are saved, with TTA too if the recipe has one."""
        return all(
            np.isin(faces.row, self.predictions(tta=tta)[0]).all() for tta in self.recipe.kinds
        )

    def logits(self, faces: Faces, *, tta: bool = False) -> np.ndarray:
        """The saved logits of these faces, float32 (n, 7).

        Raises StudyError if some are missing.
        """
        return logits_of(self.folder, faces, tta=tta)

    def add_logits(self, faces: Faces, logits: np.ndarray, *, tta: bool = False) -> None:
        """Add logits, float32 (n, 7), to the saved ones."""
        row, before = self.predictions(tta=tta)
        new = ~np.isin(faces.row, row)
        write_predictions(
            self.folder,
            np.concatenate([row, faces.row[new]]),
            np.concatenate([before, logits[new]]),
            tta=tta,
        )

    def snapshots(self) -> list[list[np.ndarray]]:
        """The earlier weights, oldest first, each as `model.set_weights` takes them."""
        weights = []
        for path in sorted(self.folder.glob("snapshot-*.npz")):
            with np.load(path) as saved:
                weights.append([saved[f"arr_{i}"] for i in range(len(saved.files))])
        return weights

    @property
    def has_weights(self) -> bool:
        """True if the selected weights are saved. Evidence has none."""
        return (self.folder / WEIGHTS).is_file()

    def model(self):
        """The Keras model with the selected weights."""
        from fer_utils.networks import load_layers
        from fer_utils.networks.backend import keras

        load_layers()
        return keras.saving.load_model(self.folder / WEIGHTS, compile=False)


def predictions_file(folder: Path, tta: bool) -> Path:
    """The file with a run's logits, without or with test-time augmentation."""
    return Path(folder) / ("tta.npz" if tta else "predictions.npz")


def read_predictions(folder: Path, *, tta: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read row int64 (m,) and logits float32 (m, 7); both are empty if there is no tta.npz yet."""
    path = predictions_file(folder, tta)
    if tta and not path.is_file():
        path = path.with_name("averaged.npz")  # its name before 0.1.0
    if tta and not path.is_file():
        return np.empty(0, np.int64), np.empty((0, len(EMOTIONS)), np.float32)
    with np.load(path) as saved:
        return saved["row"], saved["logits"]


def logits_of(folder: Path, faces: Faces, *, tta: bool = False) -> np.ndarray:
    """Look up the logits of faces by their row, in the folder of a run or a published run.

    Args:
        folder: contains predictions.npz.
        faces: the faces to look up, (n,).
        tta: take the logits with test-time augmentation.

    Returns:
        float32 (n, 7).

    Raises:
        StudyError: some of these faces have no logits.
    """
    row, logits = read_predictions(folder, tta=tta)
    table = pd.DataFrame(logits, index=row)
    if missing := len(np.setdiff1d(faces.row, row)):
        splits = ", ".join(sorted(set(faces.usage.tolist())))
        raise StudyError(
            f"{predictions_file(folder, tta)}: expected logits of {len(faces):,} faces of "
            f"{splits}, found none for {missing:,} of them. `fer-study score` adds PrivateTest."
        )
    return table.loc[faces.row].to_numpy(np.float32)


def write_predictions(
    folder: Path, row: np.ndarray, logits: np.ndarray, *, tta: bool = False
) -> None:
    """Write predictions.npz, or tta.npz: row int64 (m,), logits float32 (m, 7)."""
    with atomic_file(predictions_file(folder, tta)) as target:
        np.savez(target, row=row.astype(np.int64), logits=logits.astype(np.float32))


def publish_run(run: Run, folder: Path) -> None:
    """Copy to `folder` what other stages need of a run: predictions, history, record, and the
    model if the run has weights.

    The copies contain no times and no machine, so that the same results are the same bytes.
    """
    info = dataclasses.replace(run.info, faces="", seconds=None, machine=None, versions={})
    with atomic_folder(folder, Contents("a published run", *_PUBLISHED)) as target:
        files = [predictions_file(run.folder, tta) for tta in run.recipe.kinds]
        if run.has_weights:
            files.append(run.folder / WEIGHTS)
        for file in files:
            shutil.copyfile(file, target / file.name)
        run.history.drop(columns="seconds").to_csv(target / "history.csv", index=False)
        info.write(target / RUN_FILE)


def publish_runs(runs: Sequence[Run], folder: Path) -> None:
    """Publish each run to a folder of its own in `folder`, named by its label.

    Replaces `folder`.
    """
    of_each = [f"*/{name}" for name in (_PUBLISHED[0], *_PUBLISHED[1])]
    with atomic_folder(
        folder, Contents("published runs", of_each[0], tuple(of_each[1:]))
    ) as target:
        for run in runs:
            publish_run(run, target / run.info.label)
