"""Shapes as points (n, 2) in face coordinates: ellipses, smooth curves, lenses.

In face coordinates, x is to the right and y is down. The picture shows -1 to 1 in both directions.
The eyes are at y = -0.22, the mouth at 0.5 and the chin at 0.97.
"""

from functools import cache

import numpy as np

# The canvas shows -REACH to REACH. If the face is rotated or made smaller, background fills the
# corners of the picture.
REACH = 4 / 3

_ANGLES = 2 * np.pi * np.arange(28) / 28
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)

_BULGE = np.array([0.86**-2, 1.3**-2])  # inverse squared half-widths of the head's ellipsoid


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    """An ellipse with the centre (x, y) and the half-widths a and b."""
    return _CIRCLE * [a, b] + [x, y]


def smooth(points, closed: bool = True) -> np.ndarray:
    """A Catmull-Rom curve through `points` (n, 2)."""
    points = np.asarray(points, float)
    return _spline(len(points), closed) @ points


def lens(points, width: float) -> np.ndarray:
    """A closed shape along a curve, like a fold of skin.

    It has its full `width` in the middle and a point at each end.
    """
    points = np.asarray(points, float)
    curve, swell = _swelling(len(points))
    x, y = points[-1] - points[0]
    return curve @ points + swell * [-y, x] * (width / 2 / np.hypot(x, y))


def symmetric(half) -> np.ndarray:
    """A closed, symmetric outline from its right half, in order from top to bottom."""
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * (-1, 1)])


def rotated(points: np.ndarray, turn: float, lift: float | np.ndarray) -> np.ndarray:
    """The points (n, 2) of a head that is rotated about its vertical axis.

    `turn` is the sine of the angle. `lift` is the height of the points above the head.
    """
    depth = lift + 0.62 * np.sqrt(np.maximum(1 - points**2 @ _BULGE, 0))
    moved = points.copy()
    moved[:, 0] = points[:, 0] * (1 - turn**2) ** 0.5 + depth * turn
    return moved


@cache
def _spline(count: int, closed: bool, steps: int = 6) -> np.ndarray:
    """The matrix from `count` points to the points of a Catmull-Rom curve through them."""
    t = np.arange(steps)[:, None] / steps
    basis = (
        np.hstack(
            [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
        )
        / 2
    )
    segments = count if closed else count - 1
    curve = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        # A segment depends on its two ends and on the points before and after them.
        for k in range(4):
            point = segment - 1 + k
            point = point % count if closed else min(max(point, 0), count - 1)
            curve[segment * steps : (segment + 1) * steps, point] += basis[:, k]
    if not closed:
        curve[-1, -1] = 1
    return curve


@cache
def _swelling(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrix of an open curve there and back, and the distance of each point from the curve."""
    there = _spline(count, closed=False)
    swell = np.sin(np.pi * np.arange(len(there)) / (len(there) - 1))[:, None]
    return np.concatenate([there, there[::-1]]), np.concatenate([swell, -swell[::-1]])
