"""Training: fit a recipe on faces with a seed, and write a run.

An epoch depends on the recipe, the seed and the number of the epoch alone. The checkpoint contains
all state between epochs. A killed run therefore continues from its last checkpoint, and ends with
the same weights, bit for bit, as an undisturbed one.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
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
from fer_utils.training.initial_weights import set_initial_weights
from fer_utils.training.optimizers import build_optimizer, learning_rate
from fer_utils.training.predict import predict, predict_over, through_front
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import (
    RUN_FILE,
    Run,
    RunInfo,
    finished,
    run_fingerprint,
    run_folder,
    write_predictions,
)
from fer_utils.training.soft_labels import read_soft_labels, read_teachers


def epoch_plan(
    recipe: Recipe, seed: int, epoch: int, images: int, side: int
) -> tuple[np.ndarray, augmentation.Draws]:
    """The order of an epoch's images and the augmentation of each image.

    Args:
        recipe: sets the strength of the augmentation, and whether incomplete batches are dropped.
        seed: of the run.
        epoch: from 1.
        images: number of training images.
        side: of the trunk's input, pixels.

    Returns:
        The order, int64 (m,), and the draws for all images.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(images)
    if recipe.teacher_views:
        draws = augmentation.draw_view(recipe, view_of(recipe, epoch), images)
    else:
        now, flipped = recipe.in_epoch(epoch), None
        if recipe.alternating_flip:
            flipped = augmentation.alternating_flips([seed, 0], images, inverted=epoch % 2 == 0)
        draws = augmentation.draw(now, generator, images, min(side, now.training_side), flipped)
    if recipe.drop_last and images >= recipe.batch_size:
        order = order[: images // recipe.batch_size * recipe.batch_size]
    return order, draws


def fit(
    recipe: Recipe,
    faces: Faces,
    seed: int,
    store: Path,
    *,
    progress: bool = True,
    report: Callable[[int], None] | None = None,
) -> Run:
    """Train a recipe. An interrupted run is continued, and a finished one is loaded.

    Only Training and PublicTest of `faces` are read; PublicTest is the validation set. The function
    sets the global random seeds of Python, NumPy and the backend.

    Args:
        recipe: what to train.
        faces: with Training and PublicTest.
        seed: of weights, batches, augmentation and dropout.
        store: folder of runs.
        progress: show a progress bar.
        report: called with the number of images that were trained on since the last call, first
            those of a continued run.

    Raises:
        StudyError: a split is missing; an option of the network is unknown; the seed is out of
            range; the loss is not finite; a checkpoint cannot be read (it is set aside, and the
            next call starts from the beginning).
    """
    if not 0 <= seed < 2**32:
        raise StudyError(f"seed: expected a whole number from 0 to {2**32 - 1}, found {seed}.")
    if recipe.folds and not recipe.fold:
        raise StudyError(
            f"recipe {recipe.name}: fold: expected one from 1 to {recipe.folds}, found 0. Train "
            "each of `every_fold`."
        )
    folder = run_folder(store, recipe, seed, faces)
    if finished(folder):
        # A kill between the record and the end of the training leaves the checkpoint.
        (folder / "checkpoint.npz").unlink(missing_ok=True)
        return Run(folder)
    training, public = faces.of(TRAINING), faces.of(PUBLIC)
    targets = _targets(recipe, training, store)
    teachers = read_teachers(recipe.teacher, store) if recipe.teacher else ()
    if recipe.folds:
        others = fold_of(recipe, len(training)) != recipe.fold
        training, targets = training.select(others), targets[:, others]

    keras.utils.set_random_seed(seed)
    with engine().data_parallel() if recipe.data_parallel else nullcontext():
        with _precision(recipe.precision):
            model = build(recipe.network, **recipe.options)
        if recipe.initial_weights:
            teachers += set_initial_weights(model, recipe, store)
        front, trunk = parts(model)
        if front is not None:
            if recipe.teacher_views:
                raise StudyError(
                    f"recipe {recipe.name}: teacher_views: expected a network that trains on the "
                    f"pixels that its teachers saw, found {recipe.network}, which preprocesses "
                    "them. Use another network."
                )
            front.adapt(training.images)
        images_per_epoch = len(epoch_plan(recipe, seed, 1, len(training), trunk.input_shape[1])[0])
        steps = -(-images_per_epoch // recipe.batch_size)
        optimizer = build_optimizer(recipe, steps * recipe.epochs)
        optimizer.build(trunk.trainable_variables)
        runner = engine().Engine(
            trunk, optimizer, recipe, through_front(front, training.images), targets[0]
        )
        folder.mkdir(parents=True, exist_ok=True)
        state = Checkpoint(folder / "checkpoint.npz", model, optimizer)
        state.restore()

        with tqdm(
            total=recipe.epochs * images_per_epoch,
            initial=len(state.history) * images_per_epoch,
            desc=f"{recipe.name} seed {seed}",
            unit=" images",
            unit_scale=True,
            disable=not progress,
        ) as bar:

            def on_batch(images: int) -> None:
                bar.update(images)
                if report:
                    report(images)

            if report:
                report(len(state.history) * images_per_epoch)
            for epoch in range(len(state.history) + 1, recipe.epochs + 1):
                started = time.monotonic()
                if recipe.schedule == "plateau":
                    optimizer.learning_rate = learning_rate(
                        recipe, [past["val_loss"] for past in state.history]
                    )
                bar.set_description(f"{recipe.name} seed {seed} epoch {epoch}/{recipe.epochs}")
                order, draws = epoch_plan(recipe, seed, epoch, len(training), trunk.input_shape[1])
                if recipe.teacher_views:
                    runner.set_targets(targets[view_of(recipe, epoch)])
                losses, correct = runner.epoch(order, draws, on_batch)
                with _averaged_weights(trunk, optimizer):
                    logits = predict(model, public.images)
                    weights = model.get_weights()
                rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
                _expect_finite(folder, epoch, losses, logits, rate, state)
                if epoch in _snapshot_epochs(recipe)[:-1]:
                    _save_snapshot(folder, recipe, epoch, weights)
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
        optimizer.finalize_variable_values(trunk.trainable_variables)
    _finish(folder, recipe, seed, faces, model, state, public, teachers)
    return Run(folder)


@contextmanager
def _averaged_weights(trunk: keras.Model, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Inside, the trunk's weights are the optimizer's moving averages, if it has any."""
    if not optimizer.use_ema:
        yield
        return
    variables = trunk.trainable_variables
    before = [np.asarray(variable) for variable in variables]
    optimizer.finalize_variable_values(variables)
    yield
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)


def _snapshot_epochs(recipe: Recipe) -> list[int]:
    """The epochs whose weights are saved: evenly over the last sixth, including the last one."""
    last, count = recipe.epochs, recipe.snapshots
    return [round(last - last / 6 * (count - 1 - k) / count) for k in range(count)]


def _save_snapshot(folder: Path, recipe: Recipe, epoch: int, weights: list[np.ndarray]) -> None:
    # A run that continues from an earlier checkpoint writes the same weights again.
    number = _snapshot_epochs(recipe).index(epoch) + 1
    with atomic_file(folder / f"snapshot-{number}.npz") as target:
        np.savez(target, *weights)


def fold_of(recipe: Recipe, images: int) -> np.ndarray:
    """The fold of each training image, int (n,) from 1: random, of equal sizes, equal for all
    seeds."""
    return np.random.default_rng(recipe.folds).permutation(images) % recipe.folds + 1


def view_of(recipe: Recipe, epoch: int) -> int:
    """The number of the view, from 0, that an epoch trains on, counted from 1."""
    return (epoch - 1) % recipe.teacher_views


def _targets(recipe: Recipe, training: Faces, store: Path) -> np.ndarray:
    """The target probabilities of each view and training image, float32 (views, n, 7).

    There is one view if the recipe names none.
    """
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[training.emotion]
    if recipe.label_smoothing:
        targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / len(EMOTIONS)
    targets = targets[None]
    if recipe.teacher_views and not recipe.teacher:
        raise StudyError(
            f"recipe {recipe.name}: teacher: expected the name of soft labels with "
            f"{recipe.teacher_views} views, found none. Make them with `fer-study teach --recipe`."
        )
    if recipe.teacher:
        soft = read_soft_labels(recipe, training, store)
        targets = recipe.teacher_share * soft + (1 - recipe.teacher_share) * targets
    return targets.astype(np.float32)


@contextmanager
def _precision(name: str) -> Iterator[None]:
    """Models that are built inside compute in this precision."""
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
    found = "logits that are not"
    if len(wrong):
        found = f"{losses[wrong[0]]} at step {wrong[0] + 1} of {len(losses)}"
    checkpoint = "There is no checkpoint yet"
    if state.written:
        checkpoint = f"The last good checkpoint (epoch {state.written}) remains"
    raise StudyError(
        f"{folder.name}: epoch {epoch}: expected a finite loss, found {found}. {checkpoint}. Lower "
        f"the learning rate, which was {rate:g}."
    )


def _finish(folder, recipe, seed, faces, model, state, public, teachers) -> None:
    if state.best:
        model.set_weights(state.best)
    logits = state.logits
    if recipe.precision != "float32" or recipe.crop_side != SIDE:
        # The saved model is float32 and takes whole images, so its logits are computed anew.
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
    epoch_kept = recipe.epochs
    if recipe.keep == "best":
        epoch_kept = int(history["epoch"][history["val_accuracy"].idxmax()])
    versions = {name: version(name) for name in ("keras", "numpy")} | {"backend": _backend()}
    info = RunInfo(
        recipe=recipe,
        seed=seed,
        fingerprint=run_fingerprint(recipe, seed, faces),
        faces=faces.fingerprint,
        source=faces.source,
        parameters=parts(model)[1].count_params(),
        epoch_kept=epoch_kept,
        seconds=round(float(history["seconds"].sum()), 1),
        machine=machine(),
        versions=versions,
        teachers=teachers,
    )
    info.write(folder / RUN_FILE)
    (folder / "checkpoint.npz").unlink(missing_ok=True)


def machine() -> str:
    """The accelerators, the processor and its number of cores, as text."""
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
