"""Recognitions that clients ask for: so many at once, so many waiting, and no more."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue

WAITING = 16


class Unavailable(Exception):  # noqa: N818 (a name that reads as what happened)
    """Something that the server has, but not at this moment: a 503.

    Args:
        detail: what there is too much of, for the client.
        retry_after: seconds until asking again makes sense.
    """

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Workers:
    """A few threads that do all the recognising.

    They are few for the sake of memory, not of speed: a face detector keeps buffers for each thread that ever
    called it, and a decoded photo of 225 million pixels takes 675 MB.

    Args:
        at_once: number of threads; the processor cores when None.
        waiting: how many requests may be admitted beyond that.
    """

    def __init__(self, at_once: int | None = None, waiting: int = WAITING) -> None:
        self.at_once = at_once or os.cpu_count() or 1
        self.waiting = waiting
        self._lock = threading.Lock()
        self._admitted = self._working = 0
        self._jobs: SimpleQueue = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def working(self) -> int:
        """Recognitions that are running now."""
        return self._working

    @property
    def queued(self) -> int:
        """Requests that are admitted and whose work has not begun."""
        return max(0, self._admitted - self._working)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for one request while the block runs.

        Raises:
            Unavailable: all places are taken.
        """
        with self._lock:
            if self._admitted >= self.at_once + self.waiting:
                raise Unavailable(
                    "The server has all the work it takes. Try again in a moment.", retry_after=1
                )
            self._admitted += 1
        try:
            yield
        finally:
            with self._lock:
                self._admitted -= 1

    def do(self, function: Callable, *arguments):
        """What `function(*arguments)` gives or raises, done by one of the threads when its turn comes."""
        with self._lock:
            if len(self._threads) < self.at_once:
                # Daemons: a recognition that never ends must not keep the process from ending.
                name = f"fer-study-work-{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
                self._threads[-1].start()
        done: Future = Future()
        self._jobs.put((done, function, arguments))
        try:
            return done.result()
        finally:
            del (
                done,
                arguments,
            )  # an error's traceback holds this frame, and would hold itself and the photo with it

    def close(self) -> None:
        """End the threads, each after what it is doing."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._one(*job)
            del job  # else the last photo stays in memory until the next one comes

    def _one(self, done: Future, function: Callable, arguments: tuple) -> None:
        with self._lock:
            self._working += 1
        try:
            answer = function(*arguments)
        except BaseException as problem:
            self._end_one()
            done.set_exception(problem)
            del done, arguments  # as in `do`
        else:
            self._end_one()
            done.set_result(answer)

    def _end_one(self) -> None:
        with self._lock:
            self._working -= 1
