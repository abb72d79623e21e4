"""Face detectors behind one small interface: OpenCV's Haar cascade, and YuNet."""

import hashlib
import os
import threading
import urllib.request
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from cv2.data import haarcascades

from fer_utils.errors import StudyError
from fer_utils.recognition.found import Box, Detection
from fer_utils.storage import atomic_file


class Detector(Protocol):
    """What finds faces. One instance may be called from many threads at once.

    Detectors draw their boxes differently, so each says how a box becomes the square that FER-2013 would have cut
    (benchmarks/framing.py measures both numbers):

    Attributes:
        frame: side of that square, as a multiple of the box's longer side.
        rise: how far its middle lies above the box's, as a share of the square's side.
    """

    frame: float = 1.0
    rise: float = 0.0

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """The faces in `photo`, uint8 RGB (h, w, 3)."""


class HaarDetector(Detector):
    """OpenCV's Haar cascade for frontal faces (Viola and Jones 2001; Lienhart's `alt2` tree of stumps).

    `alt2` rather than `default`: at these settings both find every frontal face of the photos we test on, and
    only `default` also sees faces where there are none. The score is the sum of the cascade's last stage.

    FER-2013's faces were cut by OpenCV's own detector (Goodfellow et al. 2013, arXiv 1307.0414), and where this
    cascade finds the face again, its box is centred on the image and nearly as wide.
    """

    CASCADE = "haarcascade_frontalface_alt2.xml"
    frame = 1.03

    def __init__(self) -> None:
        # A cascade keeps its state while it works, so each thread gets its own.
        self._of_thread = threading.local()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """The faces in `photo`, uint8 RGB (h, w, 3)."""
        cascade = getattr(self._of_thread, "cascade", None)
        if cascade is None:
            cascade = self._of_thread.cascade = cv2.CascadeClassifier(haarcascades + self.CASCADE)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        boxes, _, scores = cascade.detectMultiScale3(
            grey, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24), outputRejectLevels=True
        )
        return [
            Detection(Box(*map(int, box)), float(score))
            for box, score in zip(boxes, np.ravel(scores), strict=True)
        ]


_NOTHING = np.empty(0, np.uint8)

YUNET_FILE = "yunet_n_640_640.onnx"
YUNET_URL = f"https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/{YUNET_FILE}"
YUNET_SHA256 = "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"


class YuNetDetector(Detector):
    """YuNet (Wu, Peng and Yu 2023), a small network that also finds turned and partly hidden faces.

    The score is its own, 0 to 1. Its boxes go from the chin to above the forehead. The square that the Haar cascade's
    box gives is 0.92 of their height on photos; on FER-2013's images, which end at chin and forehead, 0.99 of it would
    be the image. Accuracy is flat between these.

    Args:
        model: its ONNX file, Apache-2.0, from libfacedetection.train; the one that `download_yunet` keeps when None.

    Raises:
        StudyError: the file is missing, or OpenCV cannot read it.
    """

    frame = 0.95
    SCORE = 0.7  # least; at 0.5 there are faces in foliage and folds, at 0.9 turned faces are lost

    def __init__(self, model: str | Path | None = None) -> None:
        self._model = Path(model) if model else yunet_path()
        if not self._model.is_file():
            raise StudyError(
                f"{self._model}: expected YuNet's model file, found none. Name it with --yunet FILE, or fetch it "
                f"once with `fer-study fetch-yunet` (from {YUNET_URL})."
            )
        self._of_thread = threading.local()
        self._network()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """The faces in `photo`, uint8 RGB (h, w, 3)."""
        network = self._network()
        height, width = photo.shape[:2]
        network.setInputSize((width, height))
        _, found = network.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
        # In strips of a few pixels its boxes may be infinite.
        return [
            Detection(Box(*(round(float(edge)) for edge in face[:4])), float(face[-1]))
            for face in (() if found is None else found)
            if np.isfinite(face).all()
        ]

    def _network(self):
        # It keeps its state while it works, so each thread gets its own.
        network = getattr(self._of_thread, "network", None)
        if network is None:
            try:
                # As bytes: OpenCV cannot open every name that a file may have.
                model = np.frombuffer(self._model.read_bytes(), np.uint8)
                network = cv2.FaceDetectorYN.create("onnx", model, _NOTHING, (320, 320), self.SCORE)
            except cv2.error as problem:
                raise StudyError(
                    f"{self._model}: expected YuNet's ONNX file, found one that OpenCV cannot read ({problem.err}). "
                    "Fetch it again with `fer-study fetch-yunet`."
                ) from None
            self._of_thread.network = network
        return network


SIDES = (640, 1024)
"""Longer sides, pixels, that photos are scaled down to before they are searched: Haar sees faces from 4 % of the longer
side at the first, and from 2.5 % at the second."""

SAME_FACE = 0.3
"""Boxes of the two searches whose intersection is more than this share of the smaller one are of the same face."""

_INSIDE = 0.5
"""Least share of a detector's box that lies inside the photo."""


def find_faces(photo: np.ndarray, detector: Detector) -> list[Detection]:
    """The faces in a photo of any size, boxes in its own pixels and wholly inside it.

    It is searched at each of `SIDES`, as far as it is that large. Large faces are found best at the
    first and small ones only at the second, so what is found of a face does not depend on what else
    is there. Of a face that both find, the first search's box counts.

    Args:
        photo: uint8 RGB (h, w, 3).
        detector: searches.
    """
    height, width = photo.shape[:2]
    found: list[Detection] = []
    for side in SIDES:
        scale = min(1.0, side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        before = list(found)
        for detection in _inside(detector.detect(small), scale, width, height):
            if not any(_share(detection.box, other.box) > SAME_FACE for other in before):
                found.append(detection)
        if scale == 1:
            break
    return found


def _inside(found: list[Detection], scale: float, width: int, height: int) -> list[Detection]:
    """Detections of a photo scaled by `scale`, in the photo's own pixels, cut at its border."""
    kept = []
    for box, score in found:
        left, top = max(0, round(box.x / scale)), max(0, round(box.y / scale))
        right = min(width, round((box.x + box.width) / scale))
        bottom = min(height, round((box.y + box.height) / scale))
        # Detectors also answer with boxes beside the photo, or many times as large.
        area = box.width * box.height / scale**2
        if right > left and bottom > top and (right - left) * (bottom - top) >= _INSIDE * area:
            kept.append(Detection(Box(left, top, right - left, bottom - top), score))
    return kept


def _share(one: Box, other: Box) -> float:
    """The intersection of two boxes as a share of the smaller one."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0, across) * max(0, down) / smaller


def make_detector(name: str = "haar", model: str | Path | None = None) -> Detector:
    """A detector by name, "haar" or "yunet"; `model` is YuNet's file.

    Raises:
        StudyError: the name is unknown, a model is given to Haar, or YuNet's file is missing.
    """
    if name == "yunet":
        return YuNetDetector(model)
    if name != "haar":
        raise StudyError(f"detector: expected haar or yunet, found {name!r}.")
    if model:
        raise StudyError(
            f"detector haar: expected no model file, found {model}. Add `--detector yunet` to use it."
        )
    return HaarDetector()


def yunet_path() -> Path:
    """Where `download_yunet` keeps the model file: in the user's cache folder."""
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fer-study" / YUNET_FILE
    )


def download_yunet(url: str = YUNET_URL) -> Path:
    """Fetch YuNet's model file once, check its SHA-256, and keep it at `yunet_path`.

    Raises:
        StudyError: it cannot be fetched, or what came is something else (then nothing is kept).
    """
    path = yunet_path()
    if path.is_file() and _sha256(path.read_bytes()) == YUNET_SHA256:
        return path
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read(10_000_000)
    except OSError as problem:
        raise StudyError(
            f"{url}: expected YuNet's model file, found: {problem}. Fetch it by hand and name it with --yunet FILE."
        ) from None
    if (found := _sha256(data)) != YUNET_SHA256:
        raise StudyError(
            f"{url}: expected a file with SHA-256 {YUNET_SHA256}, found {len(data):,} bytes with {found}. Nothing was "
            "kept; fetch it by hand and name it with --yunet FILE."
        )
    with atomic_file(path) as target:
        target.write_bytes(data)
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
