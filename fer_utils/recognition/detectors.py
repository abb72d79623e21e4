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
    """A face detector. Many threads may use one instance at the same time.

    Detectors draw their boxes differently. `frame` and `rise` convert a box into the square that
    FER-2013 would have cut out (benchmarks/framing.py measures both numbers).

    Attributes:
        frame: side of the square, as a multiple of the box's longer side.
        rise: height of the square's centre above the box's centre, as a share of the square's side.
    """

    frame: float = 1.0
    rise: float = 0.0

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""


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

    CASCADE = "haarcascade_frontalface_alt2.xml"
    frame = 1.03

    def __init__(self) -> None:
        # A cascade has internal state, so each thread gets its own.
        self._of_thread = threading.local()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""
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


_NO_CONFIG = np.empty(0, np.uint8)

YUNET_FILE = "yunet_n_640_640.onnx"
YUNET_URL = f"https://github.com/ShiqiYu/libfacedetection.train/raw/master/onnx/{YUNET_FILE}"
YUNET_SHA256 = "25a606a145a5b6d7271ae138fbd00eba91dad8b83222ae3f2c7ecd0f4a7b0e31"


class YuNetDetector(Detector):
    """YuNet (Wu, Peng and Yu 2023), a small network that also finds rotated and occluded faces.

    The score is YuNet's own, from 0 to 1.

    YuNet's boxes extend from the chin to above the forehead. On photos, the square from the Haar
    cascade's box has 0.92 of their height. FER-2013's images end at chin and forehead; 0.99 of a
    box's height would give the whole image. Between these two values the accuracy is about the
    same.

    Args:
        model: YuNet's ONNX file (Apache-2.0, from libfacedetection.train); the file from
            `download_yunet` when None.

    Raises:
        StudyError: the file is missing, or OpenCV cannot read it.
    """

    frame = 0.95
    # Smallest score. At 0.5, foliage and folds are detected as faces. At 0.9, rotated faces are
    # missed.
    SCORE = 0.7

    def __init__(self, model: str | Path | None = None) -> None:
        self._model = Path(model) if model else yunet_path()
        if not self._model.is_file():
            raise StudyError(
                f"{self._model}: expected YuNet's model file, found none. Name it with --yunet "
                f"FILE, or download it once with `fer-study fetch-yunet` (from {YUNET_URL})."
            )
        self._of_thread = threading.local()
        self._network()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""
        network = self._network()
        height, width = photo.shape[:2]
        network.setInputSize((width, height))
        _, rows = network.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
        detections = []
        for row in () if rows is None else rows:
            # In photos a few pixels wide, boxes may be infinite.
            if np.isfinite(row).all():
                box = Box(*(round(float(edge)) for edge in row[:4]))
                detections.append(Detection(box, float(row[-1])))
        return detections

    def _network(self):
        # The network has internal state, so each thread gets its own.
        network = getattr(self._of_thread, "network", None)
        if network is None:
            try:
                # OpenCV cannot open every valid file name, so it gets the bytes.
                model = np.frombuffer(self._model.read_bytes(), np.uint8)
                network = cv2.FaceDetectorYN.create(
                    "onnx", model, _NO_CONFIG, (320, 320), self.SCORE
                )
            except cv2.error as problem:
                raise StudyError(
                    f"{self._model}: expected YuNet's ONNX file, found one that OpenCV cannot read "
                    f"({problem.err}). Download it again with `fer-study fetch-yunet`."
                ) from None
            self._of_thread.network = network
        return network


SIDES = (640, 1024)
"""Longer sides in pixels to which a photo is scaled down for the two searches. Haar finds faces
from 4 % of the longer side in the first search, and from 2.5 % in the second."""

SAME_FACE = 0.3
"""Two boxes belong to the same face if their intersection exceeds this share of the smaller one."""

_INSIDE = 0.5
"""Smallest share of a detector's box that must lie inside the photo."""


def find_faces(
    photo: np.ndarray, detector: Detector, whole: tuple[int, int] | None = None
) -> list[Detection]:
    """Find the faces in a photo of any size.

    The photo is searched at each size in `SIDES` that it reaches. Large faces are found best in the
    first search, small ones only in the second. The result for one face does not depend on other
    faces. If both searches find a face, the box of the first one is returned.

    Args:
        photo: uint8 RGB (h, w, 3). A scaled photo suffices if its longer side is at least the
            largest of `SIDES`.
        detector: searches the scaled photos.
        whole: width and height of the whole photo, if `photo` is a scaled one.

    Returns:
        Faces whose boxes are in pixels of the whole photo and wholly inside it.
    """
    width, height = whole or photo.shape[1::-1]
    found: list[Detection] = []
    for side in SIDES:
        scale = min(1.0, side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = photo
        if size != photo.shape[1::-1]:
            small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        before = list(found)
        for detection in _inside(detector.detect(small), scale, width, height):
            if not any(_share(detection.box, other.box) > SAME_FACE for other in before):
                found.append(detection)
        if scale == 1:
            break
    return found


def _inside(detections: list[Detection], scale: float, width: int, height: int) -> list[Detection]:
    """Convert boxes of a photo scaled by `scale` to pixels of the photo, cut at its border."""
    kept = []
    for box, score in detections:
        left, top = max(0, round(box.x / scale)), max(0, round(box.y / scale))
        right = min(width, round((box.x + box.width) / scale))
        bottom = min(height, round((box.y + box.height) / scale))
        # Some boxes lie beside the photo, or are many times as large.
        area = box.width * box.height / scale**2
        if right > left and bottom > top and (right - left) * (bottom - top) >= _INSIDE * area:
            kept.append(Detection(Box(left, top, right - left, bottom - top), score))
    return kept


def _share(one: Box, other: Box) -> float:
    """Return the intersection of two boxes as a share of the smaller one."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0, across) * max(0, down) / smaller


def make_detector(name: str = "haar", model: str | Path | None = None) -> Detector:
    """Return a detector by name, "haar" or "yunet". `model` is YuNet's file.

    Raises:
        StudyError: the name is unknown, Haar gets a model, or YuNet's file is missing.
    """
    if name == "yunet":
        return YuNetDetector(model)
    if name != "haar":
        raise StudyError(f"detector: expected haar or yunet, found {name!r}. Use one of these.")
    if model:
        raise StudyError(
            f"detector haar: expected no model file, found {model}. "
            "Add `--detector yunet` to use it."
        )
    return HaarDetector()


def yunet_path() -> Path:
    """Return the place of the downloaded model file, in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fer-study" / YUNET_FILE


def download_yunet(url: str = YUNET_URL) -> Path:
    """Download YuNet's model file, check its SHA-256, and return its path, `yunet_path`.

    Nothing is downloaded if the file is already there.

    Raises:
        StudyError: the download fails, or the downloaded file is another one. The latter is not
            kept.
    """
    path = yunet_path()
    if path.is_file() and _sha256(path.read_bytes()) == YUNET_SHA256:
        return path
    by_hand = "Download it by hand and name it with --yunet FILE."
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            data = response.read(10_000_000)
    except OSError as problem:
        raise StudyError(
            f"{url}: expected YuNet's model file, found: {problem}. {by_hand}"
        ) from None
    if (digest := _sha256(data)) != YUNET_SHA256:
        raise StudyError(
            f"{url}: expected a file with SHA-256 {YUNET_SHA256}, found {len(data):,} bytes with "
            f"{digest}. Nothing was kept. {by_hand}"
        )
    with atomic_file(path) as target:
        target.write_bytes(data)
    return path


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
