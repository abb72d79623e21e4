"""The faces in a video file: one row for each face of each frame, and an annotated clip."""

import os
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.annotation import draw_on_frame
from fer_utils.recognition.clips import annotated_clip, expect_clip
from fer_utils.recognition.found import ROW, TrackedFace
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.tracking import Tracker
from fer_utils.recognition.video_files import VideoFile, is_video

__all__ = ["COLUMNS", "is_video", "recognize_video"]

COLUMNS = ("frame", "seconds", "track", *ROW)
"""Keys of a row, in order. Frames are numbered from 0 and tracks from 1."""

_Frame = tuple[float, np.ndarray | None]  # its time in seconds and its pixels


def recognize_video(
    recognizer: Recognizer,
    path: str | os.PathLike,
    *,
    annotate: str | os.PathLike | None = None,
    every: int = 1,
    tracker: Tracker | None = None,
    progress: bool = True,
) -> Iterator[dict]:
    """Recognise the faces in each frame of a video. Labels and numbers persist between frames.

    Each frame is read while the one before is recognised and drawn, so the memory does not depend
    on the length of the video. Frames are rotated upright according to the file. The readable part
    of a truncated or damaged file is recognised, and a warning about missing frames is logged.

    Args:
        recognizer: finds and classifies the faces.
        path: a video that OpenCV's FFmpeg can read.
        annotate: clip to write, with a box and a label for each face; None writes none. It has the
            video's frames, size and mean frame rate, and no sound. An odd width or height grows by
            one pixel, because codecs need even ones. The suffix is `.mp4` (MPEG-4: fast to write,
            for players but few browsers) or `.webm` (VP8: for browsers). The clip appears after the
            last row has been taken.
        every: recognise only each `every`-th frame. The other frames of an annotated clip show the
            faces that were found last.
        tracker: follows the faces; a new `Tracker` with the model's threshold when None.
        progress: whether to show a progress bar.

    Returns:
        An iterator over the rows, one for each face, in the order of the frames. Their keys are
        `COLUMNS`. `seconds` is the frame's time in the file, also if the frame rate varies.

    Raises:
        StudyError: the file is missing, is no video or has no readable frame, or an option is
            invalid. It is raised before the first row is taken.
    """
    if every < 1:
        raise StudyError(f"every: expected 1 or more, found {every}. Use 1 for each frame.")
    video = VideoFile(Path(path))
    clip = None if annotate is None else Path(annotate)
    if clip is not None:
        expect_clip(clip, reads=video.path)
    tracker = tracker or Tracker(threshold=recognizer.card["threshold"])
    return _rows(recognizer, video, clip, every, tracker, progress)


def _rows(
    recognizer: Recognizer,
    video: VideoFile,
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
        draw = None if clip is None else stack.enter_context(annotated_clip(clip, video.rate))
        faces: list[TrackedFace] = []
        # A clip contains every frame, so all frames are decoded for it.
        frames = stack.enter_context(closing(_ahead(video.frames(1 if draw else every))))
        for index, (seconds, frame) in enumerate(frames):
            recognised = index % every == 0
            if frame is not None:
                if recognised:
                    faces = tracker.update(recognizer.recognize(frame), seconds)
                if draw:
                    draw(draw_on_frame(frame, faces))
            bar.update()
            if recognised:
                yield from (_row(index, seconds, face) for face in faces)


def _ahead(frames: Iterator[_Frame]) -> Generator[_Frame]:
    """Yield the frames. A thread reads the next one while the last one is in use."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, frames, None)
        while (frame := following.result()) is not None:
            following = pool.submit(next, frames, None)
            yield frame


def _row(frame: int, seconds: float, face: TrackedFace) -> dict:
    place = {"frame": frame, "seconds": round(seconds, 6), "track": face.track}
    return place | face.as_row()
