"""Tracking of faces in a video, with labels that do not flicker."""

import itertools
import math

import numpy as np

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.found import Box, RecognizedFace, TrackedFace

# Smallest intersection over union (IoU) of the same face. A face that moves by a quarter of its
# width between two frames has an IoU of 0.6. Two people side by side have 0. Below this limit,
# only the distance of the centres is used.
_LEAST_OVERLAP = 0.2
_FARTHEST = 1.0  # largest distance of a face from its expected place, in sizes of the face
_RESIZED = 2.0  # largest change of a face's size, as a factor
_VELOCITY = 0.2  # seconds, time constant of a track's velocity; single boxes jitter too much
_FORESEEN = 0.5  # seconds during which a missed face is assumed to move on
_MOVED = 0.15  # change of a box, in its own size, above which the face has moved; less is jitter


class Tracker:
    """Tracks the faces of one video or camera. Only one thread at a time may use an instance.

    A face continues the track whose expected place it overlaps most. If it overlaps none, it
    continues the nearest track of about its size. The expected place is the last one plus the
    track's velocity times the elapsed time, so two people who cross keep their numbers. All time
    constants are in seconds, so the results do not depend on the frame rate.

    Args:
        threshold: a face is `uncertain` if its largest probability is below this; the threshold in
            the recogniser's card.
        smoothing: time constant in seconds of the probabilities' exponential moving average. A
            frame of this age has 1/e of the newest frame's weight. 0 uses each frame alone. In a
            clip of one person (4.6 s), the released model's labels changed 9 times with Haar's
            boxes and 22 times with YuNet's, without smoothing and margin. With 0.3 s they changed
            twice. 0.5 s does not reduce this further and delays every change.
        margin: a new label must be more probable than the present one by this much.
        steadying: time constant in seconds of the boxes' average, which removes the detector's
            jitter. Real movements are followed at once. 0 leaves the boxes unchanged.
        hold: a face that is missed for less than this many seconds keeps its number. Haar's
            cascade misses a face that looks down, often for half a second.
    """

    def __init__(
        self,
        *,
        threshold: float,
        smoothing: float = 0.3,
        margin: float = 0.05,
        steadying: float = 0.1,
        hold: float = 1.0,
    ) -> None:
        self.threshold = threshold
        self.smoothing = smoothing
        self.margin = margin
        self.steadying = steadying
        self.hold = hold
        self._tracks: list[_Track] = []
        self._numbers = itertools.count(1)
        self._seconds = -math.inf  # time of the latest frame

    def update(self, faces: list[RecognizedFace], seconds: float) -> list[TrackedFace]:
        """Return the faces of the next frame in their order, with numbers and smoothed values.

        Args:
            faces: the recogniser's faces of the frame; may be empty.
            seconds: the frame's time from any start. A time before that of the last frame starts a
                new video, whose faces get new numbers.
        """
        if seconds < self._seconds:
            self._tracks = []
        # A face of the previous frame was not missed, even if that frame is longer ago than `hold`.
        self._tracks = [
            track
            for track in self._tracks
            if track.seen == self._seconds or seconds - track.seen < self.hold
        ]
        self._seconds = seconds
        tracks = self._match(faces)
        for index, face in enumerate(faces):
            if index in tracks:
                tracks[index].follow(face, seconds, self)
            else:
                tracks[index] = _Track(next(self._numbers), face, seconds)
                self._tracks.append(tracks[index])
        return [tracks[index].as_face(face, self.threshold) for index, face in enumerate(faces)]

    def _match(self, faces: list[RecognizedFace]) -> dict[int, "_Track"]:
        """Return the tracks of those faces that continue one, by the face's index."""
        pairs = []
        for track in self._tracks:
            expected = track.expected(self._seconds)
            for index, face in enumerate(faces):
                box = _edges(face.box)
                overlap, distance, resized = _overlap(expected, box), *_apart(expected, box)
                if overlap >= _LEAST_OVERLAP:
                    pairs.append((-overlap, track.number, index, track))
                elif distance < _FARTHEST and resized < _RESIZED:
                    pairs.append((distance, track.number, index, track))
        # Overlapping pairs have negative keys, so they come first, the largest overlap before all.
        matched: dict[int, _Track] = {}
        taken = set()
        for _, number, index, track in sorted(pairs, key=lambda pair: pair[:3]):
            if index not in matched and number not in taken:
                matched[index] = track
                taken.add(number)
        return matched


class _Track:
    """One face over time. Boxes are float64 (4,): left, top, right, bottom."""

    def __init__(self, number: int, face: RecognizedFace, seconds: float) -> None:
        self.number = number
        self.seen = seconds
        self.box = self.steady = _edges(face.box)
        self.velocity = np.zeros(2)  # of the centre, in pixels a second
        self.probabilities = face.probabilities.astype(np.float64)
        self.emotion = face.emotion

    def expected(self, seconds: float) -> np.ndarray:
        """Return the box that the face should have at this time."""
        return self.box + np.tile(self.velocity, 2) * min(seconds - self.seen, _FORESEEN)

    def follow(self, face: RecognizedFace, seconds: float, tracker: Tracker) -> None:
        """Continue the track with a face of a later frame."""
        passed, box = seconds - self.seen, _edges(face.box)
        if passed > 0:
            velocity = (_centre(box) - _centre(self.box)) / passed
            self.velocity += _weight(passed, _VELOCITY) * (velocity - self.velocity)
        # The new box is an average of boxes inside the frame, so it lies inside as well. Its weight
        # grows with the change, up to 1 for a real movement.
        change = np.abs(box - self.steady).max() / max(_size(box), 1)
        weight = max(_weight(passed, tracker.steadying), min(1, change / _MOVED))
        self.steady = self.steady + weight * (box - self.steady)
        weight = _weight(passed, tracker.smoothing)
        self.probabilities += weight * (face.probabilities - self.probabilities)
        best = int(self.probabilities.argmax())
        present = self.probabilities[EMOTIONS.index(self.emotion)]
        if self.probabilities[best] >= present + tracker.margin:
            self.emotion = EMOTIONS[best]
        self.box, self.seen = box, seconds

    def as_face(self, face: RecognizedFace, threshold: float) -> TrackedFace:
        """Return the face with the number and the smoothed values of its track."""
        left, top, right, bottom = (round(float(edge)) for edge in self.steady)
        return TrackedFace(
            box=Box(left, top, right - left, bottom - top),
            score=face.score,
            emotion=self.emotion,
            probabilities=self.probabilities.astype(np.float32),
            uncertain=bool(self.probabilities.max() < threshold),
            track=self.number,
        )


def _weight(passed: float, constant: float) -> float:
    """Return the weight of a value in an exponential average, `passed` seconds after the last."""
    return 1.0 if constant == 0 else -math.expm1(-passed / constant)


def _edges(box: Box) -> np.ndarray:
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height], np.float64)


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _size(box: np.ndarray) -> float:
    return float(np.sqrt(np.prod(box[2:] - box[:2])))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two boxes."""
    shared = np.prod(np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])))
    return float(shared / max(_size(a) ** 2 + _size(b) ** 2 - shared, 1e-9))


def _apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the distance of two boxes' centres in sizes of the smaller, and their size ratio."""
    small, large = sorted((_size(a), _size(b)))
    small = max(small, 1e-9)
    return float(np.linalg.norm(_centre(a) - _centre(b))) / small, large / small
