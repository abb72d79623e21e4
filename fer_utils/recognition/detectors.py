"""Face detectors behind one small interface: OpenCV's Haar cascade, and YuNet."""

import threading
from pathlib import Path

import cv2
import numpy as np
from cv2.data import haarcascades

from fer_utils.errors import StudyError
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.search import Detector
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.recognition.yunet_file import fetched_yunet


class HaarDetector(Detector):
    """OpenCV's Haar cascade for frontal faces (Viola and Jones 2001).

    The variant is Lienhart's `alt2`, a tree of stumps.

    At these settings the cascades `alt2` and `default` both find every frontal face in our test
    photos, but `default` also finds faces where there are none. The score is the sum of the
    cascade's last stage.

    FER-2013's faces were cut out by OpenCV's own detector (Goodfellow et al. 2013, arXiv
    1307.0414). If this cascade finds the face of such an image, its box is centred on the image
    and nearly as wide.
    """

    name = "haar"
    CASCADE = "haarcascade_frontalface_alt2.xml"
    frame = 1.03

    def __init__(self) -> None:
        # A cascade has internal state, so each thread gets its own.
        self._of_thread = threading.local()

    def __getstate__(self) -> dict:
        # Another process loads its own cascades.
        return {name: value for name, value in self.__dict__.items() if name != "_of_thread"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._of_thread = threading.local()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""
        return self._search(photo, 0)

    def detect_small(self, photo: np.ndarray, largest: int) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3), of sides up to `largest` pixels.

        Larger windows take half of the time, because the cascade visits them more densely.
        """
        return self._search(photo, largest)

    def _search(self, photo: np.ndarray, largest: int) -> list[Detection]:
        """Search for faces of sides up to `largest` pixels; 0 for all."""
        cascade = getattr(self._of_thread, "cascade", None)
        if cascade is None:
            cascade = self._of_thread.cascade = cv2.CascadeClassifier(haarcascades + self.CASCADE)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        boxes, _, scores = cascade.detectMultiScale3(
            grey,
            scaleFactor=1.1,
            minNeighbors=5,
            minSize=(24, 24),
            maxSize=(largest, largest),
            outputRejectLevels=True,
        )
        return [
            Detection(Box(*map(int, box)), float(score))
            for box, score in zip(boxes, np.ravel(scores), strict=True)
        ]


NAMES = ("auto", "haar", "yunet")
"""Names of detectors for `make_detector`."""


def make_detector(name: str = "auto", model: str | Path | None = None) -> Detector:
    """Return a detector by name. Nothing is downloaded.

    Args:
        name: one of `NAMES`. "auto" is YuNet if its file is given or in the user's cache, else
            Haar.
        model: YuNet's file; the one in the user's cache when None.

    Raises:
        StudyError: the name is unknown, Haar gets a model, or YuNet's file is missing or another
            one.
    """
    if name not in NAMES:
        raise StudyError(
            f"detector: expected {', '.join(NAMES)}, found {name!r}. Use one of these."
        )
    if name == "haar":
        if model:
            raise StudyError(
                f"detector haar: expected no model file, found {model}. "
                "Add `--detector yunet` to use it."
            )
        return HaarDetector()
    if name == "auto" and not model:
        # A file that is not YuNet's, such as a damaged one, must not stop those who did not ask.
        model = fetched_yunet()
        if model is None:
            return HaarDetector()
    return YuNetDetector(model)
