"""Several trainings at once, each in a process of its own.

A small network does not fill a processor. Two trainings with one core each then take less time
than one after the other with two cores.

The last bits of the weights depend on the number of a training's threads. That number is chosen
from the cores and the number of trainings. The number of workers, which may depend on the free
memory, does not change it.
"""

import contextlib
import math
import multiprocessing.connection
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import psutil
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces
from fer_utils.emotions import TRAINING
from fer_utils.errors import StudyError
from fer_utils.networks import build
from fer_utils.networks.backend import keras
from fer_utils.training.engines import engine
from fer_utils.training.fit import fit
from fer_utils.training.processes import Progress, TrainingProcess
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run, finished, run_folder

WORKERS = "FER_STUDY_WORKERS"
"""Environment variable with the largest number of trainings at once."""


class Training(NamedTuple):
    """One training to do.

    Attributes:
        recipe: the recipe.
        seed: the seed.
    """

    recipe: Recipe
    seed: int


def fit_many(
    trainings: Sequence[tuple[Recipe, int]],
    faces: Faces,
    store: Path,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> list[Run]:
    """Train recipes with seeds, several at once. Like `fit`, it continues and loads runs.

    Under JAX, and where there is an accelerator, trainings run one after another in this process.

    Args:
        trainings: recipes with their seeds. A repeated one is trained once.
        faces: as for `fit`.
        store: as for `fit`.
        workers: largest number of trainings at once. It changes no weight. None is the environment
            variable FER_STUDY_WORKERS, or as many as the cores and the free memory allow.
        progress: show a bar for all trainings together.

    Returns:
        The runs, in the order of `trainings`.

    Raises:
        StudyError: trainings failed, or their process ended (the message names each of them, and
            the others are finished); or `workers` is not positive or needs more memory than is
            free.
    """
    folders = [run_folder(store, *training, faces) for training in trainings]
    by_folder = dict(zip(folders, (Training(*one) for one in trainings), strict=True))
    waiting = {folder: one for folder, one in by_folder.items() if not finished(folder)}
    threads = threads_of_each(len(by_folder))
    if not can_share_machine() or len(by_folder) == 1 or not waiting:
        return [fit(recipe, faces, seed, store, progress=progress) for recipe, seed in trainings]
    unfinished = list(waiting.values())
    outcomes = run_many(_fit, unfinished, faces, store, threads, workers, progress=progress)
    failed = [
        f"{one.recipe.label(one.seed)}: {outcome}"
        for one, outcome in zip(unfinished, outcomes, strict=True)
        if isinstance(outcome, Exception)
    ]
    if failed:
        raise StudyError(
            f"{len(failed)} of {len(waiting)} trainings failed. The others are finished, and "
            "another call continues.\n" + "\n".join(failed)
        )
    return [Run(folder) for folder in folders]


def _fit(recipe: Recipe, faces: Faces, seed: int, store: Path, report) -> None:
    fit(recipe, faces, seed, store, progress=False, report=report)


def threads_of_each(trainings: int) -> int:
    """Number of threads of each of several trainings: the cores, divided among all of them."""
    return max(1, joblib.cpu_count() // trainings)


def run_many(
    function: Callable,
    trainings: Sequence[Training],
    faces: Faces,
    store: Path,
    threads: int,
    workers: int | None = None,
    *,
    progress: bool = True,
) -> list:
    """Call a function for each training, each in a process, several at once.

    Args:
        function: of a module, called with recipe, faces, seed, store and `report` (see `fit`).
        trainings: the trainings, in the order in which they start.
        faces: passed on.
        store: passed on.
        threads: number of threads of each training.
        workers: as for `fit_many`.
        progress: show a bar for all trainings together.

    Returns:
        For each training what the function returned, or the exception that it raised. It is a
        StudyError if the process ended.

    Raises:
        StudyError: `workers` is not positive or needs more memory than is free.
    """
    workers = _affordable(trainings, faces, threads, workers)
    processes = [TrainingProcess(function, faces, store, threads) for _ in range(workers)]
    outcomes: list[Any] = [None] * len(trainings)
    waiting, idle = list(range(len(trainings))), list(processes)
    busy: dict[Any, tuple[TrainingProcess, int]] = {}
    images = sum(one.recipe.epochs * _images(one.recipe, faces) for one in trainings)
    try:
        with tqdm(
            total=images,
            desc=f"{len(trainings)} trainings, {workers} at once",
            unit=" images",
            unit_scale=True,
            disable=not progress,
        ) as bar:
            while waiting or busy:
                while waiting and idle:
                    process, number = idle.pop(0), waiting.pop(0)
                    process.start(*trainings[number])
                    busy[process.pipe] = process, number
                for pipe in multiprocessing.connection.wait(list(busy)):
                    process, number = busy[pipe]
                    message = process.receive(*trainings[number])
                    if isinstance(message, Progress):
                        bar.update(message.images)
                        continue
                    del busy[pipe]
                    idle.append(process)
                    outcomes[number] = message.outcome
                    left = len(waiting) + len(busy)
                    bar.set_postfix(finished=len(trainings) - left)
    finally:
        for process in processes:
            process.close(patience=0 if busy else 5)
    return outcomes


def can_share_machine() -> bool:
    """True if several trainings at once pay. Under JAX and on an accelerator, one takes it all."""
    return keras.backend.backend() == "tensorflow" and not engine().accelerators()


def _given_workers() -> int | None:
    text = os.environ.get(WORKERS, "")
    if text and not text.isdigit():
        raise StudyError(f"{WORKERS}: expected a whole number of 1 or more, found {text!r}.")
    return int(text) if text else None


def _affordable(
    trainings: Sequence[Training], faces: Faces, threads: int, workers: int | None
) -> int:
    """The number of workers: as given, or as many as cores and memory allow, and at least 1."""
    workers = _given_workers() if workers is None else workers
    if workers is not None and workers < 1:
        raise StudyError(f"workers: expected 1 or more, found {workers}.")
    # Seeds of one recipe need the same memory, and an estimate builds the network.
    recipes = {str(one.recipe.to_dict()): one.recipe for one in trainings}
    each, free = max(memory_of(recipe, faces) for recipe in recipes.values()), free_memory()
    if workers is None:
        return max(1, min(joblib.cpu_count() // threads, len(trainings), int(free / each)))
    workers = min(workers, len(trainings))
    if workers > 1 and workers * each > free:
        raise StudyError(
            f"workers: expected at most {max(1, int(free / each))}, found {workers}. Each training "
            f"needs about {each / 1e9:.1f} GB of memory, {workers} need {workers * each / 1e9:.1f} "
            f"GB, and {free / 1e9:.1f} GB are free. Name fewer workers."
        )
    return workers


def memory_of(recipe: Recipe, faces: Faces) -> float:
    """An estimate of the memory that a training of this recipe takes, bytes.

    It is the sum of a process with TensorFlow, the faces as they are sent, received and selected,
    the weights with their gradients, moments and checkpoint, and the outputs of all layers for one
    batch. Measured peaks of three networks are 78 % to 88 % of it
    (`benchmarks/side_by_side.py`).
    """
    model = build(recipe.network, **recipe.options)
    outputs = 4 * recipe.batch_size * _outputs(model)
    return 0.7e9 + 3 * faces.images.nbytes + 4 * 6 * model.count_params() + outputs


def _outputs(model: keras.Model) -> int:
    """Number of values in the outputs of all layers for one image."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += _outputs(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            total += math.prod(layer.output.shape[1:])
    return total


def free_memory() -> float:
    """The memory that new processes can take, bytes: the machine's, or this container's."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")  # version 2 of Linux' control groups
    with contextlib.suppress(OSError, ValueError):  # "max" is no limit
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return free


def _images(recipe: Recipe, faces: Faces) -> int:
    """Number of images in one epoch of a training."""
    images = int(np.count_nonzero(faces.usage == TRAINING))
    if recipe.folds:
        images -= images // recipe.folds
    if recipe.drop_last and images >= recipe.batch_size:
        images -= images % recipe.batch_size
    return images
