"""Drawn faces: what facial action units do to the geometry of a face, painted and lit."""

import operator
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError

ACTION_UNITS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "angry": (4, 5, 7, 23),
        "disgust": (9, 15, 16),
        "fear": (1, 2, 4, 5, 20, 26),
        "happy": (6, 12),
        "sad": (1, 4, 15),
        "surprise": (1, 2, 5, 26),
        "neutral": (),
    }
)
"""The action units of each emotion's prototype: numbers of the Facial Action Coding System (Ekman &
Friesen 1978), combined as in EMFACS (Friesen & Ekman 1983), one combination an emotion:

1 inner brow raiser, 2 outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek raiser, 7 lid
tightener, 9 nose wrinkler, 12 lip corner puller, 15 lip corner depressor, 16 lower lip depressor,
20 lip stretcher, 23 lip tightener, 26 jaw drop. `draw_face` also knows 17 (chin raiser), 25 (lips
part) and 43 (eyes closed).
"""

DRAWABLE = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 17, 20, 23, 25, 26, 43)
"""Action units that move the geometry of a drawn face."""

# Face coordinates: x to the right, y down, the finished picture shows [-1, 1] both ways. The canvas
# reaches further, so that turning and shrinking the face uncovers more background, not an edge.
REACH = 4 / 3
PAINT = 4  # painted at this many times the final size, shaded at half of that


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


def to_bytes(picture) -> np.ndarray:
    """Any numbers as uint8, cut to 0 to 255."""
    return np.rint(np.minimum(255, np.maximum(0, picture))).astype(np.uint8)


# ---- geometry


def both_sides(units: Mapping[int, float]) -> np.ndarray:
    """Intensities (2, n): the face's left and right in the picture, a column for each number up to
    the last."""
    sides = np.zeros((2, DRAWABLE[-1] + 1))
    for unit, intensity in units.items():
        sides[:, unit] = intensity
    return sides


_TURN = 2 * np.pi * np.arange(28) / 28
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def _ellipse(x: float, y: float, a: float, b: float) -> np.ndarray:
    return _CIRCLE * [a, b] + [x, y]


@cache
def _spline(count: int, closed: bool, steps: int = 6) -> np.ndarray:
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


def _smooth(points, closed: bool = True) -> np.ndarray:
    """A smooth curve through `points` (n, 2)."""
    points = np.asarray(points, float)
    return _spline(len(points), closed) @ points


@cache
def _swelling(count: int) -> tuple[np.ndarray, np.ndarray]:
    """There and back along the curve of `_spline`, and how far each point lies beside it."""
    there = _spline(count, closed=False)
    swell = np.sin(np.pi * np.arange(len(there)) / (len(there) - 1))[:, None]
    return np.concatenate([there, there[::-1]]), np.concatenate([swell, -swell[::-1]])


def _lens(points, width: float) -> np.ndarray:
    """A closed shape along a curve, `width` in its middle and pointed at its ends: how a fold in
    skin looks."""
    points = np.asarray(points, float)
    curve, swell = _swelling(len(points))
    x, y = points[-1] - points[0]
    return curve @ points + swell * [-y, x] * (width / 2 / np.hypot(x, y))


def _mirrored(half) -> np.ndarray:
    """A closed outline from its right half, given from top to bottom."""
    half = np.asarray(half, float)
    return np.concatenate([half, half[::-1] * (-1, 1)])


class _Canvas:
    """Grey paint in face coordinates.

    With a `lift` (height above the head), points move as the head turns.
    """

    def __init__(self, side: int, tone: float, zoom: int = PAINT, turn: float = 0.0) -> None:
        self.side, self.turn = side, turn
        self.scale = side * zoom / 2
        size = round(2 * REACH * self.scale)
        self._pixels = np.full((size, size), to_bytes(tone), np.uint8)
        self._waiting: list[tuple[np.ndarray, float, float, float, bool]] = []

    def fill(self, points, tone: float, lift: float = np.nan) -> None:
        self._waiting.append((points, tone, lift, 0, True))

    def stroke(
        self, points, tone: float, width: float, lift: float = np.nan, closed: bool = False
    ) -> None:
        self._waiting.append((points, tone, lift, width, closed))

    @property
    def pixels(self) -> np.ndarray:
        """uint8, with all that was painted up to now."""
        if self._waiting:
            # Moving all points at once takes a third of the time of moving each shape's.
            shapes, tones, lifts, widths, closed = zip(*self._waiting, strict=True)
            self._waiting = []
            sizes = [len(points) for points in shapes]
            points, lift = np.concatenate(shapes), np.repeat(lifts, sizes)
            points = np.where(np.isnan(lift)[:, None], points, _turned(points, self.turn, lift))
            fixed = np.rint(((points + REACH) * self.scale - 0.5) * 16).astype(np.int32, order="C")
            end = 0
            for size, tone, width, close in zip(
                sizes, to_bytes(tones).tolist(), widths, closed, strict=True
            ):
                shape = fixed[end : (end := end + size)]
                if width:
                    thickness = max(1, round(width * self.scale))
                    cv2.polylines(self._pixels, [shape], close, tone, thickness, cv2.LINE_AA, 4)
                else:
                    cv2.fillPoly(self._pixels, [shape], tone, cv2.LINE_AA, 4)
        return self._pixels

    def blurred(self, sigma: float) -> np.ndarray:
        """float64 0 to 1."""
        return cv2.GaussianBlur(self.pixels, (0, 0), sigma * self.scale) / 255


def _turned(points: np.ndarray, turn: float, lift: float | np.ndarray) -> np.ndarray:
    """`points` (n, 2) as seen when the head turns about its vertical axis, `turn` being the
    sine."""
    depth = lift + 0.62 * np.sqrt(np.maximum(1 - points**2 @ _BULGE, 0))
    moved = points.copy()
    moved[:, 0] = points[:, 0] * (1 - turn**2) ** 0.5 + depth * turn
    return moved


_BULGE = np.array([0.86**-2, 1.3**-2])  # of the ellipsoid that a head is taken for


# ---- a person


SHORT, PARTED, LONG, BOB, CURLS, BALD = range(6)


def random_person(rng: np.random.Generator) -> dict[str, float]:
    """Who is drawn: proportions near 1, offsets near 0, tones 0 to 255, styles by number."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * rng.random()

    def chance(share: float) -> bool:
        return bool(rng.random() < share)

    skin = between(105, 225)
    fair = (skin - 105) / 120
    grey_haired = chance(0.12)
    hair = between(150, 205) if grey_haired else between(22, 50 + 95 * fair)
    hairstyle = int(rng.choice(6, p=np.array([3, 3, 3, 2, 2, 1]) / 14))
    bearded = chance(0.3) and hairstyle not in (LONG, BOB)
    return {
        "skin": skin,
        "hair": hair,
        "brow_tone": min(hair, skin * between(0.3, 0.5)) if not grey_haired else skin * 0.55,
        "iris": between(25, 60 + 50 * fair),
        "width": between(1.0, 1.14),
        "height": between(0.94, 1.05),
        "jaw": between(0.92, 1.2),
        "eye_gap": between(0.93, 1.08),
        "eye_size": between(0.9, 1.16),
        "eye_open": between(0.85, 1.2),
        "eye_tilt": between(-0.02, 0.025),
        "brow_thick": between(0.7, 1.35),
        "brow_arch": between(0.6, 1.4),
        "brow_height": between(-0.025, 0.025),
        "nose_width": between(0.85, 1.25),
        "nose_length": between(0.9, 1.1),
        "lips": between(0.75, 1.35),
        "mouth_width": between(0.9, 1.1),
        "mouth_rest": between(-0.018, 0.018),
        "lip_tone": between(0.58, 0.76),
        "age": between(0, 1) ** 1.5,
        "gaze_x": between(-0.014, 0.014),
        "gaze_y": between(-0.01, 0.012),
        "hairstyle": hairstyle,
        "hairline": between(-0.06, 0.08),
        "beard": between(0.35, 0.9) if bearded else 0.0,
        "moustache": between(0.4, 0.95) if bearded or chance(0.04) else 0.0,
        "glasses": int(1 + rng.integers(3)) if chance(0.14) else 0,
        "ground": between(25, 225),
        "clothes": between(20, 230),
    }


_ACROSS = np.linspace(-1, 1, 19)  # a mouth or an eye, from corner to corner


# ---- drawing: x to the right, y down; eyes at y = -0.22, mouth at 0.5, chin at 0.97


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
    paint = _Canvas(side, who["ground"], PAINT, turn)
    crease, shadow, solid = (_Canvas(side, 0, PAINT // 2, turn) for _ in range(3))
    head = _head(who, au)

    _ground(paint, who, rng)
    _hair_behind(paint, who)
    _neck(paint, who, shadow)
    _ears(paint, who)
    paint.fill(head, who["skin"], 0)
    solid.fill(head, 255, 0)
    solid.stroke(head, 255, 0.05, 0, closed=True)  # or light from around it would rim the face

    _folds(crease, shadow, who, au)
    _nose(paint, crease, shadow, who, au)
    _mouth(paint, crease, shadow, who, au)
    _beard(paint, who, au)
    for s in (0, 1):
        _eye(paint, crease, shadow, who, au[s], s)
        _brow(paint, shadow, who, au[s], s)
    _hair(paint, crease, shadow, who, rng)
    if who["glasses"]:
        _glasses(paint, who)

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
    solid: _Canvas, who: dict[str, float], au: np.ndarray, turn: float, light: np.ndarray
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
    centres = _turned(relief[:, :2], turn, 0.06)
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


def _head(who: dict[str, float], au: np.ndarray) -> np.ndarray:
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
    return _smooth(_mirrored(half))


def _ground(paint: _Canvas, who: dict[str, float], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(0, 5)):
        x, y = REACH * (2 * rng.random(2) - 1)
        tone = who["ground"] + 90 * (rng.random() - 0.5)
        if rng.random() < 0.5:
            paint.fill(_ellipse(x, y, 0.2 + 0.4 * rng.random(), 0.2 + 0.4 * rng.random()), tone)
        else:
            wide = 0.1 + 0.4 * rng.random()
            paint.fill(
                [(x - wide, -REACH), (x + wide, -REACH), (x + wide, REACH), (x - wide, REACH)], tone
            )
    size = len(paint.pixels)
    small = cv2.resize(paint.pixels, (32, 32), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (5, 5), 1.2)  # out of focus
    paint.pixels[:] = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def _neck(paint: _Canvas, who: dict[str, float], shadow: _Canvas) -> None:
    paint.fill([(-0.5, 0.5), (0.5, 0.5), (0.52, 1.4), (-0.52, 1.4)], who["skin"] * 0.72)
    shirt = [(-1.4, 1.28), (-0.5, 1.1), (0, 1.32), (0.5, 1.1), (1.4, 1.28), (1.4, 1.4), (-1.4, 1.4)]
    paint.fill(shirt, who["clothes"])
    shadow.fill(_ellipse(0, 1.12, 0.5, 0.13), 70)


def _ears(paint: _Canvas, who: dict[str, float]) -> None:
    if who["hairstyle"] in (LONG, BOB):  # covered
        return
    for sign in (-1, 1):
        x = sign * 0.72 * who["width"] - 0.10 * paint.turn
        paint.fill(_ellipse(x, -0.08, 0.085, 0.19), who["skin"] * 0.86)
        paint.fill(_ellipse(x + sign * 0.005, -0.08, 0.045, 0.12), who["skin"] * 0.66)


def _folds(crease: _Canvas, shadow: _Canvas, who: dict[str, float], au: np.ndarray) -> None:
    """Furrows that action units and age leave in the skin."""
    age, mean = who["age"], au.mean(axis=0)

    def fold(points, depth: float, width: float = 0.045) -> None:
        if depth > 0.05:
            crease.fill(_lens(points, width), 255 * min(0.8, depth), 0)

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
        shadow.fill(_ellipse(sign * 0.30, -0.21, 0.17, 0.11), 48 + 25 * a[4] + 15 * age, 0)
        if cheek > 0.2:  # below the raised cheek
            shadow.stroke(np.array([(0.40, 0.34), (0.50, 0.40)]) * flip, 45 * cheek, 0.10, 0)


def _nose(
    paint: _Canvas, crease: _Canvas, shadow: _Canvas, who: dict[str, float], au: np.ndarray
) -> None:
    w, lift = who["nose_width"], 0.12
    up = 0.035 * au[:, 9].mean()
    base = 0.235 * who["nose_length"] - up
    for sign in (-1, 1):
        paint.fill(
            _ellipse(sign * 0.062 * w, base, 0.034 * w, 0.017 + 0.3 * up), who["skin"] * 0.38, lift
        )
        wing = np.array([(0.115, base - 0.09), (0.145, base - 0.03), (0.12, base + 0.01)]) * (
            sign * w,
            1,
        )
        crease.stroke(_smooth(wing, closed=False), 90 + 2500 * up, 0.022, lift)
    shadow.fill(_ellipse(0, base + 0.055, 0.15 * w, 0.04), 75, 0.06)


def _mouth(
    paint: _Canvas, crease: _Canvas, shadow: _Canvas, who: dict[str, float], au: np.ndarray
) -> None:
    mean = au.mean(axis=0)
    t = _ACROSS
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
        crease.fill(_ellipse(x[end], seam[end], 0.03, 0.024), 150, lift)
    shadow.fill(_ellipse(0, bottom.max() + 0.045, 0.15, 0.03), 60, 0)


def _eye(
    paint: _Canvas, crease: _Canvas, shadow: _Canvas, who: dict[str, float], a: np.ndarray, s: int
) -> None:
    sign = 2 * s - 1
    v = _ACROSS  # from the nose outwards
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
        iris = _ellipse(
            sign * 0.325 * who["eye_gap"] + who["gaze_x"], -0.225 + who["gaze_y"], 0.073, 0.073
        )
        centre = iris.mean(axis=0)
        student = centre + 0.42 * (iris - centre)
        glint = _ellipse(centre[0] - 0.025, centre[1] - 0.028, 0.018, 0.018)
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


def _brow(paint: _Canvas, shadow: _Canvas, who: dict[str, float], a: np.ndarray, s: int) -> None:
    sign = 2 * s - 1
    low, arch = -0.415 + who["brow_height"], 0.055 * who["brow_arch"]
    inner_drop = -0.125 * a[1] + 0.100 * a[4] * (1 - 0.65 * a[1]) + 0.04 * a[9]
    line = _smooth(
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


def _hair_behind(paint: _Canvas, who: dict[str, float]) -> None:
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
        paint.fill(_smooth(_mirrored(half)), who["hair"] * 0.8)
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
        paint.fill(_smooth(_mirrored(half)), who["hair"] * 0.8)
    elif who["hairstyle"] == CURLS:
        for turn in np.linspace(np.pi * 0.95, np.pi * 2.05, 13):
            x, y = 0.78 * w * np.cos(turn), -0.35 + 0.78 * np.sin(turn)
            paint.fill(_ellipse(x, y, 0.2, 0.2), who["hair"] * (0.85 + 0.15 * np.sin(5 * turn)))


def _hair(
    paint: _Canvas,
    crease: _Canvas,
    shadow: _Canvas,
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
    edge = _smooth(hairlines[style], closed=False)
    shape = np.concatenate([_smooth(top, closed=False), edge])
    shadow.stroke(edge + np.array([0, 0.02]), 70, 0.06, 0)
    paint.fill(shape, who["hair"], 0)
    crease.fill(shape, 0, 0)
    for _ in range(10):  # strands
        at = rng.random()
        start = np.array([1.5 * (at - 0.5) * w, -1.28 + 0.9 * abs(at - 0.5)])
        end = edge[int(at * (len(edge) - 1))] + (0.06 * (rng.random() - 0.5), -0.06)
        bend = (start + end) / 2 + (0.25 * (at - 0.5), -0.05)
        tone = who["hair"] * (0.78 + 0.42 * rng.random()) + 8 * rng.random()
        paint.stroke(
            _smooth([start, bend, end], closed=False), tone, 0.014 + 0.02 * rng.random(), 0
        )


def _beard(paint: _Canvas, who: dict[str, float], au: np.ndarray) -> None:
    if not who["beard"] and not who["moustache"]:
        return
    hairs = _Canvas(paint.side, 0, PAINT, paint.turn)
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
        hairs.fill(_smooth(half), 255 * who["beard"], 0)
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
        hairs.fill(_smooth(_mirrored(half)), 255 * who["moustache"], 0.05)
    cover = 0.8 * hairs.blurred(0.02)
    grown = cover > 0
    skin, cover = paint.pixels[grown], cover[grown]
    paint.pixels[grown] = to_bytes(skin * (1 - cover) + cover * who["hair"])


def _glasses(paint: _Canvas, who: dict[str, float]) -> None:
    tone = 25 if who["glasses"] < 3 else 90
    for sign in (-1, 1):
        x = sign * 0.335 * who["eye_gap"]
        if who["glasses"] == 1:
            rim = _ellipse(x, -0.20, 0.235, 0.215)
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
            rim = _smooth(half + np.array([x, -0.21]))
        paint.stroke(rim, tone, 0.032 if who["glasses"] < 3 else 0.02, 0.04, closed=True)
        paint.stroke([(sign * 0.57, -0.26), (sign * 0.74 * who["width"], -0.22)], tone, 0.03, 0)
    paint.stroke([(-0.1, -0.24), (0, -0.265), (0.1, -0.24)], tone, 0.03, 0.06)


# ---- no face


def draw_object(rng: np.random.Generator) -> np.ndarray:
    """A mug, a house or a tree on a plain ground, uint8 (48, 48)."""
    light, dark = 150 + 90 * rng.random(), 20 + 80 * rng.random()
    paint = _Canvas(SIDE, light)
    grow, shift = 0.8 + 0.4 * rng.random(), 0.3 * (rng.random(2) - 0.5)

    def at(points):
        return np.array(points) * grow + shift

    kind = rng.integers(3)
    if kind == 0:
        paint.stroke(at(_ellipse(0.42, 0.05, 0.22, 0.26)), dark, 0.1)
        paint.fill(at([(-0.45, -0.4), (0.4, -0.4), (0.34, 0.5), (-0.39, 0.5)]), dark)
        paint.fill(at(_ellipse(-0.025, -0.4, 0.425, 0.1)), (light + dark) / 2)
    elif kind == 1:
        paint.fill(at([(-0.5, -0.1), (0.5, -0.1), (0.5, 0.6), (-0.5, 0.6)]), (light + dark) / 2)
        paint.fill(at([(-0.62, -0.1), (0, -0.65), (0.62, -0.1)]), dark)
        paint.fill(at([(-0.12, 0.15), (0.12, 0.15), (0.12, 0.6), (-0.12, 0.6)]), dark)
    else:
        paint.fill(at([(-0.08, 0), (0.08, 0), (0.1, 0.75), (-0.1, 0.75)]), dark)
        for _ in range(6):
            cx, cy = 0.7 * (rng.random(2) - 0.5)
            paint.fill(at(_ellipse(cx, cy - 0.25, 0.3, 0.25)), dark + 30 * rng.random())
    edge = (len(paint.pixels) - SIDE * PAINT) // 2
    picture = cv2.resize(
        paint.pixels[edge:-edge, edge:-edge], (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    return to_bytes(picture + 3 * rng.standard_normal((SIDE, SIDE)))
