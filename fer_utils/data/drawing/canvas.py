"""A canvas in face coordinates, larger than the final picture."""

import cv2
import numpy as np

from fer_utils.data.drawing.geometry import REACH, rotated

PAINT = 4  # faces are painted at this many times the final size, and shaded at half of that


def to_bytes(picture) -> np.ndarray:
    """Round numbers of any range to uint8, limited to 0 to 255."""
    return np.rint(np.minimum(255, np.maximum(0, picture))).astype(np.uint8)


class Canvas:
    """A grey canvas for shapes in face coordinates.

    `turn` is the sine of the head's rotation about its vertical axis. It moves points that have a
    `lift`, which is their height above the head.
    """

    def __init__(self, side: int, tone: float, zoom: int = PAINT, turn: float = 0.0) -> None:
        self.side, self.turn = side, turn
        self.scale = side * zoom / 2  # pixels per unit of face coordinates
        size = round(2 * REACH * self.scale)
        self._pixels = np.full((size, size), to_bytes(tone), np.uint8)
        self._waiting: list[tuple[np.ndarray, float, float, float, bool]] = []

    def fill(self, points, tone: float, lift: float = np.nan) -> None:
        """Fill a closed shape with a tone from 0 to 255."""
        self._waiting.append((points, tone, lift, 0, True))

    def stroke(
        self, points, tone: float, width: float, lift: float = np.nan, closed: bool = False
    ) -> None:
        """Draw a line of a width in face coordinates."""
        self._waiting.append((points, tone, lift, width, closed))

    @property
    def pixels(self) -> np.ndarray:
        """The painted pixels, uint8 (n, n)."""
        if self._waiting:
            self._paint()
        return self._pixels

    def blurred(self, sigma: float) -> np.ndarray:
        """The pixels after Gaussian blur, float64 (n, n), 0 to 1."""
        return cv2.GaussianBlur(self.pixels, (0, 0), sigma * self.scale) / 255

    def _paint(self) -> None:
        # Rotating the points of all shapes together takes a third of the time.
        shapes, tones, lifts, widths, closed = zip(*self._waiting, strict=True)
        self._waiting = []
        sizes = [len(points) for points in shapes]
        points, lift = np.concatenate(shapes), np.repeat(lifts, sizes)
        points = np.where(np.isnan(lift)[:, None], points, rotated(points, self.turn, lift))
        # OpenCV takes fixed-point coordinates, here with 4 fractional bits.
        fixed = np.rint(((points + REACH) * self.scale - 0.5) * 16).astype(np.int32, order="C")
        end = 0
        tones = to_bytes(tones).tolist()
        for size, tone, width, close in zip(sizes, tones, widths, closed, strict=True):
            shape = fixed[end : end + size]
            end += size
            if width:
                thickness = max(1, round(width * self.scale))
                cv2.polylines(self._pixels, [shape], close, tone, thickness, cv2.LINE_AA, 4)
            else:
                cv2.fillPoly(self._pixels, [shape], tone, cv2.LINE_AA, 4)
