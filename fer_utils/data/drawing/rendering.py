"""A whole drawn face: its parts are painted in order, lit, rotated and reduced."""

import operator
from collections.abc import Mapping

import cv2
import numpy as np

from fer_utils.data.drawing.canvas import PAINT, Canvas, to_bytes
from fer_utils.data.drawing.features import paint_brow, paint_eye, paint_mouth, paint_nose
from fer_utils.data.drawing.hair import paint_beard, paint_glasses, paint_hair, paint_hair_behind
from fer_utils.data.drawing.head import (
    head_outline,
    paint_ears,
    paint_folds,
    paint_ground,
    paint_neck,
)
from fer_utils.data.drawing.light import lighting
from fer_utils.data.drawing.person import random_person
from fer_utils.data.drawing.units import ACTION_UNITS, DRAWABLE, both_sides
from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError


def draw_face(
    emotion: str | None = None,
    *,
    action_units: Mapping[int, float] | None = None,
    seed: int = 0,
    side: int = SIDE,
) -> np.ndarray:
    """Draw one upright face in even light, without noise, to show the effect of action units.

    Args:
        emotion: draws its `ACTION_UNITS` at full intensity. None draws a neutral face.
        action_units: intensities, 0 to 1, by number of the action unit; used instead of `emotion`.
        seed: of the random person.
        side: height and width of the picture in pixels, 16 to 1024.

    Returns:
        uint8 (side, side), 0 is black.

    Raises:
        StudyError: an emotion or action unit is unknown, an intensity is not within 0 to 1, `side`
            or `seed` is out of range, or both `emotion` and `action_units` are set.
    """
    seed = check_whole("seed", seed, 0)
    side = check_whole("side", side, 16)
    if side > 1024:
        raise StudyError(f"side: expected 16 to 1024 pixels, found {side}. Draw a smaller face.")
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
    """Convert `value` to an int. Raises StudyError if it is no whole number or below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise StudyError(f"{name}: expected a whole number of at least {least}, found {value!r}.")
    return number


def render(
    person: dict[str, float],
    units: np.ndarray,
    rng: np.random.Generator,
    *,
    side: int,
    light,
    turn: float = 0.0,
    pose: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 0.0),
) -> np.ndarray:
    """Draw a person's face as uint8 (side, side).

    The tones of skin, hair and eyes are multiplied by the light on a relief of the face, and by
    creases and soft shadows.

    Args:
        person: as `random_person` returns it.
        units: intensities of action units, float (2, n), as `both_sides` returns them.
        rng: for background and hair.
        side: height and width of the picture in pixels.
        light: direction to the lamp: right, down, towards the viewer.
        turn: sine of the head's rotation about its vertical axis.
        pose: rotation in degrees, zoom, and translation to the right and down, where 1 is half the
            picture.
    """
    paint = Canvas(side, person["ground"], PAINT, turn)
    crease, shadow, solid = (Canvas(side, 0, PAINT // 2, turn) for _ in range(3))
    head = head_outline(person, units)

    paint_ground(paint, person, rng)
    paint_hair_behind(paint, person)
    paint_neck(paint, person, shadow)
    paint_ears(paint, person)
    paint.fill(head, person["skin"], 0)
    solid.fill(head, 255, 0)
    solid.stroke(head, 255, 0.05, 0, closed=True)  # otherwise the face would have a bright rim

    paint_folds(crease, shadow, person, units)
    paint_nose(paint, crease, shadow, person, units)
    paint_mouth(paint, crease, shadow, person, units)
    paint_beard(paint, person, units)
    for s in (0, 1):
        paint_eye(paint, crease, shadow, person, units[s], s)
        paint_brow(paint, shadow, person, units[s], s)
    paint_hair(paint, crease, shadow, person, rng)
    if person["glasses"]:
        paint_glasses(paint, person)

    angle, zoom, right, down = pose
    tilt = np.deg2rad(angle)
    # The picture is rotated below. Rotating the light back keeps it in place.
    lx, ly, lz = light
    light = np.array(
        [lx * np.cos(tilt) + ly * np.sin(tilt), ly * np.cos(tilt) - lx * np.sin(tilt), lz]
    )
    lit = lighting(solid, person, units, turn, light)
    tones = cv2.resize(paint.pixels, solid.pixels.shape, interpolation=cv2.INTER_AREA) / 255
    tones = tones * lit * (1 - crease.blurred(0.016)) * (1 - shadow.blurred(0.055))

    # Rotate, zoom and translate about the middle of the canvas, and crop to the picture.
    half = len(tones) / 2 - 0.5
    middle = side * PAINT / 4 - 0.5
    c, s = zoom * np.cos(tilt), zoom * np.sin(tilt)
    x, y = middle + solid.scale * right, middle + solid.scale * down
    matrix = np.array([[c, -s, x - c * half + s * half], [s, c, y - s * half - c * half]])
    size = (side * PAINT // 2,) * 2
    posed = cv2.warpAffine(
        to_bytes(255 * tones), matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(posed, (side, side), interpolation=cv2.INTER_AREA)
