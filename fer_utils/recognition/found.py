"""What is found on a photo or a frame: boxes, detections, recognised and tracked faces."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fer_utils.emotions import EMOTIONS


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo; x and y are its left upper corner."""

    x: int
    y: int
    width: int
    height: int


class Detection(NamedTuple):
    """Where a detector sees a face, and how sure it is, in its own unit (larger is surer)."""

    box: Box
    score: float


@dataclass(frozen=True, eq=False)
class RecognizedFace:
    """One face of a photo.

    Attributes:
        box: where it is, in pixels of the upright photo, wholly inside it.
        score: how sure the detector is, in its own unit; larger is surer.
        emotion: the most probable of `EMOTIONS`.
        probabilities: float32 (7,), in the order of `EMOTIONS`, summing to 1.
        uncertain: the largest probability is below the model's threshold: take the emotion for a guess.
    """

    box: Box
    score: float
    emotion: str
    probabilities: np.ndarray
    uncertain: bool

    def as_dict(self) -> dict:
        """The same as plain numbers, texts and dictionaries, ready for JSON."""
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


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackedFace(RecognizedFace):
    """A face of a frame with the number that it keeps from frame to frame.

    Attributes:
        box: steadied over time; wholly inside the frame, as the detector's boxes are.
        emotion: the label over time. Within the tracker's `margin` it may not be the most probable one.
        probabilities: float32 (7,), averaged over time, in the order of `EMOTIONS`, summing to 1.
        uncertain: whether the largest of these is under the threshold.
        track: 1 for the first face of a video, 2 for the second, and so on; none is used twice.
    """

    track: int

    def as_dict(self) -> dict:
        """The same as plain numbers, texts and dictionaries, ready for JSON."""
        return {"track": self.track, **super().as_dict()}
