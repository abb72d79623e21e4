"""Faces followed from frame to frame, with steady labels: what a video needs beyond single photos."""

import itertools
import math

import numpy as np

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.found import Box, RecognizedFace, TrackedFace

# A face that moves by a quarter of its width from frame to frame still has an IoU of 0.6 with where it was; two
# people side by side have none. Under this, only the distance of the centres tells.
_LEAST_OVERLAP = 0.2
# Farthest that a face can be from where it was expected, in its own sizes, and the most its size can have changed.
_FARTHEST, _RESIZED = 1.0, 2.0
_VELOCITY = (
    0.2  # time constant of a track's velocity, seconds: single boxes jitter too much to tell it
)
_FORESEEN = 0.5  # longest that a face is taken to move on as it did, seconds
_MOVED = 0.15  # a box that moved or changed by more than this, in its own sizes, has really moved


class Tracker:
    """Follows the faces of one video or camera. For one thread at a time.

    A face is taken for the one whose expected place it overlaps most, or, where none overlaps, for the nearest
    of about its size; the expected place is the last one, moved on with the face's velocity, so that two people
    who cross keep their numbers. Everything in time is measured in seconds, so the frame rate changes nothing.

    Args:
        threshold: largest probability under which a face is `uncertain`: the recogniser's, in its card.
        smoothing: time constant of the probabilities' exponential moving average, in seconds: how long ago a
            frame counts 1/e of the newest. 0 takes each frame for itself. In a clip of one person, 4.6 s long, the
            released model's labels changed 9 times (Haar's boxes) or 22 (YuNet's) without smoothing and margin, and
            twice with 0.3 s; 0.5 s left as many and is later with each.
        margin: how much more probable than the present label another emotion must be to take its place.
        steadying: time constant in seconds of the boxes' average, which calms the detector's jitter. A face that
            really moves is followed at once. 0 leaves the boxes as they are.
        hold: a face that is missed for less than this, in seconds, keeps its number. Haar's cascade misses a face
            that looks down for half a second at a time.
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
        """The faces of the next frame, in their order, with their numbers and what is known of them over time.

        Args:
            faces: what the recogniser found in the frame; may be empty.
            seconds: the frame's time, from any start. A time before the last frame's starts a new video: no face
                of it is taken for one of the old video.
        """
        if seconds < self._seconds:
            self._tracks = []
        # A face of the frame before is looked for however long ago that was: then nobody missed it.
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
        """The track of each face that has one, by the face's index: the surest pairs first."""
        pairs = []
        for track in self._tracks:
            expected = track.expected(self._seconds)
            for index, face in enumerate(faces):
                box = _edges(face.box)
                overlap, distance, resized = _overlap(expected, box), *_apart(expected, box)
                if overlap >= _LEAST_OVERLAP:
                    pairs.append((-overlap, track.number, index, track))
                elif distance < _FARTHEST and resized < _RESIZED:
                    pairs.append((distance, track.number, index, track))  # after all that overlap
        found: dict[int, _Track] = {}
        taken = set()
        for _, number, index, track in sorted(pairs, key=lambda pair: pair[:3]):
            if index not in found and number not in taken:
                found[index] = track
                taken.add(number)
        return found


class _Track:
    """One face over time. Boxes are float64 (4,): left, top, right, bottom."""

    def __init__(self, number: int, face: RecognizedFace, seconds: float) -> None:
        self.number = number
        self.seen = seconds
        self.box = self.steady = _edges(face.box)
        self.velocity = np.zeros(2)  # of the centre, pixels a second
        self.probabilities = face.probabilities.astype(np.float64)
        self.emotion = face.emotion

    def expected(self, seconds: float) -> np.ndarray:
        """Where its box should be by now."""
        return self.box + np.tile(self.velocity, 2) * min(seconds - self.seen, _FORESEEN)

    def follow(self, face: RecognizedFace, seconds: float, how: Tracker) -> None:
        passed, box = seconds - self.seen, _edges(face.box)
        if passed > 0:
            velocity = (_centre(box) - _centre(self.box)) / passed
            self.velocity += _weight(passed, _VELOCITY) * (velocity - self.velocity)
        # Both are averages of boxes inside the frame, and so inside it.
        change = np.abs(box - self.steady).max() / max(_size(box), 1)
        self.steady = self.steady + max(_weight(passed, how.steadying), min(1, change / _MOVED)) * (
            box - self.steady
        )
        self.probabilities += _weight(passed, how.smoothing) * (
            face.probabilities - self.probabilities
        )
        best = int(self.probabilities.argmax())
        if (
            self.probabilities[best]
            >= self.probabilities[EMOTIONS.index(self.emotion)] + how.margin
        ):
            self.emotion = EMOTIONS[best]
        self.box, self.seen = box, seconds

    def as_face(self, face: RecognizedFace, threshold: float) -> TrackedFace:
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
    """What the newest value counts in an exponential average, `passed` seconds after the one before."""
    return 1.0 if constant == 0 else -math.expm1(-passed / constant)


def _edges(box: Box) -> np.ndarray:
    return np.array([box.x, box.y, box.x + box.width, box.y + box.height], np.float64)


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _size(box: np.ndarray) -> float:
    return float(np.sqrt(np.prod(box[2:] - box[:2])))


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    shared = np.prod(np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])))
    return float(shared / max(_size(a) ** 2 + _size(b) ** 2 - shared, 1e-9))


def _apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Distance of the centres in sizes of the smaller, and how many times larger one is than the other."""
    small, large = sorted((_size(a), _size(b)))
    small = max(small, 1e-9)
    return float(np.linalg.norm(_centre(a) - _centre(b))) / small, large / small
