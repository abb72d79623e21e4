"""A whole face: features in their order, light and shadow."""

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes, turned
from fer_utils.data.drawing.features import (
    head_outline,
    paint_beard,
    paint_brow,
    paint_ears,
    paint_eye,
    paint_folds,
    paint_glasses,
    paint_ground,
    paint_hair,
    paint_hair_behind,
    paint_mouth,
    paint_neck,
    paint_nose,
)
from fer_utils.data.drawing.geometry import REACH


def render(
    who: dict[str, float],
    au: np.ndarray,
    rng: np.random.Generator,
    *,
    side: int,
    light,
    turn: float = 0.0,
    pose: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 0.0),
) -> np.ndarray:
    """Draw `who` with action units `au` (2, n), as uint8 (side, side).

    Paint (the tone of skin, hair, eyes) is multiplied by the light on a relief of the face, and by
    creases and soft shadows. `light` points to the lamp (x, y, towards the viewer). `turn` is the
    sine of the head's turn about its vertical axis. `pose` is angle in degrees, zoom, and shift to
    the right and down, half a picture being 1.
    """
    paint = Canvas(side, who["ground"], PAINT, turn)
    crease, shadow, solid = (Canvas(side, 0, PAINT // 2, turn) for _ in range(3))
    head = head_outline(who, au)

    paint_ground(paint, who, rng)
    paint_hair_behind(paint, who)
    paint_neck(paint, who, shadow)
    paint_ears(paint, who)
    paint.fill(head, who["skin"], 0)
    solid.fill(head, 255, 0)
    solid.stroke(head, 255, 0.05, 0, closed=True)  # or light from around it would rim the face

    paint_folds(crease, shadow, who, au)
    paint_nose(paint, crease, shadow, who, au)
    paint_mouth(paint, crease, shadow, who, au)
    paint_beard(paint, who, au)
    for s in (0, 1):
        paint_eye(paint, crease, shadow, who, au[s], s)
        paint_brow(paint, shadow, who, au[s], s)
    paint_hair(paint, crease, shadow, who, rng)
    if who["glasses"]:
        paint_glasses(paint, who)

    angle, zoom, right, down = pose
    tilt = np.deg2rad(angle)
    # The picture is turned afterwards: the light must turn back first to stay where it is.
    lx, ly, lz = light
    light = np.array(
        [lx * np.cos(tilt) + ly * np.sin(tilt), ly * np.cos(tilt) - lx * np.sin(tilt), lz]
    )
    lit = _lighting(solid, who, au, turn, light)
    tones = cv2.resize(paint.pixels, solid.pixels.shape, interpolation=cv2.INTER_AREA) / 255
    tones = tones * lit * (1 - crease.blurred(0.016)) * (1 - shadow.blurred(0.055))

    half = len(tones) / 2 - 0.5
    middle = side * PAINT / 4 - 0.5
    c, s = zoom * np.cos(tilt), zoom * np.sin(tilt)
    x, y = middle + solid.scale * right, middle + solid.scale * down
    matrix = np.array([[c, -s, x - c * half + s * half], [s, c, y - s * half - c * half]])
    size = (side * PAINT // 2,) * 2
    turned = cv2.warpAffine(
        to_bytes(255 * tones), matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(turned, (side, side), interpolation=cv2.INTER_AREA)


def _lighting(
    solid: Canvas, who: dict[str, float], au: np.ndarray, turn: float, light: np.ndarray
) -> np.ndarray:
    """Brightness of each point, about 1, from the slope of an ellipsoid with bumps (a Lambertian
    relief)."""
    cheek = np.maximum(au[:, 6], au[:, 12])
    drop = 0.16 * au[:, 26].mean()
    bumps = []  # x, y, half-widths, height
    for s, sign in ((0, -1), (1, 1)):
        bumps += [
            (sign * 0.33, -0.22, 0.15, 0.10, -0.055),  # eye socket
            (
                sign * 0.30,
                -0.40 + 0.06 * au[s, 4],
                0.20,
                0.06,
                0.03 + 0.02 * au[s, 4],
            ),  # brow ridge
            (sign * 0.40, 0.14 - 0.07 * cheek[s], 0.15, 0.11, 0.035 + 0.075 * cheek[s]),  # cheek
            (sign * 0.105 * who["nose_width"], 0.21, 0.05, 0.05, 0.05),  # nostril wing
        ]
    bumps += [
        (0, -0.08, 0.065, 0.22, 0.075),  # bridge of the nose
        (0, 0.18, 0.085, 0.075, 0.12),  # its tip
        (0, 0.40, 0.20, 0.07, 0.03),  # upper lip
        (0, 0.60 + drop, 0.16, 0.05, 0.04),  # lower lip
        (0, 0.70 + drop, 0.16, 0.035, -0.03),  # hollow below it
        (0, 0.84 + drop, 0.14, 0.09, 0.05 + 0.04 * au[:, 17].mean()),  # chin
        (0, -0.66, 0.42, 0.18, 0.05),  # forehead
    ]
    relief = np.array(bumps)
    centres = turned(relief[:, :2], turn, 0.06)
    axis = (np.arange(len(solid.pixels)) + 0.5) / solid.scale - REACH

    def bells(centre: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = (axis - centre[:, None]) / width[:, None]
        bell = np.exp(-0.5 * away**2)
        return bell, -away / width[:, None] * bell

    across, across_slope = bells(centres[:, 0], relief[:, 2])
    along, along_slope = bells(centres[:, 1], relief[:, 3])
    height = relief[:, 4][:, None]
    u, v = axis / (0.80 * who["width"]), axis / 1.18
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
