"""The results of recognition: boxes, detections, recognised and tracked faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fer_utils.emotions import EMOTIONS


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo. x and y are its upper left corner."""

    x: int
    y: int
    width: int
    height: int


class Detection(NamedTuple):
    """A detected face.

    `score` is the detector's confidence. Larger is more confident; the unit depends on the
    detector.
    """

    box: Box
    score: float


def as_answer(size: tuple[int, int], detector: str, faces: Sequence["RecognizedFace"]) -> dict:
    """Return the answer for one photo, which the command prints and the server sends.

    Args:
        size: width and height of the upright photo in pixels.
        detector: name of the detector that found the faces.
        faces: the faces.

    Returns:
        Width, height, detector and faces, as numbers, texts, lists and dictionaries that JSON can
        hold.
    """
    return {
        "width": size[0],
        "height": size[1],
        "detector": detector,
        "faces": [face.as_dict() for face in faces],
    }


ROW = ("x", "y", "width", "height", "score", "emotion", "uncertain", *EMOTIONS)
"""Keys of `RecognizedFace.as_row`, in order. x, y, width and height are pixels of the upright photo
or frame. Each emotion's value is its probability."""


@dataclass(frozen=True, eq=False)
class RecognizedFace:
    """One face of a photo.

    Attributes:
        box: place of the face in pixels of the upright photo, wholly inside it.
        score: the detector's confidence. Larger is more confident; the unit depends on the
            detector.
        emotion: the most probable of `EMOTIONS`.
        probabilities: float32 (7,), in the order of `EMOTIONS`, with sum 1.
        uncertain: whether the largest probability is below the model's threshold, which makes the
            emotion a guess.
    """

    box: Box
    score: float
    emotion: str
    probabilities: np.ndarray
    uncertain: bool

    def as_dict(self) -> dict:
        """Return the face as numbers, texts and dictionaries that JSON can hold."""
        return {
            "box": self.box._asdict(),
            "score": round(self.score, 4),
            "emotion": self.emotion,
            "probabilities": {
                emotion: round(float(p), 6)
                for emotion, p in zip(EMOTIONS, self.probabilities, strict=True)
            },
            "uncertain": self.uncertain,
        }

    def as_row(self) -> dict:
        """Return the values of `as_dict` as one row of a table, with the keys `ROW`."""
        plain = self.as_dict()
        values = plain | plain["box"] | plain["probabilities"]
        return {key: values[key] for key in ROW}


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackedFace(RecognizedFace):
    """A face of a video's frame, with a number that it keeps from frame to frame.

    Attributes:
        box: smoothed over time, wholly inside the frame as the detector's boxes are.
        emotion: the label over time. Within the tracker's `margin` another emotion may be more
            probable.
        probabilities: float32 (7,), averaged over time, in the order of `EMOTIONS`, with sum 1.
        uncertain: whether the largest of these averages is below the threshold.
        track: 1 for the first face of a video, 2 for the second, and so on. No number is reused.
    """

    track: int

    def as_dict(self) -> dict:
        """Return the face as numbers, texts and dictionaries that JSON can hold."""
        return {"track": self.track, **super().as_dict()}
