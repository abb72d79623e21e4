"""Drawn faces: facial action units move the geometry of a face, which is painted and lit."""

import operator
from collections.abc import Mapping

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes
from fer_utils.data.drawing.geometry import ellipse
from fer_utils.data.drawing.person import random_person
from fer_utils.data.drawing.render import render
from fer_utils.data.drawing.units import ACTION_UNITS, DRAWABLE, both_sides
from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError

__all__ = [
    "ACTION_UNITS",
    "DRAWABLE",
    "both_sides",
    "check_whole",
    "draw_face",
    "draw_object",
    "random_person",
    "render",
    "to_bytes",
]


def draw_face(
    emotion: str | None = None,
    *,
    action_units: Mapping[int, float] | None = None,
    seed: int = 0,
    side: int = SIDE,
) -> np.ndarray:
    """Draw one face upright in even light, without noise: a picture of what action units do.

    Args:
        emotion: its `ACTION_UNITS` at full intensity; None with no `action_units` is a neutral
            face.
        action_units: intensity, 0 to 1, of each action unit, instead of `emotion`.
        seed: who is shown.
        side: height and width of the picture in pixels, 16 to 1024.

    Returns:
        uint8 (side, side), 0 is black.

    Raises:
        StudyError: an unknown emotion or action unit, an intensity beyond 0 to 1, or both arguments
            given.
    """
    seed = check_whole("seed", seed, 0)
    side = check_whole("side", side, 16)
    if side > 1024:
        raise StudyError(f"side: expected 16 to 1024 pixels, found {side}.")
    if emotion is not None and action_units is not None:
        raise StudyError("draw_face: expected emotion or action_units, found both. Leave one out.")
    if action_units is None:
        if emotion is not None and emotion not in ACTION_UNITS:
            raise StudyError(f"emotion: expected one of {', '.join(EMOTIONS)}, found {emotion!r}.")
        action_units = dict.fromkeys(ACTION_UNITS[emotion or "neutral"], 1.0)
    for unit, intensity in action_units.items():
        if unit not in DRAWABLE:
            raise StudyError(f"action_units: expected numbers of {DRAWABLE}, found {unit!r}.")
        if not 0 <= intensity <= 1:
            raise StudyError(
                f"action_units: expected an intensity of 0 to 1 for {unit}, found {intensity!r}."
            )
    rng = np.random.default_rng((seed, 2))
    person = random_person(rng)
    light = (-0.35, -0.45, 0.8)
    return render(
        person, both_sides(action_units), rng, side=side, light=light, pose=(0.0, 0.93, 0.0, -0.02)
    )


def check_whole(name: str, value: int, least: int) -> int:
    """`value` as an int; StudyError where it is no whole number or below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise StudyError(f"{name}: expected a whole number of at least {least}, found {value!r}.")
    return number


def draw_object(rng: np.random.Generator) -> np.ndarray:
    """A mug, a house or a tree on a plain ground, uint8 (48, 48)."""
    light, dark = 150 + 90 * rng.random(), 20 + 80 * rng.random()
    paint = Canvas(SIDE, light)
    grow, shift = 0.8 + 0.4 * rng.random(), 0.3 * (rng.random(2) - 0.5)

    def at(points):
        return np.array(points) * grow + shift

    kind = rng.integers(3)
    if kind == 0:
        paint.stroke(at(ellipse(0.42, 0.05, 0.22, 0.26)), dark, 0.1)
        paint.fill(at([(-0.45, -0.4), (0.4, -0.4), (0.34, 0.5), (-0.39, 0.5)]), dark)
        paint.fill(at(ellipse(-0.025, -0.4, 0.425, 0.1)), (light + dark) / 2)
    elif kind == 1:
        paint.fill(at([(-0.5, -0.1), (0.5, -0.1), (0.5, 0.6), (-0.5, 0.6)]), (light + dark) / 2)
        paint.fill(at([(-0.62, -0.1), (0, -0.65), (0.62, -0.1)]), dark)
        paint.fill(at([(-0.12, 0.15), (0.12, 0.15), (0.12, 0.6), (-0.12, 0.6)]), dark)
    else:
        paint.fill(at([(-0.08, 0), (0.08, 0), (0.1, 0.75), (-0.1, 0.75)]), dark)
        for _ in range(6):
            cx, cy = 0.7 * (rng.random(2) - 0.5)
            paint.fill(at(ellipse(cx, cy - 0.25, 0.3, 0.25)), dark + 30 * rng.random())
    edge = (len(paint.pixels) - SIDE * PAINT) // 2
    picture = cv2.resize(
        paint.pixels[edge:-edge, edge:-edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    return to_bytes(picture + 3 * rng.standard_normal((SIDE, SIDE)))
