"""A canvas on which shapes are filled and stroked, enlarged and then reduced."""

import cv2
import numpy as np

from fer_utils.data.drawing.geometry import REACH

PAINT = 4  # painted at this many times the final size, shaded at half of that


def to_bytes(picture) -> np.ndarray:
    """Any numbers as uint8, cut to 0 to 255."""
    return np.rint(np.minimum(255, np.maximum(0, picture))).astype(np.uint8)


class Canvas:
    """Grey paint in face coordinates.

    With a `lift` (height above the head), points move as the head turns.
    """

    def __init__(self, side: int, tone: float, zoom: int = PAINT, turn: float = 0.0) -> None:
        self.side, self.turn = side, turn
        self.scale = side * zoom / 2
        size = round(2 * REACH * self.scale)
        self._pixels = np.full((size, size), to_bytes(tone), np.uint8)
        self._waiting: list[tuple[np.ndarray, float, float, float, bool]] = []

    def fill(self, points, tone: float, lift: float = np.nan) -> None:
        self._waiting.append((points, tone, lift, 0, True))

    def stroke(
        self, points, tone: float, width: float, lift: float = np.nan, closed: bool = False
    ) -> None:
        self._waiting.append((points, tone, lift, width, closed))

    @property
    def pixels(self) -> np.ndarray:
        """uint8, with all that was painted up to now."""
        if self._waiting:
            # Moving all points at once takes a third of the time of moving each shape's.
            shapes, tones, lifts, widths, closed = zip(*self._waiting, strict=True)
            self._waiting = []
            sizes = [len(points) for points in shapes]
            points, lift = np.concatenate(shapes), np.repeat(lifts, sizes)
            points = np.where(np.isnan(lift)[:, None], points, turned(points, self.turn, lift))
            fixed = np.rint(((points + REACH) * self.scale - 0.5) * 16).astype(np.int32, order="C")
            end = 0
            for size, tone, width, close in zip(
                sizes, to_bytes(tones).tolist(), widths, closed, strict=True
            ):
                shape = fixed[end : (end := end + size)]
                if width:
                    thickness = max(1, round(width * self.scale))
                    cv2.polylines(self._pixels, [shape], close, tone, thickness, cv2.LINE_AA, 4)
                else:
                    cv2.fillPoly(self._pixels, [shape], tone, cv2.LINE_AA, 4)
        return self._pixels

    def blurred(self, sigma: float) -> np.ndarray:
        """float64 0 to 1."""
        return cv2.GaussianBlur(self.pixels, (0, 0), sigma * self.scale) / 255


def turned(points: np.ndarray, turn: float, lift: float | np.ndarray) -> np.ndarray:
    """`points` (n, 2) as seen when the head turns about its vertical axis, `turn` being the
    sine."""
    depth = lift + 0.62 * np.sqrt(np.maximum(1 - points**2 @ _BULGE, 0))
    moved = points.copy()
    moved[:, 0] = points[:, 0] * (1 - turn**2) ** 0.5 + depth * turn
    return moved


_BULGE = np.array([0.86**-2, 1.3**-2])  # of the ellipsoid that a head is taken for
