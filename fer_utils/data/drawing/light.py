"""The light on a drawn face."""

import numpy as np

from fer_utils.data.drawing.canvas import Canvas
from fer_utils.data.drawing.geometry import REACH, rotated


def lighting(
    solid: Canvas, person: dict[str, float], units: np.ndarray, turn: float, light: np.ndarray
) -> np.ndarray:
    """The brightness of each pixel, around 1, float64 (n, n).

    The head is an ellipsoid with bumps. Its surface reflects light like a matt surface (Lambert's
    law), with a slight shine. `light` is the direction to the lamp.
    """
    cheek = np.maximum(units[:, 6], units[:, 12])
    drop = 0.16 * units[:, 26].mean()
    bumps = []  # x, y, half-widths, height
    for s, sign in ((0, -1), (1, 1)):
        lowered = units[s, 4]
        bumps += [
            (sign * 0.33, -0.22, 0.15, 0.10, -0.055),  # eye socket
            (sign * 0.30, -0.40 + 0.06 * lowered, 0.20, 0.06, 0.03 + 0.02 * lowered),  # brow ridge
            (sign * 0.40, 0.14 - 0.07 * cheek[s], 0.15, 0.11, 0.035 + 0.075 * cheek[s]),  # cheek
            (sign * 0.105 * person["nose_width"], 0.21, 0.05, 0.05, 0.05),  # nostril wing
        ]
    bumps += [
        (0, -0.08, 0.065, 0.22, 0.075),  # bridge of the nose
        (0, 0.18, 0.085, 0.075, 0.12),  # tip of the nose
        (0, 0.40, 0.20, 0.07, 0.03),  # upper lip
        (0, 0.60 + drop, 0.16, 0.05, 0.04),  # lower lip
        (0, 0.70 + drop, 0.16, 0.035, -0.03),  # hollow below the lip
        (0, 0.84 + drop, 0.14, 0.09, 0.05 + 0.04 * units[:, 17].mean()),  # chin
        (0, -0.66, 0.42, 0.18, 0.05),  # forehead
    ]
    relief = np.array(bumps)
    centres = rotated(relief[:, :2], turn, 0.06)
    axis = (np.arange(len(solid.pixels)) + 0.5) / solid.scale - REACH

    # Bumps are Gaussian. The slope of the surface is the sum of theirs and of the ellipsoid's.
    def bells(centre: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = (axis - centre[:, None]) / width[:, None]
        bell = np.exp(-0.5 * away**2)
        return bell, -away / width[:, None] * bell

    across, across_slope = bells(centres[:, 0], relief[:, 2])
    along, along_slope = bells(centres[:, 1], relief[:, 3])
    height = relief[:, 4][:, None]
    u, v = axis / (0.80 * person["width"]), axis / 1.18
    depth = np.sqrt(np.maximum(1 - u[None, :] ** 2 - v[:, None] ** 2, 0.16))
    slope_x = (along * height).T @ across_slope - 0.55 * u[None, :] / depth
    slope_y = (along_slope * height).T @ across - 0.42 * v[:, None] / depth
    light = light / np.sqrt((light**2).sum())
    normal = np.sqrt(slope_x**2 + slope_y**2 + 1)
    facing = np.maximum(0, (light[2] - slope_x * light[0] - slope_y * light[1]) / normal)
    shine = 0.09 * facing**10
    lit = 0.42 + 0.62 * facing + shine
    mask = solid.blurred(0.012)
    around = 0.42 + 0.62 * max(0.3, light[2])
    return around * (1 - mask) + lit * mask
