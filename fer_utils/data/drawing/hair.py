"""Hair, beard and glasses of a drawn face."""

import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes
from fer_utils.data.drawing.geometry import ellipse, smooth, symmetric
from fer_utils.data.drawing.person import BALD, BOB, CURLS, LONG, PARTED, SHORT


def paint_hair_behind(paint: Canvas, person: dict[str, float]) -> None:
    """Paint the hair behind the head."""
    w = person["width"]
    if person["hairstyle"] == LONG:
        half = [
            (0, -1.27),
            (0.55 * w, -1.15),
            (0.86 * w, -0.7),
            (0.92 * w, 0.0),
            (0.98 * w, 0.8),
            (0.8, 1.4),
            (0, 1.4),
        ]
        paint.fill(smooth(symmetric(half)), person["hair"] * 0.8)
    elif person["hairstyle"] == BOB:
        half = [
            (0, -1.27),
            (0.55 * w, -1.15),
            (0.87 * w, -0.7),
            (0.93 * w, 0.0),
            (0.82 * w, 0.55),
            (0.4, 0.5),
            (0, 0.4),
        ]
        paint.fill(smooth(symmetric(half)), person["hair"] * 0.8)
    elif person["hairstyle"] == CURLS:
        for turn in np.linspace(np.pi * 0.95, np.pi * 2.05, 13):
            x, y = 0.78 * w * np.cos(turn), -0.35 + 0.78 * np.sin(turn)
            paint.fill(ellipse(x, y, 0.2, 0.2), person["hair"] * (0.85 + 0.15 * np.sin(5 * turn)))


def paint_hair(
    paint: Canvas,
    crease: Canvas,
    shadow: Canvas,
    person: dict[str, float],
    rng: np.random.Generator,
) -> None:
    """Paint the hair on the head, with its shadow on the forehead."""
    w, style = person["width"], int(person["hairstyle"])
    line = -0.80 + person["hairline"]
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
    paint.fill(shape, person["hair"], 0)
    crease.fill(shape, 0, 0)
    for _ in range(10):  # strands from the top of the head to the hairline
        place = rng.random()
        start = np.array([1.5 * (place - 0.5) * w, -1.28 + 0.9 * abs(place - 0.5)])
        end = edge[int(place * (len(edge) - 1))] + (0.06 * (rng.random() - 0.5), -0.06)
        bend = (start + end) / 2 + (0.25 * (place - 0.5), -0.05)
        tone = person["hair"] * (0.78 + 0.42 * rng.random()) + 8 * rng.random()
        paint.stroke(smooth([start, bend, end], closed=False), tone, 0.014 + 0.02 * rng.random(), 0)


def paint_beard(paint: Canvas, person: dict[str, float], units: np.ndarray) -> None:
    """Mix the tone of hair into the skin of beard and moustache."""
    if not person["beard"] and not person["moustache"]:
        return
    hairs = Canvas(paint.side, 0, PAINT, paint.turn)
    w, jaw, drop = person["width"], person["jaw"], 0.15 * units[:, 26].mean()
    if person["beard"]:
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
        hairs.fill(smooth(half), 255 * person["beard"], 0)
    if person["moustache"]:
        up = 0.05 * units[:, 9].mean()
        corner = 0.43 - 0.08 * units[:, 12].mean() + 0.05 * units[:, 15].mean() + 0.05 * drop
        half = [
            (0.0, 0.31 - up),
            (0.16, 0.33 - up),
            (0.30 + 0.06 * units[:, 12].mean(), corner),
            (0.14, 0.415 - up),
            (0.0, 0.40 - up),
        ]
        hairs.fill(smooth(symmetric(half)), 255 * person["moustache"], 0.05)
    cover = 0.8 * hairs.blurred(0.02)
    covered = cover > 0
    skin, cover = paint.pixels[covered], cover[covered]
    paint.pixels[covered] = to_bytes(skin * (1 - cover) + cover * person["hair"])


def paint_glasses(paint: Canvas, person: dict[str, float]) -> None:
    """Paint glasses: 1 is round, 2 is angular, 3 is angular with a thin frame."""
    tone = 25 if person["glasses"] < 3 else 90
    for sign in (-1, 1):
        x = sign * 0.335 * person["eye_gap"]
        if person["glasses"] == 1:
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
        paint.stroke(rim, tone, 0.032 if person["glasses"] < 3 else 0.02, 0.04, closed=True)
        paint.stroke([(sign * 0.57, -0.26), (sign * 0.74 * person["width"], -0.22)], tone, 0.03, 0)
    paint.stroke([(-0.1, -0.24), (0, -0.265), (0.1, -0.24)], tone, 0.03, 0.06)
