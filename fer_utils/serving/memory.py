"""The memory of photos in work: how much they may take together, and its return to the system."""

import ctypes
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

MAX_MEMORY = 320_000_000
"""Most memory in bytes for the photos in work together, and so for one photo. A PNG of 45 million
pixels needs as much, or a HEIC of 24 million. JPEGs need less, because they are decoded smaller."""

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of <malloc.h>
_MAPPED = 2**20  # bytes; the memory of a larger array goes back to the system with the array
_LARGE = 32 * 2**20  # bytes; memory of smaller photos is soon used again


class Memory:
    """Memory that the photos in work share.

    Args:
        most: bytes that they may take together.
    """

    def __init__(self, most: int = MAX_MEMORY) -> None:
        self.most = most
        self._held = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self._trim = _glibc("malloc_trim")

    @contextmanager
    def holding(self, needed: int) -> Iterator[None]:
        """Wait until `needed` bytes are free, and hold them while the block runs.

        More than `most` bytes are free as soon as nothing else is held. Those who wait come in
        turn; otherwise many small photos would keep a large one waiting for ever.
        """
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(
                lambda: (
                    self._waiting[0] is turn
                    and (not self._held or self._held + needed <= self.most)
                )
            )
            self._waiting.popleft()
            self._held += needed
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held -= needed
                self._changed.notify_all()
            if needed >= _LARGE and self._trim:
                # glibc keeps what a large photo took, for good: after three photos of 45 million
                # pixels a server of 106 MB had 769.
                self._trim(0)


def map_large_arrays() -> None:
    """Make glibc return the memory of large arrays as soon as they end; without effect elsewhere.

    glibc raises its threshold with the first large array, up to 32 MiB, and keeps all below it. The
    setting holds for the whole process, so only a process of our own may call this.
    """
    mallopt = _glibc("mallopt")
    if mallopt:
        mallopt(_MMAP_THRESHOLD, _MAPPED)


def _glibc(name: str):
    """Return a function of glibc's allocator; None on systems with another one."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError, TypeError):  # TypeError on Windows
        return None
