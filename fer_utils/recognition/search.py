"""Searching photos of any size for faces, with any detector."""

from typing import Protocol

import cv2
import numpy as np

from fer_utils.recognition.found import Box, Detection


class Detector(Protocol):
    """A face detector. Many threads may use one instance at the same time.

    A detector of your own is derived from this class and has at least `detect`. A recogniser can be
    pickled if its detector can.

    Detectors draw their boxes differently. `frame` and `rise` convert a box into the square that
    FER-2013 would have cut out (benchmarks/framing.py measures both numbers).

    Attributes:
        name: its name in answers.
        frame: side of the square, as a multiple of the box's longer side.
        rise: height of the square's centre above the box's centre, as a share of the square's side.
    """

    name: str = "custom"
    frame: float = 1.0
    rise: float = 0.0

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""

    def detect_small(self, photo: np.ndarray, largest: int) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3), of which larger ones are found already.

        Faces whose side exceeds `largest` pixels may be left out, by detectors that save time so.
        """
        return self.detect(photo)


SIDES = (640, 1000)
"""Longer sides in pixels to which a photo is scaled down for the two searches. Haar finds faces
from 4 % of the longer side in the first search, and from 2.5 % in the second. A JPEG is decoded at
1/2, 1/4 or 1/8 of its size, so 1,000 suits photos of 2,000 pixels, and of 12 megapixels, which many
phones take (4,032 pixels)."""

FOUND_FIRST = 0.055
"""Share of the photo's longer side above which a face is found in the first search. In photos with
small faces, Haar's first search found all of them from a share of 0.05 on."""

SAME_FACE = 0.3
"""Two boxes belong to the same face if their intersection exceeds this share of the smaller one."""

_INSIDE = 0.5
"""Smallest share of a detector's box that must lie inside the photo."""


def find_faces(
    photo: np.ndarray, detector: Detector, whole: tuple[int, int] | None = None
) -> list[Detection]:
    """Find the faces in a photo of any size.

    The photo is searched at each size in `SIDES` that it reaches. Large faces are found best in the
    first search, small ones only in the second, which may leave out large ones. The result for one
    face does not depend on other faces. If both searches find a face, the box of the first one is
    returned.

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
        if side == SIDES[0]:
            seen = detector.detect(small)
        else:
            seen = detector.detect_small(small, round(FOUND_FIRST * max(size)))
        for detection in _inside(seen, scale, width, height):
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
