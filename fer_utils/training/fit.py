"""Training: fits a recipe on faces with a seed and leaves a run.

What happens in an epoch depends on the recipe, the seed and the epoch's number alone, and everything that
passes from one epoch to the next is in the checkpoint. So a run that was killed goes on from its last
checkpoint and ends with the same weights, bit for bit, as one that never was.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, PUBLIC, SIDE, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, cross_entropy
from fer_utils.networks import build, parts
from fer_utils.networks.backend import keras
from fer_utils.storage import atomic_file
from fer_utils.training import augmentation
from fer_utils.training.checkpoint import Checkpoint
from fer_utils.training.engines import engine
from fer_utils.training.optimizers import learning_rate, optimizer
from fer_utils.training.predict import predict, predict_over, through_front
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run, finished, run_fingerprint, run_folder, write_predictions
from fer_utils.training.soft_labels import soft_labels, taught_by


def epoch_plan(
    recipe: Recipe, seed: int, epoch: int, images: int, side: int
) -> tuple[np.ndarray, augmentation.Draws]:
    """The order of an epoch's images, int64 (m,), and each image's augmentation, decided by seed and epoch.

    Args:
        recipe: says how strong the augmentation is, and whether batches are whole.
        seed: the run's.
        epoch: from 1.
        images: number of training images.
        side: of what the trunk takes, pixels.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(images)
    now = recipe.in_epoch(epoch)
    flipped = None
    if recipe.alternating_flip:
        # The first epoch's coin, which every second epoch turns over.
        flipped = (np.random.default_rng([seed, 0]).random(images) < 0.5) ^ (epoch % 2 == 0)
    draws = augmentation.draw(now, generator, images, min(side, now.crop_side), flipped)
    if recipe.drop_last and images >= recipe.batch_size:
        order = order[: images // recipe.batch_size * recipe.batch_size]
    return order, draws


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
    if recipe.folds and not recipe.fold:
        raise StudyError(
            f"recipe {recipe.name}: fold: expected one from 1 to {recipe.folds}, found 0. Train each of `every_fold`."
        )
    folder = run_folder(store, recipe, seed, faces)
    if finished(folder):
        return Run(folder)
    training, public = faces.of(TRAINING), faces.of(PUBLIC)
    targets = _targets(recipe, training, store)
    if recipe.folds:
        kept = fold_of(recipe, len(training)) != recipe.fold
        training, targets = training.select(kept), targets[kept]
    folder.mkdir(parents=True, exist_ok=True)

    keras.utils.set_random_seed(seed)
    with engine().data_parallel() if recipe.data_parallel else nullcontext():
        with _precision(recipe.precision):
            model = build(recipe.network, **recipe.options)
        front, trunk = parts(model)
        if front is not None:
            front.adapt(training.images)
        images_an_epoch = len(epoch_plan(recipe, seed, 1, len(training), trunk.input_shape[1])[0])
        steps = -(-images_an_epoch // recipe.batch_size)
        descent = optimizer(recipe, steps * recipe.epochs)
        descent.build(trunk.trainable_variables)
        runner = engine().Engine(
            trunk, descent, recipe, through_front(front, training.images), targets
        )
        state = Checkpoint(folder / "checkpoint.npz", model, descent)
        state.restore()

        with tqdm(
            total=recipe.epochs * images_an_epoch,
            initial=len(state.history) * images_an_epoch,
            desc=f"{recipe.name} seed {seed}",
            unit=" images",
            unit_scale=True,
            disable=not progress,
        ) as bar:
            for epoch in range(len(state.history) + 1, recipe.epochs + 1):
                started = time.monotonic()
                if recipe.schedule == "plateau":
                    descent.learning_rate = learning_rate(
                        recipe, [past["val_loss"] for past in state.history]
                    )
                bar.set_description(f"{recipe.name} seed {seed} epoch {epoch}/{recipe.epochs}")
                order, draws = epoch_plan(recipe, seed, epoch, len(training), trunk.input_shape[1])
                losses, correct = runner.epoch(order, draws, bar.update)
                with _averaged_weights(trunk, descent):
                    logits = predict(model, public.images)
                    weights = model.get_weights()
                rate = float(keras.ops.convert_to_numpy(descent.learning_rate))
                _expect_finite(folder, epoch, losses, logits, rate, state)
                if epoch in _snapshot_epochs(recipe)[:-1]:
                    _keep_snapshot(folder, recipe, epoch, weights)
                sizes = np.full(steps, recipe.batch_size)
                sizes[-1] = len(order) - recipe.batch_size * (steps - 1)
                state.add(
                    {
                        "epoch": epoch,
                        "loss": float(np.average(losses, weights=sizes)),
                        "accuracy": correct / len(order),
                        "val_loss": cross_entropy(logits, public.emotion),
                        "val_accuracy": accuracy(logits, public.emotion),
                        "learning_rate": rate,
                        "seconds": round(time.monotonic() - started, 2),
                    },
                    logits,
                    weights,
                    keep_best=recipe.keep == "best",
                )
                bar.set_postfix(
                    loss=f"{losses.mean():.3f}",
                    val_accuracy=f"{state.history[-1]['val_accuracy']:.3f}",
                )

    if recipe.ema:
        descent.finalize_variable_values(trunk.trainable_variables)
    _finish(folder, recipe, seed, faces, model, state, public)
    return Run(folder)


@contextmanager
def _averaged_weights(trunk: keras.Model, descent: keras.optimizers.Optimizer) -> Iterator[None]:
    """Inside, the trunk has the optimiser's moving average of its weights, where it keeps one."""
    before = (
        [np.asarray(variable) for variable in trunk.trainable_variables] if descent.use_ema else []
    )
    if before:
        descent.finalize_variable_values(trunk.trainable_variables)
    yield
    for variable, value in zip(trunk.trainable_variables, before, strict=bool(before)):
        variable.assign(value)


def _snapshot_epochs(recipe: Recipe) -> list[int]:
    """The epochs whose weights are kept: evenly over the last sixth, the last one included."""
    last, count = recipe.epochs, recipe.snapshots
    return [round(last - last / 6 * (count - 1 - k) / count) for k in range(count)]


def _keep_snapshot(folder: Path, recipe: Recipe, epoch: int, weights: list[np.ndarray]) -> None:
    # A run that goes on from before this epoch comes by here again, with the same weights.
    number = _snapshot_epochs(recipe).index(epoch) + 1
    with atomic_file(folder / f"snapshot-{number}.npz") as target:
        np.savez(target, *weights)


def fold_of(recipe: Recipe, images: int) -> np.ndarray:
    """The part, 1 to `folds`, of each training image, int (n,): at random, of equal sizes, the same for all seeds."""
    return np.random.default_rng(recipe.folds).permutation(images) % recipe.folds + 1


def _targets(recipe: Recipe, training: Faces, store: Path) -> np.ndarray:
    """What each training image is to be called, float32 (n, 7)."""
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[training.emotion]
    if recipe.label_smoothing:
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / len(EMOTIONS)
    if recipe.teacher:
        soft = soft_labels(recipe.teacher, training, store)
        targets = recipe.teacher_share * soft + (1 - recipe.teacher_share) * targets
    return targets.astype(np.float32)


@contextmanager
def _precision(name: str) -> Iterator[None]:
    """Models built inside compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if name == "bfloat16" else name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _expect_finite(
    folder: Path, epoch: int, losses: np.ndarray, logits: np.ndarray, rate: float, state
) -> None:
    if np.isfinite(losses).all() and np.isfinite(logits).all():
        return
    wrong = np.flatnonzero(~np.isfinite(losses))
    found = (
        f"{losses[wrong[0]]} at step {wrong[0] + 1} of {len(losses)}"
        if len(wrong)
        else "logits that are not"
    )
    kept = (
        f"The last good checkpoint (epoch {state.written}) is kept"
        if state.written
        else "There is no checkpoint yet"
    )
    raise StudyError(
        f"{folder.name}: epoch {epoch}: expected a finite loss, found {found}. {kept}; lower the learning rate, "
        f"which was {rate:g}."
    )


def _finish(folder, recipe, seed, faces, model, state, public) -> None:
    if state.best:
        model.set_weights(state.best)
    logits = state.logits
    if recipe.precision != "float32" or recipe.crop_side != SIDE:
        # What is kept is float32, on any machine, takes whole images, and is judged by its own logits.
        weights = model.get_weights()
        model = build(recipe.network, **recipe.options)
        model.set_weights(weights)
        logits = predict(model, public.images)
    with atomic_file(folder / "model.keras") as target:
        model.save(target)
    history = pd.DataFrame(state.history)
    with atomic_file(folder / "history.csv") as target:
        history.to_csv(target, index=False)
    write_predictions(folder, public.row, logits)
    if recipe.tta_label:
        write_predictions(
            folder,
            public.row,
            predict_over(model, Run(folder).snapshots(), public.images, recipe.tta),
            tta=True,
        )
    best = recipe.keep == "best"
    about = {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "fingerprint": run_fingerprint(recipe, seed, faces),
        "faces": faces.fingerprint,
        "source": faces.source,
        "parameters": parts(model)[1].count_params(),
        "epoch_kept": int(history["epoch"][history["val_accuracy"].idxmax()])
        if best
        else recipe.epochs,
        "seconds": round(float(history["seconds"].sum()), 1),
        "machine": machine(),
        "versions": {name: version(name) for name in ("keras", "numpy")} | {"backend": _backend()},
    }
    if recipe.teacher:
        about["taught_by"] = taught_by(recipe.teacher, folder.parent)
    with atomic_file(folder / "run.json") as target:
        target.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    (folder / "checkpoint.npz").unlink(missing_ok=True)


def machine() -> str:
    """The processor, its cores, and accelerators, in words."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        name = models[0] if models else name
    return ", ".join([*engine().accelerators(), f"{name}, {os.cpu_count()} cores"])


def _backend() -> str:
    name = keras.backend.backend()
    return f"{name} {__import__(name).__version__}"
