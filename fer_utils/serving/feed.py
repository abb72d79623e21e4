"""The annotated stream of the server's camera, or of a video file, for any number of viewers.

One thread reads, recognises, tracks and draws for all viewers. It starts with the first viewer and
ends with the last one, which releases the camera. Every viewer receives the newest frame, so a
slow viewer misses frames but does not lag behind.

A file plays at its own frame rate. Frames are skipped if the recogniser is too slow for that rate.
At the end of the file the stream ends for all viewers, and the next viewer starts it again.
"""

import logging
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.annotation import draw_on_frame
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.tracking import Tracker
from fer_utils.recognition.video_files import is_video, readable_name
from fer_utils.serving.work import Unavailable

_logger = logging.getLogger(__name__)

VIEWERS = 8
"""Largest number of simultaneous viewers. Each one holds a connection and a thread."""

BOUNDARY = "frame"
"""Boundary between the frames of the multipart stream."""

_LONGER_SIDE = 1280  # pixels of the longer side of a sent frame; larger frames are scaled down
_QUALITY = 80  # JPEG quality of a sent frame
_FRAME_RATE = 25.0  # frames a second, for files that contain no plausible rate
_RETRY_AFTER = 5  # seconds
_FIRST_FRAME = 15.0  # seconds that a viewer waits for the first frame; cameras start slowly
_RELEASE = 2.0  # seconds that closing waits for the reader
# Seconds without a new frame after which the last one is sent again. Only sending reveals that a
# viewer has left.
_REPEAT = 5.0


class Feed:
    """A camera or a video file that viewers can watch.

    Args:
        source: index of a camera in OpenCV's order, or path of a video file.
        recognizer: finds and classifies the faces of each frame.
        most: largest number of simultaneous viewers.

    Raises:
        StudyError: the file is missing or OpenCV cannot read it. A camera is not opened before
            there is a viewer, so it raises nothing here.
    """

    def __init__(
        self, source: int | str | Path, recognizer: Recognizer, most: int = VIEWERS
    ) -> None:
        self.source = source
        self.most = most
        self._recognizer = recognizer
        self._lock = threading.Lock()
        self._viewers = 0
        self._closed = False
        self._reader: _Reader | None = None
        if not isinstance(source, int):
            _expect_video(Path(source))

    @property
    def viewers(self) -> int:
        """Current number of viewers."""
        return self._viewers

    def watch(self) -> "Viewer":
        """Return a new viewer whose first frame is available. The caller closes it.

        Raises:
            Unavailable: there are `most` viewers, the camera returns no picture, or the feed is
                closed.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("The server is stopping.", _RETRY_AFTER)
            if self._viewers >= self.most:
                raise Unavailable(f"All {self.most} places for viewers are taken.", _RETRY_AFTER)
            self._viewers += 1
            if self._reader is None or not self._reader.join():
                self._reader = _Reader(self.source, self._recognizer, previous=self._reader)
            viewer = Viewer(self, self._reader)
        try:
            viewer.wait_for_first()
        except BaseException:
            viewer.close()
            raise
        return viewer

    def close(self) -> None:
        """End the stream for all viewers and refuse new ones."""
        with self._lock:
            self._closed = True
            reader = self._reader
        if reader is not None:
            reader.end()
            reader.wait(_RELEASE)

    def _left(self, reader: "_Reader") -> None:
        with self._lock:
            self._viewers -= 1
        reader.leave()


class Viewer:
    """Iterator over the parts of a `multipart/x-mixed-replace` body, bytes, until the stream ends.

    It is a class because a generator that is closed before its first step skips its `finally`.
    """

    def __init__(self, feed: Feed, reader: "_Reader") -> None:
        self._feed = feed
        self._reader = reader
        self._last = 0  # number of the last frame that was sent
        self._begun = self._ended = self._left = False
        self._lock = threading.Lock()

    def wait_for_first(self) -> None:
        """Return as soon as there is a frame.

        Raises:
            Unavailable: no frame arrives.
        """
        number, _ = self._reader.newest(0, _FIRST_FRAME)
        if not number:
            reason = self._reader.trouble or "The camera returns no picture."
            raise Unavailable(reason, _RETRY_AFTER)

    def __iter__(self) -> "Viewer":
        return self

    def __next__(self) -> bytes:
        if self._left or self._ended:
            raise StopIteration
        if not self._begun:
            self._begun = True
            return f"--{BOUNDARY}\r\n".encode()
        self._last, frame = self._reader.newest(self._last, _REPEAT)
        if frame is None:
            self._ended = True
            return f"\r\n--{BOUNDARY}--\r\n".encode()
        # The boundary follows at once, because browsers wait for it before they show the frame.
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
        return head.encode() + frame + f"\r\n--{BOUNDARY}\r\n".encode()

    def close(self) -> None:
        """Leave the feed. A second call has no effect."""
        with self._lock:
            if self._left:
                return
            self._left = True
        self._feed._left(self._reader)


class _Reader:
    """One run of the reading thread, from its first viewer to its last or to the end of the file.

    `trouble` is the reason why there is no frame, in words for the client; "" if there is none.
    """

    def __init__(
        self, source: int | str | Path, recognizer: Recognizer, previous: "_Reader | None"
    ) -> None:
        self._source = source
        self._recognizer = recognizer
        self._previous = previous
        self._changed = threading.Condition()
        self._viewers = 1
        self._over = False
        self._number = 0
        self._frame: bytes | None = None
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="fer-study-feed", daemon=True)
        self._thread.start()

    def join(self) -> bool:
        """Add a viewer and return True, or return False if this run is over."""
        with self._changed:
            if not self._over:
                self._viewers += 1
            return not self._over

    def leave(self) -> None:
        """Remove a viewer. The run ends with the last one."""
        with self._changed:
            self._viewers -= 1
            if not self._viewers:
                self._over = True
                self._changed.notify_all()

    def end(self) -> None:
        """End the run."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, seconds: float | None) -> None:
        """Wait until the camera is released, at most this many seconds; without limit when None."""
        self._thread.join(seconds)

    def newest(self, last: int, patience: float) -> tuple[int, bytes | None]:
        """Return number and JPEG of the newest frame.

        Wait up to `patience` seconds for a frame after number `last`, then return the old one.
        The result is (0, None) if there was no frame at all. The JPEG is None if the run is over
        and frame `last` was its final one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._number > last, patience)
            over = self._over and self._number == last
            return self._number, None if over else self._frame

    def _run(self) -> None:
        if self._previous is not None:
            self._previous.wait(None)  # it holds the camera until then
            self._previous = None
        capture = None
        try:
            capture = _open(self._source)
            live = isinstance(self._source, int)
            if not capture.isOpened():
                self.trouble = f"The {'camera' if live else 'video'} cannot be opened."
            elif live:
                # With a longer buffer, frames would be old by the time they are read.
                capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
                self._show(capture, None)
            else:
                rate = capture.get(cv2.CAP_PROP_FPS)
                self._show(capture, rate if 0 < rate <= 240 else _FRAME_RATE)
        except Exception:
            self.trouble = "The reader failed. The cause is in the server's log."
            _logger.exception("the reader of /video_feed failed")
        finally:
            if capture is not None:
                capture.release()
            self.end()

    def _show(self, capture: cv2.VideoCapture, rate: float | None) -> None:
        """Publish frames until the run is over, at `rate` frames a second; None for a camera."""
        tracker = Tracker(threshold=self._recognizer.card["threshold"])
        start, position = time.monotonic(), 0
        while not self._over:
            if rate is not None and not self._keep_pace(capture, start, position, rate):
                position += 1  # skipped
                continue
            if self._over:
                return
            read, frame = capture.read()
            if not read:
                return
            now = time.monotonic() - start if rate is None else position / rate
            position += 1
            self._publish(_annotated(frame, self._recognizer, tracker, now))

    def _keep_pace(
        self, capture: cv2.VideoCapture, start: float, position: int, rate: float
    ) -> bool:
        """Wait until a file's next frame is due, or skip it and return False if it is overdue."""
        early = start + position / rate - time.monotonic()
        if early > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._over, early)
        # At the end of the file `grab` finds no frame. The result True lets `read` end the loop.
        return early > -1 / rate or not capture.grab()

    def _publish(self, frame: bytes) -> None:
        with self._changed:
            self._number += 1
            self._frame = frame
            self._changed.notify_all()


def _open(source: int | str | Path) -> cv2.VideoCapture:
    if isinstance(source, int):
        return cv2.VideoCapture(source)
    with readable_name(Path(source)) as name:
        return cv2.VideoCapture(name)


def _expect_video(path: Path) -> None:
    if not path.is_file():
        raise StudyError(f"{path}: expected a video file, found none. Name one with --video.")
    if is_video(path):
        capture = _open(path)
        read, _ = capture.read()
        capture.release()
        if read:
            return
    raise StudyError(
        f"{path}: expected a video, found a file that OpenCV cannot read. Convert it to MP4."
    )


def _annotated(frame: np.ndarray, recognizer: Recognizer, tracker: Tracker, time_s: float) -> bytes:
    """Return a frame of OpenCV, uint8 BGR (h, w, 3), as a JPEG with its faces drawn."""
    scale = _LONGER_SIDE / max(frame.shape[:2])
    if scale < 1:
        frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    drawn = draw_on_frame(photo, tracker.update(recognizer.recognize(photo), time_s))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
    )
    return jpeg.tobytes()
