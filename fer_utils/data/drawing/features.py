"""The features of a face: head, eyes, brows, nose, mouth, folds, hair, beard and glasses."""

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes
from fer_utils.data.drawing.geometry import REACH, ellipse, lens, mirrored, smooth
from fer_utils.data.drawing.person import BALD, BOB, CURLS, LONG, PARTED, SHORT

ACROSS = np.linspace(-1, 1, 19)  # a mouth or an eye, from corner to corner


def head_outline(who: dict[str, float], au: np.ndarray) -> np.ndarray:
    w, h, jaw, drop = who["width"], who["height"], who["jaw"], 0.15 * au[:, 26].mean()
    half = [
        (0.0, -1.08 * h),
        (0.42 * w, -0.99 * h),
        (0.64 * w, -0.72),
        (0.715 * w, -0.30),
        (0.695 * w, 0.08),
        (0.60 * w * (0.5 + 0.5 * jaw), 0.46 + 0.3 * drop),
        (0.43 * w * jaw, 0.76 * h + 0.8 * drop),
        (0.19 * w * jaw, 0.955 * h + drop),
        (0.0, 0.985 * h + drop),
    ]
    return smooth(mirrored(half))


def paint_ground(paint: Canvas, who: dict[str, float], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(0, 5)):
        x, y = REACH * (2 * rng.random(2) - 1)
        tone = who["ground"] + 90 * (rng.random() - 0.5)
        if rng.random() < 0.5:
            paint.fill(ellipse(x, y, 0.2 + 0.4 * rng.random(), 0.2 + 0.4 * rng.random()), tone)
        else:
            wide = 0.1 + 0.4 * rng.random()
            paint.fill(
                [(x - wide, -REACH), (x + wide, -REACH), (x + wide, REACH), (x - wide, REACH)], tone
            )
    size = len(paint.pixels)
    small = cv2.resize(paint.pixels, (32, 32), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (5, 5), 1.2)  # out of focus
    paint.pixels[:] = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def paint_neck(paint: Canvas, who: dict[str, float], shadow: Canvas) -> None:
    paint.fill([(-0.5, 0.5), (0.5, 0.5), (0.52, 1.4), (-0.52, 1.4)], who["skin"] * 0.72)
    shirt = [(-1.4, 1.28), (-0.5, 1.1), (0, 1.32), (0.5, 1.1), (1.4, 1.28), (1.4, 1.4), (-1.4, 1.4)]
    paint.fill(shirt, who["clothes"])
    shadow.fill(ellipse(0, 1.12, 0.5, 0.13), 70)


def paint_ears(paint: Canvas, who: dict[str, float]) -> None:
    if who["hairstyle"] in (LONG, BOB):  # covered
        return
    for sign in (-1, 1):
        x = sign * 0.72 * who["width"] - 0.10 * paint.turn
        paint.fill(ellipse(x, -0.08, 0.085, 0.19), who["skin"] * 0.86)
        paint.fill(ellipse(x + sign * 0.005, -0.08, 0.045, 0.12), who["skin"] * 0.66)


def paint_folds(crease: Canvas, shadow: Canvas, who: dict[str, float], au: np.ndarray) -> None:
    """Furrows that action units and age leave in the skin."""
    age, mean = who["age"], au.mean(axis=0)

    def fold(points, depth: float, width: float = 0.045) -> None:
        if depth > 0.05:
            crease.fill(lens(points, width), 255 * min(0.8, depth), 0)

    for step in range(3):  # across the forehead
        y = -0.59 - 0.09 * step - 0.04 * mean[1]
        fold([(-0.30, y - 0.01), (0.0, y), (0.30, y - 0.01)], 0.45 * mean[1] + 0.12 * age, 0.04)
    fold(
        [(-0.17, 0.745), (0.0, 0.71), (0.17, 0.745)], 0.14 + 0.45 * mean[17] + 0.15 * mean[15], 0.05
    )
    for step in range(2):  # across the bridge of the nose
        y = -0.23 + 0.08 * step
        fold([(-0.09, y + 0.01), (0.0, y - 0.01), (0.09, y + 0.01)], 0.42 * mean[9], 0.04)

    for s, sign in ((0, -1), (1, 1)):
        a, flip = au[s], np.array([sign, 1])
        cheek = max(a[6], a[12])
        # from the nose around the mouth
        round_mouth = np.array(
            [
                (0.145, 0.16 - 0.03 * a[9]),
                (0.27 + 0.03 * a[12], 0.27),
                (0.35 + 0.09 * a[12], 0.44),
                (0.37, 0.52),
            ]
        )
        fold(
            round_mouth * flip, 0.06 + 0.16 * age + 0.36 * cheek + 0.42 * a[9] + 0.10 * a[20], 0.05
        )
        for step in range(2):  # above the outer brow
            y = -0.62 - 0.09 * step - 0.05 * a[2]
            fold(
                np.array([(0.27, y), (0.42, y), (0.56, y + 0.08)]) * flip,
                0.35 * a[2] + 0.06 * age,
                0.035,
            )
        # between the brows
        fold(
            np.array([(0.06, -0.58), (0.06, -0.44), (0.04, -0.31)]) * flip,
            0.8 * a[4] + 0.2 * a[9] + 0.08 * age,
            0.04,
        )
        # beside the nose
        fold(np.array([(0.10, -0.18), (0.14, -0.06), (0.13, 0.05)]) * flip, 0.35 * a[9])
        # crow's feet, and below the eye
        for rise in (-0.05, 0.02, 0.09):
            fold(
                np.array([(0.53, -0.20 + 0.3 * rise), (0.66, -0.20 + 1.3 * rise)]) * flip,
                0.45 * a[6] + 0.1 * age,
                0.03,
            )
        fold(
            np.array([(0.17, -0.10), (0.32, -0.055), (0.49, -0.11)]) * flip,
            0.16 + 0.16 * age + 0.32 * a[6] + 0.30 * a[7] + 0.1 * a[9],
        )
        # below the corners of the mouth
        fold(
            np.array([(0.31, 0.60), (0.37, 0.68), (0.375, 0.80)]) * flip,
            0.32 * a[15] + 0.16 * age + 0.10 * a[16],
            0.035,
        )
        shadow.fill(ellipse(sign * 0.30, -0.21, 0.17, 0.11), 48 + 25 * a[4] + 15 * age, 0)
        if cheek > 0.2:  # below the raised cheek
            shadow.stroke(np.array([(0.40, 0.34), (0.50, 0.40)]) * flip, 45 * cheek, 0.10, 0)


def paint_nose(
    paint: Canvas, crease: Canvas, shadow: Canvas, who: dict[str, float], au: np.ndarray
) -> None:
    w, lift = who["nose_width"], 0.12
    up = 0.035 * au[:, 9].mean()
    base = 0.235 * who["nose_length"] - up
    for sign in (-1, 1):
        paint.fill(
            ellipse(sign * 0.062 * w, base, 0.034 * w, 0.017 + 0.3 * up), who["skin"] * 0.38, lift
        )
        wing = np.array([(0.115, base - 0.09), (0.145, base - 0.03), (0.12, base + 0.01)]) * (
            sign * w,
            1,
        )
        crease.stroke(smooth(wing, closed=False), 90 + 2500 * up, 0.022, lift)
    shadow.fill(ellipse(0, base + 0.055, 0.15 * w, 0.04), 75, 0.06)


def paint_mouth(
    paint: Canvas, crease: Canvas, shadow: Canvas, who: dict[str, float], au: np.ndarray
) -> None:
    mean = au.mean(axis=0)
    t = ACROSS
    side = (t > 0).astype(int)
    a = au[side].T  # an action unit, then a point from the left corner to the right
    belly = 1 - t**2
    # A strong smile or scream parts the lips by itself.
    part = max(mean[25], 0.75 * mean[12] - 0.25, 0.4 * mean[20])
    pull = np.abs(t) ** 1.6
    half = 0.265 * who["mouth_width"] * (1 - 0.10 * a[23] - 0.16 * a[26] + 0.06 * a[26] * a[20])
    half = half + 0.085 * a[12] + 0.10 * a[20]
    x = t * half
    corner = who["mouth_rest"] - 0.150 * a[12] + 0.03 * a[20] + 0.09 * a[26]
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
    thick = who["lips"] * thin
    bow = 1 - 0.22 * np.exp(-((t / 0.14) ** 2))
    top = upper - 0.074 * thick * belly**0.75 * bow
    bottom = lower + 0.090 * thick * (1 - 0.25 * mean[26]) * belly**0.6

    def area(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        return np.concatenate([np.array([x, above]).T, np.array([x, below]).T[::-1]])

    lip = who["skin"] * who["lip_tone"]
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
    paint: Canvas, crease: Canvas, shadow: Canvas, who: dict[str, float], a: np.ndarray, s: int
) -> None:
    sign = 2 * s - 1
    v = ACROSS  # from the nose outwards
    half = 0.160 * who["eye_size"]
    x = sign * (0.325 * who["eye_gap"] + half * v)
    open_ = 1 - a[43]
    above = (
        0.074 * who["eye_open"]
        + 0.058 * a[5]
        - 0.026 * a[7]
        - 0.022 * a[4] * (1 - a[5])
        - 0.02 * a[9]
    ) * open_
    below = (0.050 - 0.024 * a[7] - 0.036 * a[6] - 0.02 * a[9]) * open_
    bow = (1 - v**2) ** 0.75
    slant = -0.22 - who["eye_tilt"] * v - 0.018 * a[1] * (1 - v) / 2 * (1 - a[2])
    upper = slant - max(0.012, above) * bow
    lower = slant + max(0.004, below) * bow
    lid = np.array([x, upper]).T
    rim = np.array([x, lower]).T
    if open_ > 0.3:
        paint.fill(np.concatenate([lid, rim[::-1]]), 215, 0)
        iris = ellipse(
            sign * 0.325 * who["eye_gap"] + who["gaze_x"], -0.225 + who["gaze_y"], 0.073, 0.073
        )
        centre = iris.mean(axis=0)
        student = centre + 0.42 * (iris - centre)
        glint = ellipse(centre[0] - 0.025, centre[1] - 0.028, 0.018, 0.018)
        seen = np.concatenate([iris, student, glint])  # as far as the lids let it be
        order = np.argsort(x)
        seen[:, 0] = np.clip(seen[:, 0], x.min(), x.max())
        high, low = (np.interp(seen[:, 0], x[order], edge[order]) for edge in (upper, lower))
        seen[:, 1] = np.clip(seen[:, 1], high, low)
        for shape, tone in zip(np.split(seen, 3), (who["iris"], 8, 250), strict=True):
            paint.fill(shape, tone, 0)
    paint.stroke(lid, who["skin"] * 0.2, 0.028 if open_ > 0.3 else 0.035, 0)
    crease.stroke(rim, 75, 0.014, 0)
    fold = np.array([x, upper - 0.045 + 0.025 * a[5] - 0.01 * bow]).T
    crease.stroke(fold, 80, 0.018, 0)


def paint_brow(paint: Canvas, shadow: Canvas, who: dict[str, float], a: np.ndarray, s: int) -> None:
    sign = 2 * s - 1
    low, arch = -0.415 + who["brow_height"], 0.055 * who["brow_arch"]
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
    line[:, 0] *= who["eye_gap"]
    taper = np.interp(np.linspace(0, 1, len(line)), [0, 0.15, 0.6, 1], [0.7, 1, 0.85, 0.25])
    thick = 0.033 * who["brow_thick"] * taper
    beside = np.array([0 * thick, thick]).T
    shape = np.concatenate([line - beside, (line + beside)[::-1]])
    paint.fill(shape * (sign, 1), who["brow_tone"], 0)
    shadow.stroke((line + np.array([0, 0.03])) * (sign, 1), 45 + 30 * a[4], 0.05, 0)


def paint_hair_behind(paint: Canvas, who: dict[str, float]) -> None:
    w = who["width"]
    if who["hairstyle"] == LONG:
        half = [
            (0, -1.27),
            (0.55 * w, -1.15),
            (0.86 * w, -0.7),
            (0.92 * w, 0.0),
            (0.98 * w, 0.8),
            (0.8, 1.4),
            (0, 1.4),
        ]
        paint.fill(smooth(mirrored(half)), who["hair"] * 0.8)
    elif who["hairstyle"] == BOB:
        half = [
            (0, -1.27),
            (0.55 * w, -1.15),
            (0.87 * w, -0.7),
            (0.93 * w, 0.0),
            (0.82 * w, 0.55),
            (0.4, 0.5),
            (0, 0.4),
        ]
        paint.fill(smooth(mirrored(half)), who["hair"] * 0.8)
    elif who["hairstyle"] == CURLS:
        for turn in np.linspace(np.pi * 0.95, np.pi * 2.05, 13):
            x, y = 0.78 * w * np.cos(turn), -0.35 + 0.78 * np.sin(turn)
            paint.fill(ellipse(x, y, 0.2, 0.2), who["hair"] * (0.85 + 0.15 * np.sin(5 * turn)))


def paint_hair(
    paint: Canvas,
    crease: Canvas,
    shadow: Canvas,
    who: dict[str, float],
    rng: np.random.Generator,
) -> None:
    w, style = who["width"], int(who["hairstyle"])
    line = -0.80 + who["hairline"]
    top = [(0.74 * w, -0.28), (0.80 * w, -0.75), (0.48 * w, -1.22), (0, -1.3)]
    top += [(-x, y) for x, y in top[-2::-1]]
    hairlines = {
        SHORT: [
            (-0.66 * w, -0.55),
            (-0.42, line + 0.02),
            (0, line - 0.03),
            (0.42, line + 0.02),
            (0.66 * w, -0.55),
        ],
        PARTED: [
            (-0.66 * w, -0.5),
            (-0.40, line + 0.12),
            (-0.25, line - 0.04),
            (0.3, line + 0.03),
            (0.66 * w, -0.5),
        ],
        LONG: [
            (-0.70 * w, 0.1),
            (-0.58 * w, -0.5),
            (0, line - 0.08),
            (0.58 * w, -0.5),
            (0.70 * w, 0.1),
        ],
        BOB: [
            (-0.70 * w, 0.1),
            (-0.60 * w, -0.55),
            (-0.3, -0.62),
            (0.3, -0.64),
            (0.60 * w, -0.55),
            (0.70 * w, 0.1),
        ],
        CURLS: [(-0.66 * w, -0.5), (-0.42, line), (0, line - 0.04), (0.42, line), (0.66 * w, -0.5)],
    }
    if style == BALD:
        return
    edge = smooth(hairlines[style], closed=False)
    shape = np.concatenate([smooth(top, closed=False), edge])
    shadow.stroke(edge + np.array([0, 0.02]), 70, 0.06, 0)
    paint.fill(shape, who["hair"], 0)
    crease.fill(shape, 0, 0)
    for _ in range(10):  # strands
        at = rng.random()
        start = np.array([1.5 * (at - 0.5) * w, -1.28 + 0.9 * abs(at - 0.5)])
        end = edge[int(at * (len(edge) - 1))] + (0.06 * (rng.random() - 0.5), -0.06)
        bend = (start + end) / 2 + (0.25 * (at - 0.5), -0.05)
        tone = who["hair"] * (0.78 + 0.42 * rng.random()) + 8 * rng.random()
        paint.stroke(smooth([start, bend, end], closed=False), tone, 0.014 + 0.02 * rng.random(), 0)


def paint_beard(paint: Canvas, who: dict[str, float], au: np.ndarray) -> None:
    if not who["beard"] and not who["moustache"]:
        return
    hairs = Canvas(paint.side, 0, PAINT, paint.turn)
    w, jaw, drop = who["width"], who["jaw"], 0.15 * au[:, 26].mean()
    if who["beard"]:
        half = [
            (0.69 * w, -0.05),
            (0.64 * w, 0.42),
            (0.45 * w * jaw, 0.80 + drop),
            (0.18 * w, 1.0 + drop),
            (-0.18 * w, 1.0 + drop),
            (-0.45 * w * jaw, 0.80 + drop),
            (-0.64 * w, 0.42),
            (-0.69 * w, -0.05),
            (-0.52 * w, 0.34),
            (-0.36 * w, 0.60),
            (-0.14, 0.735 + drop),
            (0.14, 0.735 + drop),
            (0.36 * w, 0.60),
            (0.52 * w, 0.34),
        ]
        hairs.fill(smooth(half), 255 * who["beard"], 0)
    if who["moustache"]:
        up = 0.05 * au[:, 9].mean()
        corner = 0.43 - 0.08 * au[:, 12].mean() + 0.05 * au[:, 15].mean() + 0.05 * drop
        half = [
            (0.0, 0.31 - up),
            (0.16, 0.33 - up),
            (0.30 + 0.06 * au[:, 12].mean(), corner),
            (0.14, 0.415 - up),
            (0.0, 0.40 - up),
        ]
        hairs.fill(smooth(mirrored(half)), 255 * who["moustache"], 0.05)
    cover = 0.8 * hairs.blurred(0.02)
    grown = cover > 0
    skin, cover = paint.pixels[grown], cover[grown]
    paint.pixels[grown] = to_bytes(skin * (1 - cover) + cover * who["hair"])


def paint_glasses(paint: Canvas, who: dict[str, float]) -> None:
    tone = 25 if who["glasses"] < 3 else 90
    for sign in (-1, 1):
        x = sign * 0.335 * who["eye_gap"]
        if who["glasses"] == 1:
            rim = ellipse(x, -0.20, 0.235, 0.215)
        else:
            half = np.array(
                [
                    (-0.24, -0.15),
                    (0.0, -0.17),
                    (0.24, -0.15),
                    (0.21, 0.16),
                    (0.0, 0.19),
                    (-0.2, 0.16),
                ]
            )
            rim = smooth(half + np.array([x, -0.21]))
        paint.stroke(rim, tone, 0.032 if who["glasses"] < 3 else 0.02, 0.04, closed=True)
        paint.stroke([(sign * 0.57, -0.26), (sign * 0.74 * who["width"], -0.22)], tone, 0.03, 0)
    paint.stroke([(-0.1, -0.24), (0, -0.265), (0.1, -0.24)], tone, 0.03, 0.06)
