"""The server's own camera, or a video file, as one annotated stream for any number of viewers.

One thread reads, recognises, follows and draws, however many watch. It begins with the first viewer and ends with
the last, and then the camera is released. A viewer gets the newest frame there is whenever it can take one, so a
slow one misses frames and never lags. A file is played at its own frame rate; frames for which there is no time are
passed over. At the end of the file the stream ends for all who watch, and whoever comes next sees it from its start.
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
from fer_utils.recognition.video import is_video, readable_name
from fer_utils.serving.work import Unavailable

_logger = logging.getLogger(__name__)

VIEWERS = 8
"""Most viewers at once: each holds a connection and a thread."""

BOUNDARY = "frame"

_LONGER_SIDE = 1280  # of the frames sent, in pixels; larger ones are scaled down
_QUALITY = 80  # of their JPEG
_FRAME_RATE = 25.0  # where a file does not tell its own
_RETRY_AFTER = 5  # seconds
_FIRST_FRAME = 15.0  # seconds a viewer waits for it: a camera may take its time to wake
_RELEASE = 2.0  # seconds that closing waits for the reader
_REPEAT = 5.0  # seconds without a new frame after which the last is sent again, to notice a viewer who left


class Feed:
    """A camera or a video file to be watched.

    Args:
        source: index of a camera, as OpenCV counts them, or path of a video file.
        recognizer: looks at each frame.
        most: viewers at once.

    Raises:
        StudyError: the file is missing or OpenCV cannot read it. A camera is first opened for a viewer.
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
        self._showing: _Showing | None = None
        if not isinstance(source, int):
            if not Path(source).is_file():
                raise StudyError(
                    f"{source}: expected a video file, found none. Name one with --video."
                )
            read = is_video(Path(source))
            if read:
                with readable_name(Path(source)) as name:
                    capture = cv2.VideoCapture(name)
                    read, _ = capture.read()
                    capture.release()
            if not read:
                raise StudyError(
                    f"{source}: expected a video, found none that OpenCV reads. Convert it to MP4."
                )

    @property
    def viewers(self) -> int:
        """How many watch now."""
        return self._viewers

    def watch(self) -> "Viewer":
        """A new viewer, who has the first frame; to be closed.

        Raises:
            Unavailable: there are `most` viewers, the camera gives no picture, or the feed is closed.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("The server is stopping.", _RETRY_AFTER)
            if self._viewers >= self.most:
                raise Unavailable(f"All {self.most} places for viewers are taken.", _RETRY_AFTER)
            self._viewers += 1
            if self._showing is None or not self._showing.join():
                self._showing = _Showing(self.source, self._recognizer, before=self._showing)
            viewer = Viewer(self, self._showing)
        try:
            viewer.wait_for_first()
        except BaseException:
            viewer.close()
            raise
        return viewer

    def close(self) -> None:
        """End the stream for all viewers, and let nobody in any more."""
        with self._lock:
            self._closed = True
            showing = self._showing
        if showing is not None:
            showing.end()
            showing.wait(_RELEASE)

    def _left(self, showing: "_Showing") -> None:
        with self._lock:
            self._viewers -= 1
        showing.leave()


class Viewer:
    """Iterates over the parts of a `multipart/x-mixed-replace` answer, bytes, until the stream ends.

    A class and not a generator: a generator that is closed before it began does not run its `finally`.
    """

    def __init__(self, feed: Feed, showing: "_Showing") -> None:
        self._feed = feed
        self._showing = showing
        self._seen = 0
        self._begun = self._ended = self._left = False
        self._lock = threading.Lock()

    def wait_for_first(self) -> None:
        """Return once there is a frame.

        Raises:
            Unavailable: none comes.
        """
        number, _ = self._showing.newest(0, _FIRST_FRAME)
        if not number:
            raise Unavailable(self._showing.trouble or "The camera gives no picture.", _RETRY_AFTER)

    def __iter__(self) -> "Viewer":
        return self

    def __next__(self) -> bytes:
        if self._left or self._ended:
            raise StopIteration
        if not self._begun:
            self._begun = True
            return f"--{BOUNDARY}\r\n".encode()
        self._seen, frame = self._showing.newest(self._seen, _REPEAT)
        if frame is None:
            self._ended = True
            return f"\r\n--{BOUNDARY}--\r\n".encode()
        # With the boundary after it, since that is where a browser sees that the frame is whole and shows it.
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
        return head.encode() + frame + f"\r\n--{BOUNDARY}\r\n".encode()

    def close(self) -> None:
        """Leave. Doing it twice does no harm."""
        with self._lock:
            if self._left:
                return
            self._left = True
        self._feed._left(self._showing)


class _Showing:
    """One run of the reader, from its first viewer to its last or to the end of the file."""

    def __init__(
        self, source: int | str | Path, recognizer: Recognizer, before: "_Showing | None"
    ) -> None:
        self._source = source
        self._recognizer = recognizer
        self._before = before
        self._changed = threading.Condition()
        self._viewers = 1
        self._over = False
        self._number = 0
        self._frame: bytes | None = None
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="fer-study-feed", daemon=True)
        self._thread.start()

    def join(self) -> bool:
        """One viewer more; False where it is over."""
        with self._changed:
            if not self._over:
                self._viewers += 1
            return not self._over

    def leave(self) -> None:
        with self._changed:
            self._viewers -= 1
            if not self._viewers:
                self._over = True
                self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait(self, seconds: float | None) -> None:
        """Return when the camera is released, or after these seconds (None: however long)."""
        self._thread.join(seconds)

    def newest(self, seen: int, patience: float) -> tuple[int, bytes | None]:
        """Number and JPEG of the newest frame: one later than `seen`, or, after `patience` seconds, the same again.

        (0, None) where there was none in that time; None for the frame once all is over and the last was seen.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._number > seen, patience)
            over = self._over and self._number == seen
            return self._number, None if over else self._frame

    def _run(self) -> None:
        if self._before is not None:
            self._before.wait(None)  # it has the camera until then
            self._before = None
        capture = None
        try:
            live = isinstance(self._source, int)
            if isinstance(self._source, int):
                capture = cv2.VideoCapture(self._source)
            else:
                with readable_name(Path(self._source)) as name:
                    capture = cv2.VideoCapture(name)
            if not capture.isOpened():
                self.trouble = (
                    "The camera cannot be opened." if live else "The video cannot be opened."
                )
                return
            if live:
                capture.set(
                    cv2.CAP_PROP_BUFFERSIZE, 1
                )  # else frames wait in it, and are old when they are read
                self._show(capture, None)
            else:
                rate = capture.get(cv2.CAP_PROP_FPS)
                self._show(capture, rate if 0 < rate <= 240 else _FRAME_RATE)
        except Exception:
            self.trouble = "The reader failed; the server's log says why."
            _logger.exception("the reader of /video_feed failed")
        finally:
            if capture is not None:
                capture.release()
            self.end()

    def _show(self, capture: cv2.VideoCapture, rate: float | None) -> None:
        tracker = Tracker(threshold=self._recognizer.card["threshold"])
        start, position = time.monotonic(), 0
        while not self._over:
            if rate is not None and not self._keep_pace(capture, start, position, rate):
                position += 1  # passed over
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
        """Wait until a file's next frame is due. False where its time is over already: it is passed over then."""
        early = start + position / rate - time.monotonic()
        if early > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._over, early)
        # Where `grab` finds no frame, `read` will find the end.
        return early > -1 / rate or not capture.grab()

    def _publish(self, frame: bytes) -> None:
        with self._changed:
            self._number += 1
            self._frame = frame
            self._changed.notify_all()


def _annotated(frame: np.ndarray, recognizer: Recognizer, tracker: Tracker, time_s: float) -> bytes:
    """A frame as OpenCV reads it, uint8 BGR (h, w, 3), as a JPEG with its faces drawn."""
    scale = _LONGER_SIDE / max(frame.shape[:2])
    if scale < 1:
        frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    drawn = draw_on_frame(photo, tracker.update(recognizer.recognize(photo), time_s))
    _, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
    )
    return jpeg.tobytes()
