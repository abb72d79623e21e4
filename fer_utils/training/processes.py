"""A process for trainings, one after another.

A training that exhausts the memory or crashes a library ends this process only, and not the
notebook or the search that waits for it.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import run_folder
from fer_utils.warm import warm_python

GRACE = 2.0
"""Seconds between the sudden end of a training's process and the report of its failure.

A kill of the whole study ends this process in the meantime, and no failure is reported.
"""

_INTERRUPTED = ("SIGINT", "SIGTERM", "SIGHUP")
_REPORT_EVERY = 0.2  # seconds between two reports of progress


class Progress(NamedTuple):
    """A message of a process: it has trained on so many more images."""

    images: int


class Finished(NamedTuple):
    """A message of a process: what the function returned, or the exception that it raised."""

    outcome: Any


class TrainingProcess:
    """A process that calls a function for one training after another.

    A training that exhausts the memory or crashes a library ends this process only. The next
    training starts a new one.

    Args:
        function: of a module, called with recipe, faces, seed, store and `report`; see `fit`.
        faces: passed on to the function.
        store: passed on to the function.
        threads: number of threads of each training; None is TensorFlow's choice, all cores.
    """

    def __init__(
        self, function: Callable, faces: Faces, store: Path, threads: int | None = None
    ) -> None:
        self.function, self.faces, self.store, self.threads = function, faces, Path(store), threads
        self.process: BaseProcess | None = None
        self.pipe: Any = None  # this side's end; its class depends on the operating system

    def start(self, recipe: Recipe, seed: int) -> None:
        """Start a training. Its messages then arrive at `receive`."""
        if self.process is None:
            self._start_process()
        # `receive` reports a process that has ended.
        with contextlib.suppress(OSError):
            self.pipe.send((recipe, seed))

    def receive(self, recipe: Recipe, seed: int) -> Progress | Finished:
        """Wait for the next message of a started training.

        The outcome is a StudyError if the process ended. Raises KeyboardInterrupt if the process
        was interrupted.
        """
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return Finished(self._ended(recipe, seed))
        if isinstance(message, Finished) and isinstance(message.outcome, Exception):
            # A new process frees the memory that the failure may have left in use.
            self.close()
        return message

    def run(self, recipe: Recipe, seed: int) -> Any:
        """Call the function for a training, and return what it returned or the exception
        that it raised."""
        self.start(recipe, seed)
        while isinstance(message := self.receive(recipe, seed), Progress):
            pass
        return message.outcome

    def close(self, patience: float = 5) -> None:
        """End the process. If it is training, it is terminated after so many seconds."""
        if self.process is not None:
            self.pipe.close()
            self.process.join(patience)
            self.process.terminate()
            self.process.join()
            self.process = None

    def _start_process(self) -> None:
        context = _context()
        self.pipe, theirs = context.Pipe()
        process = context.Process(
            target=_serve,
            args=(theirs, self.function, self.faces, self.store, self.threads),
            daemon=True,
        )
        process.start()
        self.process = process  # only now can it be joined
        theirs.close()

    def _ended(self, recipe: Recipe, seed: int) -> StudyError:
        assert self.process is not None
        self.process.join()
        code, self.process = self.process.exitcode or 0, None
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        if how in _INTERRUPTED:
            raise KeyboardInterrupt
        time.sleep(GRACE)
        memory = ", perhaps out of memory" if how == "SIGKILL" else ""
        folder = run_folder(self.store, recipe, seed, self.faces)
        return StudyError(f"{folder.name}: the training process ended with {how}{memory}.")


def _context():
    """How processes start: forked from one that has imported TensorFlow, where that is possible.

    An import takes longer than some trainings of the sample.
    """
    if (command := warm_python()) is not None:
        context = multiprocessing.get_context("spawn")
        context.set_executable(command)
        return context
    if sys.platform != "linux" or keras.backend.backend() != "tensorflow":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fer_utils.training.fit"])
    return context


def _serve(pipe, function: Callable, faces: Faces, store: Path, threads: int | None) -> None:
    """Train what arrives through a pipe, until it is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if threads:
        _limit_threads(threads)
    try:
        while True:
            recipe, seed = pipe.recv()
            report = _Reporter(pipe)
            try:
                outcome = function(recipe, faces, seed, store, report)
            except Exception as problem:
                outcome = StudyError(failure_reason(problem))
                if isinstance(problem, OSError):
                    outcome = problem
            report.send()
            pipe.send(Finished(outcome))
            keras.backend.clear_session()
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        sys.exit()


def _limit_threads(threads: int) -> None:
    cv2.setNumThreads(threads)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


class _Reporter:
    """Sends the number of trained images, a few times a second."""

    def __init__(self, pipe) -> None:
        self.pipe, self.images, self.sent = pipe, 0, time.monotonic()

    def __call__(self, images: int) -> None:
        self.images += images
        if time.monotonic() - self.sent > _REPORT_EVERY:
            self.send()

    def send(self) -> None:
        self.pipe.send(Progress(self.images))
        self.images, self.sent = 0, time.monotonic()


def _end_with_parent() -> None:
    """End this process when the one that started it ends.

    Otherwise the training would continue while the restarted study trains the same run.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a child
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def failure_reason(problem: BaseException) -> str:
    """Return the reason of a failed training: a StudyError's text, or an error's type and line."""
    if isinstance(problem, StudyError):
        return str(problem)
    return f"{type(problem).__name__}: {problem}".strip().splitlines()[0]
