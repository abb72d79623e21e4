"""Threads that run the recogniser, with a bound on running and waiting requests."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue

_NEWEST = 0.2  # weight of the newest request in the average of their seconds
_LONGEST_WAIT = 30  # seconds, of Retry-After

WAITING = 16
"""Number of requests that may wait for a thread."""


class Unavailable(Exception):  # noqa: N818 (a state of the server, not a fault)
    """The server cannot do this at the moment: status 503.

    Args:
        detail: the reason, for the client.
        retry_after: seconds after which another attempt makes sense.
    """

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Workers:
    """A few threads that process all photos.

    Their number limits the memory: a face detector keeps buffers for each thread that has called
    it. `fer_utils.serving.memory` limits what the photos themselves take.

    Args:
        at_once: number of threads; the processor cores when None.
        waiting: number of requests that may wait for a thread.
    """

    def __init__(self, at_once: int | None = None, waiting: int = WAITING) -> None:
        self.at_once = at_once or os.cpu_count() or 1
        self.waiting = waiting
        self._lock = threading.Lock()
        self._admitted = self._working = 0
        self._seconds = 0.5  # average of a photo
        self._jobs: SimpleQueue = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def working(self) -> int:
        """Number of requests whose photos are being processed."""
        return self._working

    @property
    def queued(self) -> int:
        """Number of admitted requests that wait for a thread."""
        return max(0, self._admitted - self._working)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold a place for one request while the block runs.

        Raises:
            Unavailable: all places are taken.
        """
        with self._lock:
            if self._admitted >= self.at_once + self.waiting:
                # By then half of the queue is gone, and others come back as well.
                wait = math.ceil(self._seconds * self._admitted / self.at_once / 2)
                wait = min(max(wait, 1), _LONGEST_WAIT)
                raise Unavailable("The server is busy. Try again in a moment.", retry_after=wait)
            self._admitted += 1
        try:
            yield
        finally:
            with self._lock:
                self._admitted -= 1

    def do(self, function: Callable, *arguments):
        """Run `function(*arguments)` in a thread and return its result, or raise its error."""
        with self._lock:
            if len(self._threads) < self.at_once:
                self._start_thread()
        done: Future = Future()
        self._jobs.put((done, function, arguments))
        try:
            return done.result()
        finally:
            # The traceback of an error refers to this frame. Without `del` the frame would in turn
            # keep the error and the photo in memory.
            del done, arguments

    def close(self) -> None:
        """End each thread after its current job."""
        for _ in self._threads:
            self._jobs.put(None)

    def _start_thread(self) -> None:
        # A daemon, because a job that never ends must not keep the process alive.
        name = f"fer-study-work-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._run(*job)
            del job  # otherwise the last photo stays in memory until the next job

    def _run(self, done: Future, function: Callable, arguments: tuple) -> None:
        with self._lock:
            self._working += 1
        began = time.monotonic()
        try:
            result = function(*arguments)
        except BaseException as problem:
            self._end_job(began)
            done.set_exception(problem)
            del done, arguments  # as in `do`
        else:
            self._end_job(began)
            done.set_result(result)

    def _end_job(self, began: float) -> None:
        with self._lock:
            self._working -= 1
            self._seconds += _NEWEST * (time.monotonic() - began - self._seconds)
