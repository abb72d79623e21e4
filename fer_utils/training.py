"""Training: fits a recipe on faces with a seed and leaves a run.

What happens in an epoch depends on the recipe, the seed and the epoch's number alone, and everything that
passes from one epoch to the next is in the checkpoint. So a run that was killed goes on from its last whole
epoch and ends with the same weights, bit for bit, as one that never was.
"""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_utils.architectures import build
from fer_utils.backend import keras
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, cross_entropy
from fer_utils.faces import Faces
from fer_utils.recipes import Recipe
from fer_utils.runs import Run, run_fingerprint, run_folder, write_predictions
from fer_utils.storage import atomic_file

PREDICTION_BATCH = 256


class Batches(keras.utils.PyDataset):
    """One epoch of shuffled, augmented batches, decided by seed and epoch.

    Gives images float32 (b, 48, 48, 1) in 0..255 and emotions int32 (b,).
    """

    def __init__(self, faces: Faces, recipe: Recipe, seed: int, epoch: int) -> None:
        super().__init__()
        self.faces, self.batch_size = faces, recipe.batch_size
        generator = np.random.default_rng([seed, epoch])
        self.order = generator.permutation(len(faces))
        self.mirrored = generator.random(len(faces)) < (0.5 if recipe.mirror else 0.0)

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images = self.faces.images[chosen]
        mirrored = self.mirrored[chosen]
        images[mirrored] = images[mirrored, :, ::-1]
        return images[..., None].astype(np.float32), self.faces.emotion[chosen].astype(np.int32)


def fit(recipe: Recipe, faces: Faces, seed: int, store: Path, *, progress: bool = True) -> Run:
    """Train a recipe, or load the run where it is finished, or go on with it where it was interrupted.

    Only Training and PublicTest of `faces` are read; PublicTest is the validation set. Sets the global random
    seeds of Python, NumPy and the backend.

    Args:
        recipe: what to train.
        faces: with Training and PublicTest.
        seed: decides weights, batches, augmentation and dropout.
        store: folder of runs.
        progress: show a bar.

    Raises:
        StudyError: a usage is missing; an option of the network is unknown; the seed is out of range; the loss is
            no longer finite; a checkpoint cannot be read (it is set aside, and the next call starts anew).
    """
    if not 0 <= seed < 2**32:
        raise StudyError(f"seed: expected a whole number from 0 to {2**32 - 1}, found {seed}.")
    folder = run_folder(store, recipe, seed, faces)
    if (folder / "run.json").is_file():
        return Run(folder)
    training, public = faces.of(TRAINING), faces.of(PUBLIC)
    folder.mkdir(parents=True, exist_ok=True)

    keras.utils.set_random_seed(seed)
    model = build(recipe.network, **recipe.options)
    model.compile(
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    state = _Checkpoint(folder / "checkpoint.npz", model)
    state.restore()

    with tqdm(
        total=recipe.epochs * len(training),
        initial=len(state.history) * len(training),
        desc=f"{recipe.name} seed {seed}",
        unit=" images",
        unit_scale=True,
        disable=not progress,
    ) as bar:
        for epoch in range(len(state.history) + 1, recipe.epochs + 1):
            started = time.monotonic()
            rate = learning_rate(recipe, [past["val_loss"] for past in state.history])
            model.optimizer.learning_rate = rate
            bar.set_description(f"{recipe.name} seed {seed} epoch {epoch}/{recipe.epochs}")
            # shuffle=True would shuffle the batches' order once more, by Python's global generator.
            batches = Batches(training, recipe, seed, epoch)
            fitted = model.fit(batches, shuffle=False, verbose=0, callbacks=[_Bar(bar, recipe)])
            loss = float(fitted.history["loss"][0])
            logits = predict(model, public.images)
            if not (np.isfinite(loss) and np.isfinite(logits).all()):
                raise StudyError(
                    f"{folder.name}: epoch {epoch}: expected a finite loss, found {loss}. The last good checkpoint "
                    f"(epoch {epoch - 1}) is kept; lower the learning rate of {rate:g}."
                )
            state.add(
                {
                    "epoch": epoch,
                    "loss": loss,
                    "accuracy": float(fitted.history["accuracy"][0]),
                    "val_loss": cross_entropy(logits, public.emotion),
                    "val_accuracy": accuracy(logits, public.emotion),
                    "learning_rate": rate,
                    "seconds": round(time.monotonic() - started, 2),
                },
                logits,
                keep_best=recipe.keep == "best",
            )
            bar.set_postfix(loss=f"{loss:.3f}", val_accuracy=f"{state.history[-1]['val_accuracy']:.3f}")

    _finish(folder, recipe, seed, faces, model, state, public)
    return Run(folder)


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits float32 (n, 7) of images uint8 (n, 48, 48), without augmentation."""
    return model.predict(images[..., None].astype(np.float32), batch_size=PREDICTION_BATCH, verbose=0)


def learning_rate(recipe: Recipe, val_losses: list[float]) -> float:
    """The next epoch's learning rate after these PublicTest losses, as Keras' ReduceLROnPlateau has it."""
    rate, best, waited = recipe.learning_rate, np.inf, 0
    for loss in val_losses:
        if loss < best - 1e-4:
            best, waited = loss, 0
        else:
            waited += 1
        if recipe.plateau_patience and waited >= recipe.plateau_patience:
            lower = max(rate * recipe.plateau_factor, recipe.minimum_learning_rate)
            rate, waited = min(rate, lower), 0  # a recipe may start below its minimum
    return rate


class _Bar(keras.callbacks.Callback):
    """Moves the bar by a batch's images. Losses are read once an epoch: each reading waits for the device."""

    def __init__(self, bar: tqdm, recipe: Recipe) -> None:
        super().__init__()
        self.bar, self.step = bar, recipe.batch_size

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(min(self.step, self.bar.total - self.bar.n))


class _Checkpoint:
    """All that passes from one epoch to the next: model (with its dropout generators), optimiser, history, best."""

    def __init__(self, path: Path, model: keras.Model) -> None:
        self.path, self.model = path, model
        self.history: list[dict] = []
        self.logits = self.best = None

    def add(self, row: dict, logits: np.ndarray, *, keep_best: bool) -> None:
        """Append an epoch, and write."""
        better = all(row["val_accuracy"] > past["val_accuracy"] for past in self.history)
        self.history.append(row)
        if better or not keep_best:
            self.logits, self.best = logits, self.model.get_weights()
        arrays = {f"variable_{i}": np.asarray(v) for i, v in enumerate(self._variables())}
        arrays |= {f"best_{i}": w for i, w in enumerate(self.best)}
        with atomic_file(self.path) as target:
            np.savez(target, history=json.dumps(self.history), logits=self.logits, **arrays)

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
                best = [saved[f"best_{i}"] for i in range(len(self.model.weights))]
            for variable, value in zip([*variables, *self.model.weights], [*values, *best], strict=True):
                if tuple(variable.shape) != value.shape:
                    raise ValueError(f"{variable.path} has shape {value.shape}, expected {tuple(variable.shape)}")
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

    def _variables(self) -> list:
        # Unlike Keras' weights files, `model.variables` has the state of dropout's random generators.
        return [*self.model.variables, *self.model.optimizer.variables]


def _finish(folder, recipe, seed, faces, model, state, public) -> None:
    model.set_weights(state.best)
    with atomic_file(folder / "model.keras") as target:
        model.save(target)
    history = pd.DataFrame(state.history)
    with atomic_file(folder / "history.csv") as target:
        history.to_csv(target, index=False)
    write_predictions(folder, public.row, state.logits)
    best = recipe.keep == "best"
    about = {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "fingerprint": run_fingerprint(recipe, seed, faces),
        "faces": faces.fingerprint,
        "source": faces.source,
        "parameters": model.count_params(),
        "epoch_kept": int(history["epoch"][history["val_accuracy"].idxmax()]) if best else recipe.epochs,
        "seconds": round(float(history["seconds"].sum()), 1),
        "machine": machine(),
        "versions": {name: version(name) for name in ("keras", "numpy")} | {"backend": _backend()},
    }
    with atomic_file(folder / "run.json") as target:
        target.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    (folder / "checkpoint.npz").unlink(missing_ok=True)


def machine() -> str:
    """The processor (or accelerator) and its cores, in words."""
    devices = [str(d) for d in keras.distribution.list_devices() if not str(d).startswith("cpu")]
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return ", ".join([f"{name}, {os.cpu_count()} cores", *devices])


def _backend() -> str:
    name = keras.backend.backend()
    return f"{name} {__import__(name).__version__}"
