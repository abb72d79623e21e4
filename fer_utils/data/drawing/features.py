"""The features of a drawn face: eyes, brows, nose and mouth, which action units move."""

import numpy as np

from fer_utils.data.drawing.canvas import Canvas
from fer_utils.data.drawing.geometry import ellipse, smooth

ACROSS = np.linspace(-1, 1, 19)  # points of a mouth or an eye, from corner to corner


def paint_nose(
    paint: Canvas, crease: Canvas, shadow: Canvas, person: dict[str, float], units: np.ndarray
) -> None:
    """Paint the nostrils and the wings of the nose."""
    w, lift = person["nose_width"], 0.12
    up = 0.035 * units[:, 9].mean()
    base = 0.235 * person["nose_length"] - up
    for sign in (-1, 1):
        paint.fill(
            ellipse(sign * 0.062 * w, base, 0.034 * w, 0.017 + 0.3 * up),
            person["skin"] * 0.38,
            lift,
        )
        wing = np.array([(0.115, base - 0.09), (0.145, base - 0.03), (0.12, base + 0.01)]) * (
            sign * w,
            1,
        )
        crease.stroke(smooth(wing, closed=False), 90 + 2500 * up, 0.022, lift)
    shadow.fill(ellipse(0, base + 0.055, 0.15 * w, 0.04), 75, 0.06)


def paint_mouth(
    paint: Canvas, crease: Canvas, shadow: Canvas, person: dict[str, float], units: np.ndarray
) -> None:
    """Paint the lips, and the mouth between them with teeth and tongue."""
    mean = units.mean(axis=0)
    # Points from the left corner (-1) to the right corner (1), each with the units of its side.
    t = ACROSS
    side = (t > 0).astype(int)
    a = units[side].T  # (unit, point)
    belly = 1 - t**2
    # A strong smile or scream parts the lips even without unit 25.
    part = max(mean[25], 0.75 * mean[12] - 0.25, 0.4 * mean[20])
    pull = np.abs(t) ** 1.6
    half = 0.265 * person["mouth_width"] * (1 - 0.10 * a[23] - 0.16 * a[26] + 0.06 * a[26] * a[20])
    half = half + 0.085 * a[12] + 0.10 * a[20]
    x = t * half
    corner = person["mouth_rest"] - 0.150 * a[12] + 0.03 * a[20] + 0.09 * a[26]
    # The line between the lips, then the inner edges and the outer edges of the lips.
    seam = (
        0.49
        + 0.035 * mean[12]
        - 0.03 * a[17] * belly
        + corner * pull
        + 0.095 * a[15] * t**2
        - 0.02 * a[15]
    )
    raised = 0.065 * mean[9] + 0.015 * part
    dropped = 0.27 * mean[26] + 0.085 * part + 0.09 * mean[16]
    upper = seam - raised * belly
    lower = seam + dropped * belly**0.8
    thin = (1 - 0.6 * mean[23]) * (1 - 0.3 * mean[12]) * (1 - 0.25 * mean[20])
    thick = person["lips"] * thin
    bow = 1 - 0.22 * np.exp(-((t / 0.14) ** 2))
    top = upper - 0.074 * thick * belly**0.75 * bow
    bottom = lower + 0.090 * thick * (1 - 0.25 * mean[26]) * belly**0.6

    def area(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return np.concatenate([np.array([x, above]).T, np.array([x, below]).T[::-1]])

    lip = person["skin"] * person["lip_tone"]
    lift = 0.05
    paint.fill(area(top, upper), lip * 0.88, lift)
    paint.fill(area(lower, bottom), lip * 1.04, lift)
    gap = lower - upper
    if gap.max() > 0.03:
        paint.fill(area(upper, lower), 24, lift)
        show = 0.075 * min(1, 0.35 + mean[12] + mean[20] + 0.6 * mean[9])
        teeth = np.minimum(upper + show * belly**0.4, lower)
        inner = np.abs(t) < 0.86
        if gap.max() > 0.045:
            paint.fill(area(upper, teeth)[np.concatenate([inner, inner[::-1]])], 222, lift)
        if mean[16] > 0.25:
            below = np.maximum(lower - 0.055 * belly, teeth)
            paint.fill(area(below, lower)[np.concatenate([inner, inner[::-1]])], 190, lift)
        if gap.max() > 0.14:
            tongue = np.maximum(lower - 0.09 * belly, teeth + 0.03)
            tongue = np.minimum(tongue, lower)
            middle = np.abs(t) < 0.6
            paint.fill(
                area(tongue, lower)[np.concatenate([middle, middle[::-1]])], lip * 0.62, lift
            )
    else:
        crease.stroke(np.array([x, (upper + lower) / 2]).T, 175, 0.026, lift)
    crease.stroke(np.array([x, upper]).T, 110, 0.018, lift)
    for end in (0, -1):
        crease.fill(ellipse(x[end], seam[end], 0.03, 0.024), 150, lift)
    shadow.fill(ellipse(0, bottom.max() + 0.045, 0.15, 0.03), 60, 0)


def paint_eye(
    paint: Canvas, crease: Canvas, shadow: Canvas, person: dict[str, float], a: np.ndarray, s: int
) -> None:
    """Paint the eye on the left (0) or right (1) of the picture, with its units `a` (n,)."""
    sign = 2 * s - 1
    v = ACROSS  # points from the inner to the outer corner
    half = 0.160 * person["eye_size"]
    x = sign * (0.325 * person["eye_gap"] + half * v)
    open_ = 1 - a[43]
    above = (
        0.074 * person["eye_open"]
        + 0.058 * a[5]
        - 0.026 * a[7]
        - 0.022 * a[4] * (1 - a[5])
        - 0.02 * a[9]
    ) * open_
    below = (0.050 - 0.024 * a[7] - 0.036 * a[6] - 0.02 * a[9]) * open_
    bow = (1 - v**2) ** 0.75
    slant = -0.22 - person["eye_tilt"] * v - 0.018 * a[1] * (1 - v) / 2 * (1 - a[2])
    upper = slant - max(0.012, above) * bow
    lower = slant + max(0.004, below) * bow
    lid = np.array([x, upper]).T
    rim = np.array([x, lower]).T
    if open_ > 0.3:
        paint.fill(np.concatenate([lid, rim[::-1]]), 215, 0)
        iris = ellipse(
            sign * 0.325 * person["eye_gap"] + person["gaze_x"],
            -0.225 + person["gaze_y"],
            0.073,
            0.073,
        )
        centre = iris.mean(axis=0)
        pupil = centre + 0.42 * (iris - centre)
        glint = ellipse(centre[0] - 0.025, centre[1] - 0.028, 0.018, 0.018)
        # The lids limit the points of iris, pupil and glint.
        inside = np.concatenate([iris, pupil, glint])
        order = np.argsort(x)
        inside[:, 0] = np.clip(inside[:, 0], x.min(), x.max())
        high = np.interp(inside[:, 0], x[order], upper[order])
        low = np.interp(inside[:, 0], x[order], lower[order])
        inside[:, 1] = np.clip(inside[:, 1], high, low)
        for shape, tone in zip(np.split(inside, 3), (person["iris"], 8, 250), strict=True):
            paint.fill(shape, tone, 0)
    paint.stroke(lid, person["skin"] * 0.2, 0.028 if open_ > 0.3 else 0.035, 0)
    crease.stroke(rim, 75, 0.014, 0)
    fold = np.array([x, upper - 0.045 + 0.025 * a[5] - 0.01 * bow]).T
    crease.stroke(fold, 80, 0.018, 0)


def paint_brow(
    paint: Canvas, shadow: Canvas, person: dict[str, float], a: np.ndarray, s: int
) -> None:
    """Paint the brow on the left (0) or right (1) of the picture, with its units `a` (n,)."""
    sign = 2 * s - 1
    low, arch = -0.415 + person["brow_height"], 0.055 * person["brow_arch"]
    inner_drop = -0.125 * a[1] + 0.100 * a[4] * (1 - 0.65 * a[1]) + 0.04 * a[9]
    line = smooth(
        [
            (0.115 - 0.04 * a[4], low + inner_drop),
            (0.24, low - 0.75 * arch + 0.7 * inner_drop - 0.05 * a[2]),
            (0.39, low - arch - 0.03 * a[1] - 0.115 * a[2] + 0.055 * a[4] + 0.02 * a[9]),
            (0.54, low + 0.012 - 0.105 * a[2] + 0.03 * a[4]),
        ],
        closed=False,
    )
    line[:, 0] *= person["eye_gap"]
    taper = np.interp(np.linspace(0, 1, len(line)), [0, 0.15, 0.6, 1], [0.7, 1, 0.85, 0.25])
    thick = 0.033 * person["brow_thick"] * taper
    beside = np.array([0 * thick, thick]).T
    shape = np.concatenate([line - beside, (line + beside)[::-1]])
    paint.fill(shape * (sign, 1), person["brow_tone"], 0)
    shadow.stroke((line + np.array([0, 0.03])) * (sign, 1), 45 + 30 * a[4], 0.05, 0)
