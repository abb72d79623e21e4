"""Drawn pictures without a face."""

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes
from fer_utils.data.drawing.geometry import ellipse
from fer_utils.emotions import SIDE


def draw_object(rng: np.random.Generator) -> np.ndarray:
    """Draw a mug, a house or a tree on a plain ground, uint8 (48, 48)."""
    light, dark = 150 + 90 * rng.random(), 20 + 80 * rng.random()
    paint = Canvas(SIDE, light)
    grow, shift = 0.8 + 0.4 * rng.random(), 0.3 * (rng.random(2) - 0.5)

    def placed(points):
        return np.array(points) * grow + shift

    kind = rng.integers(3)
    if kind == 0:
        paint.stroke(placed(ellipse(0.42, 0.05, 0.22, 0.26)), dark, 0.1)
        paint.fill(placed([(-0.45, -0.4), (0.4, -0.4), (0.34, 0.5), (-0.39, 0.5)]), dark)
        paint.fill(placed(ellipse(-0.025, -0.4, 0.425, 0.1)), (light + dark) / 2)
    elif kind == 1:
        paint.fill(placed([(-0.5, -0.1), (0.5, -0.1), (0.5, 0.6), (-0.5, 0.6)]), (light + dark) / 2)
        paint.fill(placed([(-0.62, -0.1), (0, -0.65), (0.62, -0.1)]), dark)
        paint.fill(placed([(-0.12, 0.15), (0.12, 0.15), (0.12, 0.6), (-0.12, 0.6)]), dark)
    else:
        paint.fill(placed([(-0.08, 0), (0.08, 0), (0.1, 0.75), (-0.1, 0.75)]), dark)
        for _ in range(6):
            cx, cy = 0.7 * (rng.random(2) - 0.5)
            paint.fill(placed(ellipse(cx, cy - 0.25, 0.3, 0.25)), dark + 30 * rng.random())
    edge = (len(paint.pixels) - SIDE * PAINT) // 2
    picture = cv2.resize(
        paint.pixels[edge:-edge, edge:-edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    return to_bytes(picture + 3 * rng.standard_normal((SIDE, SIDE)))
