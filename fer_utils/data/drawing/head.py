"""The head of a drawn face and everything behind it: ground, neck, ears, outline, folds of skin."""

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import Canvas
from fer_utils.data.drawing.geometry import REACH, ellipse, lens, smooth, symmetric
from fer_utils.data.drawing.person import BOB, LONG


def head_outline(person: dict[str, float], units: np.ndarray) -> np.ndarray:
    """The outline of the head. A dropped jaw lengthens it."""
    w, h, jaw, drop = person["width"], person["height"], person["jaw"], 0.15 * units[:, 26].mean()
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
    return smooth(symmetric(half))


def paint_ground(paint: Canvas, person: dict[str, float], rng: np.random.Generator) -> None:
    """Paint up to four blurred ellipses and bars."""
    for _ in range(rng.integers(0, 5)):
        x, y = REACH * (2 * rng.random(2) - 1)
        tone = person["ground"] + 90 * (rng.random() - 0.5)
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


def paint_neck(paint: Canvas, person: dict[str, float], shadow: Canvas) -> None:
    """Paint the neck, clothes, and the shadow of the chin."""
    paint.fill([(-0.5, 0.5), (0.5, 0.5), (0.52, 1.4), (-0.52, 1.4)], person["skin"] * 0.72)
    shirt = [(-1.4, 1.28), (-0.5, 1.1), (0, 1.32), (0.5, 1.1), (1.4, 1.28), (1.4, 1.4), (-1.4, 1.4)]
    paint.fill(shirt, person["clothes"])
    shadow.fill(ellipse(0, 1.12, 0.5, 0.13), 70)


def paint_ears(paint: Canvas, person: dict[str, float]) -> None:
    """Paint the ears if hair does not cover them."""
    if person["hairstyle"] in (LONG, BOB):
        return
    for sign in (-1, 1):
        x = sign * 0.72 * person["width"] - 0.10 * paint.turn
        paint.fill(ellipse(x, -0.08, 0.085, 0.19), person["skin"] * 0.86)
        paint.fill(ellipse(x + sign * 0.005, -0.08, 0.045, 0.12), person["skin"] * 0.66)


def paint_folds(
    crease: Canvas, shadow: Canvas, person: dict[str, float], units: np.ndarray
) -> None:
    """Paint the folds of skin that come with action units and age."""
    age, mean = person["age"], units.mean(axis=0)

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
        a, flip = units[s], np.array([sign, 1])
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
