"""Reading video files: which files are videos, and their frames."""

import itertools
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.heif import is_heif

_logger = logging.getLogger(__name__)

_QUICKTIME_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_QUICKTIME_OTHERS = (b"avif", b"avis", b"crx ", b"M4A ", b"M4B ", b"M4P ")  # pictures and sound
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"OggS",
    b"FLV",
    b"\x30\x26\xb2\x75",  # Windows Media
    *(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x00\x00\x01\xb0"),  # MPEG-1, 2 and 4
    # H.264 and H.265 without a container
    *(b"\x00\x00\x00\x01", b"\x00\x00\x01\x67", b"\x00\x00\x01\x40"),
    b"YUV4MPEG2",
    b"DKIF",
    b".RMF",
    b"\x06\x0e\x2b\x34",  # MXF
)


def is_video(path: Path) -> bool:
    """Whether the first bytes of a file are those of a video.

    FFmpeg cannot decide this. It opens still pictures, the covers of sound files, and text as
    videos of one frame.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] in _QUICKTIME_BOXES:
        return not is_heif(head) and head[8:12] not in _QUICKTIME_OTHERS
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    # A broadcast stream consists of packets of 188 bytes, which begin with 0x47. On Blu-ray discs
    # four more bytes precede each packet.
    for start, step in ((0, 188), (4, 192)):
        if head[start : start + 1] == b"\x47" == head[start + step : start + step + 1]:
            return True
    return head.startswith(_STARTS)


@contextmanager
def readable_name(path: Path) -> Iterator[str]:
    """Yield a name under which OpenCV can open the file.

    OpenCV accepts only UTF-8. File systems allow other names; such a file gets a temporary link.
    """
    try:
        name = str(path.resolve())
        name.encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"video{path.suffix if path.suffix.isascii() else ''}"
            link.symlink_to(path.resolve())
            yield str(link)
    else:
        yield name


class VideoFile:
    """The frames of a file, one after the other.

    Attributes:
        path: the file.
        rate: frames a second; 25 if the file contains no plausible rate.
        count: number of frames according to the file; None if it contains none.

    Raises:
        StudyError: the file is missing, is no video, or contains no frame that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():  # this also excludes addresses of streams, which OpenCV would open
            raise StudyError(f"{path}: expected a video file, found none. Name another file.")
        if not is_video(path):
            raise StudyError(
                f"{path}: expected a video, found {path.stat().st_size:,} bytes of something else. "
                "Name another file."
            )
        with readable_name(path) as name:
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        if not self._capture.isOpened():
            raise StudyError(
                f"{path}: expected a whole video, found one that was truncated before its index, "
                "or that OpenCV's FFmpeg cannot read. Copy it again, or convert it to MP4."
            )
        if not self._capture.grab():
            raise StudyError(
                f"{path}: expected a video, found one without a frame that can be read. "
                "Copy it again."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else 25.0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if count > 0 else None

    def frames(self, every: int) -> Iterator[tuple[float, np.ndarray | None]]:
        """Yield each frame's time in seconds and its pixels, uint8 RGB (h, w, 3).

        Only each `every`-th frame is decoded. The pixels of the others are None.
        """
        seconds, read = 0.0, 0
        for index in itertools.count():
            frame = None
            if index % every == 0:
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    break
                frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            # The times of damaged files may go back.
            seconds = max(seconds, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            read += 1
            yield seconds, frame
            if not self._capture.grab():
                break
        self._capture.release()
        # Some formats lack the number of frames. It is then estimated from the duration, with a
        # small error.
        if self.count and self.count - read > max(2, 0.02 * self.count):
            _logger.warning(
                "%s: expected %d frames, found %d. The file is damaged or truncated. "
                "The frames before the damage were recognised.",
                *(self.path, self.count, read),
            )
