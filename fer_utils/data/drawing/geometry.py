"""Shapes as points (n, 2): ellipses, smooth curves, lenses."""

from functools import cache

import numpy as np

# Face coordinates: x to the right, y down, the finished picture shows [-1, 1] both ways. The canvas
# reaches further, so that turning and shrinking the face uncovers more background, not an edge.
REACH = 4 / 3


_TURN = 2 * np.pi * np.arange(28) / 28


_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    return _CIRCLE * [a, b] + [x, y]


@cache
def spline(count: int, closed: bool, steps: int = 6) -> np.ndarray:
    """What turns `count` points into a Catmull-Rom curve: through each, in the direction of its
    neighbours."""
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
        for k in range(4):
            at = segment - 1 + k
            at = at % count if closed else min(max(at, 0), count - 1)
            curve[segment * steps : (segment + 1) * steps, at] += basis[:, k]
    if not closed:
        curve[-1, -1] = 1
    return curve


def smooth(points, closed: bool = True) -> np.ndarray:
    """A smooth curve through `points` (n, 2)."""
    points = np.asarray(points, float)
    return spline(len(points), closed) @ points


@cache
def swelling(count: int) -> tuple[np.ndarray, np.ndarray]:
    """There and back along the curve of `spline`, and how far each point lies beside it."""
    there = spline(count, closed=False)
    swell = np.sin(np.pi * np.arange(len(there)) / (len(there) - 1))[:, None]
    return np.concatenate([there, there[::-1]]), np.concatenate([swell, -swell[::-1]])


def lens(points, width: float) -> np.ndarray:
    """A closed shape along a curve, `width` in its middle and pointed at its ends: how a fold in
    skin looks."""
    points = np.asarray(points, float)
    curve, swell = swelling(len(points))
    x, y = points[-1] - points[0]
    return curve @ points + swell * [-y, x] * (width / 2 / np.hypot(x, y))


def mirrored(half) -> np.ndarray:
    """A closed outline from its right half, given from top to bottom."""
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * (-1, 1)])
