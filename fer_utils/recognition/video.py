"""The faces in a video file: one row a face a frame, as CSV or Parquet, and an annotated clip."""

import csv
import itertools
import logging
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.annotation import draw_on_frame
from fer_utils.recognition.found import TrackedFace
from fer_utils.recognition.images import SOFTWARE, is_heif
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.tracking import Tracker
from fer_utils.storage import atomic_file, expect_replaceable

COLUMNS = (
    *("frame", "seconds", "track", "x", "y", "width", "height", "score", "emotion", "uncertain"),
    *EMOTIONS,
)
"""A row's keys in their order. frame and track are numbers, from 0 and 1; x, y, width and height pixels of the
upright frame; score is the detector's; each emotion's column is its probability."""

_CODECS = {".mp4": "mp4v", ".webm": "VP80"}
_ROW_GROUP = 10_000  # rows of a Parquet file that are held in memory at once

_QUICKTIME_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"OggS",
    b"FLV",
    b"\x30\x26\xb2\x75",  # Windows Media
    *(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x00\x00\x01\xb0"),  # MPEG-1, 2 and 4
    *(
        b"\x00\x00\x00\x01",
        b"\x00\x00\x01\x67",
        b"\x00\x00\x01\x40",
    ),  # H.264 and H.265, without a container
    b"YUV4MPEG2",
    b"DKIF",
    b".RMF",
    b"\x06\x0e\x2b\x34",  # MXF
)

_logger = logging.getLogger(__name__)


def recognize_video(
    recognizer: Recognizer,
    path: str | os.PathLike,
    *,
    annotate: str | os.PathLike | None = None,
    every: int = 1,
    tracker: Tracker | None = None,
    progress: bool = True,
) -> Iterator[dict]:
    """The faces in each frame of a video, with numbers and labels that hold from frame to frame.

    Frames are read, recognised and drawn one by one, so a long video needs no more memory than a short one. They
    are turned upright as the file says. What can be read of a file that is cut off or damaged is recognised, and a
    warning is logged if frames are missing.

    Args:
        recognizer: finds and classifies the faces.
        path: a video that OpenCV's FFmpeg reads.
        annotate: clip to write, with each face boxed and labelled; it has the video's frames, their size (an odd
            width or height gets one more pixel, which codecs ask for) and mean frame rate, and no sound. `.mp4`
            (MPEG-4, quick to write; players show it, most browsers do not) or `.webm` (VP8, which browsers show).
            It is there once the last row has been taken.
        every: recognise only each such frame. On an annotated clip the frames between show the faces found last.
        tracker: how faces are followed; a new `Tracker` with the model's threshold when None.
        progress: whether to show a progress bar.

    Returns:
        An iterator of rows with the keys `COLUMNS` and plain values, a face each, in the order of the frames.
        `seconds` is the frame's time in the file, rightly so when the frame rate varies.

    Raises:
        StudyError: at once, if there is no such file, it is no video, no frame can be read, or an option is wrong.
    """
    if every < 1:
        raise StudyError(f"every: expected 1 or more, found {every}. 1 recognises each frame.")
    video = _Video(Path(path))
    clip = None if annotate is None else Path(annotate)
    if clip is not None:
        if clip.suffix.lower() not in _CODECS:
            raise StudyError(
                f"{clip}: expected a clip's name that ends with {' or '.join(_CODECS)}. Name it so."
            )
        expect_replaceable(clip, "an annotated clip", _is_annotated_clip, reads=video.path)
    tracker = tracker or Tracker(threshold=recognizer.card["threshold"])
    return _recognize(recognizer, video, clip, every, tracker, progress)


def write_rows(rows: Iterable[dict], path: str | os.PathLike) -> int:
    """Write a video's rows as they come, as CSV or Parquet; the file is whole or not there at all.

    A CSV file has a header and one line a row. Both hold the same values; in Parquet, numbers and the truth values
    of `uncertain` have their types.

    Args:
        rows: from `recognize_video`; may be none.
        path: ends with `.csv` or `.parquet`. The latter needs pyarrow.

    Returns:
        How many rows were written.

    Raises:
        StudyError: at once, if the name ends otherwise or pyarrow is missing.
    """
    path = Path(path)
    write = {".csv": _write_csv, ".parquet": _write_parquet}.get(path.suffix.lower())
    if write is None:
        raise StudyError(f"{path}: expected a name that ends with .csv or .parquet. Name it so.")
    expect_replaceable(path, "a video's rows", _has_columns)
    return write(rows, path)


# --- reading ---


def is_video(path: Path) -> bool:
    """Whether a file is a video by its first bytes.

    FFmpeg would also open a still picture, a cover picture in a sound file, and text, and call each
    a video of a frame. So what a file is must be known before FFmpeg is asked.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if head[4:8] in _QUICKTIME_BOXES:
        sound = head[8:12] in (b"M4A ", b"M4B ", b"M4P ")
        return not (is_heif(head) or head[8:12] in (b"avif", b"avis", b"crx ") or sound)
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    # A stream for broadcast is packets of 188 bytes, on Blu-ray discs with four more before each.
    if any(
        head[at : at + 1] == b"\x47" == head[at + step : at + step + 1]
        for at, step in ((0, 188), (4, 192))
    ):
        return True
    return head.startswith(_VIDEO_STARTS)


@contextmanager
def readable_name(path: Path) -> Iterator[str]:
    """Give a name of the file that OpenCV can open, whatever bytes the file's own name has."""
    try:
        name = str(path.resolve())
        name.encode()
    except UnicodeEncodeError:
        # OpenCV takes UTF-8 only, and a file system has names that are none.
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"video{path.suffix if path.suffix.isascii() else ''}"
            link.symlink_to(path.resolve())
            yield str(link)
    else:
        yield name


class _Video:
    """A file's frames, one after the other, the first of them found readable already."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():  # and so no address of a camera or stream, which OpenCV would open
            raise StudyError(f"{path}: expected a video file, found none.")
        if not is_video(path):
            raise StudyError(
                f"{path}: expected a video, found {path.stat().st_size:,} bytes of something else."
            )
        with readable_name(path) as name:
            self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        if not self._capture.isOpened():
            raise StudyError(
                f"{path}: expected a whole video, found one that was cut off before its index, or "
                "that OpenCV's FFmpeg cannot read. Copy it again, or convert it to MP4."
            )
        if not self._capture.grab():
            raise StudyError(
                f"{path}: expected a video, found one without a frame that can be read. Copy it again."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = (
            rate if 0 < rate < 1000 else 25.0
        )  # frames a second; some files say nonsense or nothing
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if count > 0 else None  # frames, as far as the file says

    def frames(self, every: int) -> Iterator[tuple[float, np.ndarray | None]]:
        """Seconds of each frame, and each `every`-th one, uint8 RGB (h, w, 3); None for those between."""
        seconds, read = 0.0, 0
        for index in itertools.count():
            frame = None
            if index % every == 0:
                decoded, frame = self._capture.retrieve()
                if not decoded:
                    break
                frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            # Damaged files have times that go back.
            seconds = max(seconds, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            read += 1
            yield seconds, frame
            if not self._capture.grab():
                break
        self._capture.release()
        # Where a format does not keep the number, it is estimated from the duration, and a little off.
        if self.count and self.count - read > max(2, 0.02 * self.count):
            _logger.warning(
                "%s: expected %d frames, found %d. It is damaged or was cut off; what could be read was recognised.",
                *(self.path, self.count, read),
            )


def _recognize(
    recognizer: Recognizer,
    video: _Video,
    clip: Path | None,
    every: int,
    tracker: Tracker,
    progress: bool,
) -> Iterator[dict]:
    from tqdm.auto import tqdm

    with ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(
                desc=video.path.name,
                total=video.count,
                unit=" frames",
                disable=not progress,
                dynamic_ncols=True,
            )
        )
        draw = None if clip is None else stack.enter_context(_clip(clip, video.rate))
        faces: list[TrackedFace] = []
        # A clip needs every frame, so then all are decoded.
        for index, (seconds, frame) in enumerate(video.frames(1 if draw else every)):
            recognised = index % every == 0
            if frame is not None:  # one that was asked for
                if recognised:
                    faces = tracker.update(recognizer.recognize(frame), seconds)
                if draw:
                    draw(draw_on_frame(frame, faces))
            bar.update()
            if recognised:
                yield from (_row(index, seconds, face) for face in faces)


def _row(frame: int, seconds: float, face: TrackedFace) -> dict:
    told = face.as_dict()
    return {
        "frame": frame,
        "seconds": round(seconds, 6),
        "track": told["track"],
        **told["box"],
        "score": told["score"],
        "emotion": told["emotion"],
        "uncertain": told["uncertain"],
        **told["probabilities"],
    }


# --- writing ---


@contextmanager
def _clip(path: Path, rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """Give what adds a frame, uint8 RGB (h, w, 3), to a clip that takes its place when the block ends without error."""
    codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    writer = cv2.VideoWriter()
    with atomic_file(path) as temporary, readable_name(temporary) as name:

        def write(frame: np.ndarray) -> None:
            # OpenCV would cut an odd column or row off.
            height, width = frame.shape[:2]
            frame = cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            size = frame.shape[1::-1]
            if not writer.isOpened() and not writer.open(name, cv2.CAP_FFMPEG, codec, rate, size):
                raise StudyError(
                    f"{path}: OpenCV could not start a clip of {size[0]} x {size[1]} pixels there."
                )
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

        try:
            yield write
        finally:
            writer.release()
        with temporary.open("ab") as file:
            file.write(_mark(path))


def _mark(clip: Path) -> bytes:
    """What ends an annotated clip, so that it is known as this project's: a part that players pass over."""
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


def _has_columns(path: Path) -> bool:
    """Whether the file is a table that `write_rows` wrote."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4)
        if start == b"PAR1":  # Parquet names its columns at the end
            file.seek(max(0, path.stat().st_size - 65536))
            end = file.read()
            return all(column.encode() in end for column in COLUMNS)
        return (start + file.readline()).decode(errors="replace").strip() == ",".join(COLUMNS)


def _write_csv(rows: Iterable[dict], path: Path) -> int:
    count = 0
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_parquet(rows: Iterable[dict], path: Path) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise StudyError(
            f"{path}: Parquet needs pyarrow, which is not installed. Install it with `pip install pyarrow`, or name "
            "a .csv file."
        ) from None
    types = dict.fromkeys(("frame", "track", "x", "y", "width", "height"), pyarrow.int64())
    types |= {"emotion": pyarrow.string(), "uncertain": pyarrow.bool_()}
    schema = pyarrow.schema([(column, types.get(column, pyarrow.float64())) for column in COLUMNS])
    rows, count = iter(rows), 0
    with atomic_file(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        while group := list(itertools.islice(rows, _ROW_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))
            count += len(group)
    return count
