"""Annotated clips: writing them, and telling them from other videos."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.images import SOFTWARE
from fer_utils.recognition.video_files import readable_name
from fer_utils.storage import atomic_file, expect_replaceable

_CODECS = {".mp4": "mp4v", ".webm": "VP80"}


def expect_clip(clip: Path, reads: Path) -> None:
    """Check that an annotated clip of the video `reads` may be written to `clip`.

    Raises:
        StudyError: the name has another suffix than .mp4 and .webm, or the clip would replace a
            file that fer-study did not make.
    """
    if clip.suffix.lower() not in _CODECS:
        suffixes = " or ".join(_CODECS)
        raise StudyError(f"{clip}: expected a clip's name that ends with {suffixes}. Rename it.")
    expect_replaceable(clip, "an annotated clip", _is_annotated_clip, reads=reads)


@contextmanager
def annotated_clip(path: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends a frame, uint8 RGB (h, w, 3), to a clip.

    The clip appears at `path` when the block ends without an error.

    Args:
        path: name of the clip, checked by `expect_clip`.
        rate: frames a second.
    """
    codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    writer = cv2.VideoWriter()
    with atomic_file(path) as temporary, readable_name(temporary) as name:

        def write(frame: np.ndarray) -> None:
            # OpenCV would drop an odd column or row.
            height, width = frame.shape[:2]
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            size = frame.shape[1::-1]
            if not writer.isOpened() and not writer.open(name, cv2.CAP_FFMPEG, codec, rate, size):
                raise StudyError(
                    f"{path}: expected a place for a clip of {size[0]} x {size[1]} pixels, found "
                    "one where OpenCV cannot start it. Name another place."
                )
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

        try:
            yield write
        finally:
            writer.release()
        with temporary.open("ab") as file:
            file.write(_mark(path))


def _mark(clip: Path) -> bytes:
    """Return the last bytes of an annotated clip, which identify it. Players ignore this part."""
    note = SOFTWARE.encode()
    if clip.suffix.lower() == ".webm":
        return b"\xec" + bytes([0x80 | len(note)]) + note  # a Void element of EBML
    return struct.pack(">I4s", 8 + len(note), b"free") + note  # a free box of ISO/IEC 14496-12


def _is_annotated_clip(path: Path) -> bool:
    if not path.is_file():
        return False
    mark = _mark(path)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(mark)))
        return file.read() == mark
