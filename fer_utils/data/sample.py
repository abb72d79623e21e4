"""The built-in sample: drawn faces in FER-2013's proportions, with planted faults for audits."""

from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_utils.data.drawing import (
    ACTION_UNITS,
    DRAWABLE,
    both_sides,
    check_whole,
    draw_object,
    random_person,
    render,
    to_bytes,
)
from fer_utils.data.faces import Faces, Source
from fer_utils.emotions import CANONICAL_COUNTS, EMOTIONS, SIDE, TRAINING, USAGES

# In FER-2013, 1,234 of 28,709 Training images (4.3 %) repeat an earlier one, 54 with another label.
# 280 PublicTest and 288 PrivateTest images (8 %) also occur in Training, 23 with another label. The
# sample has more conflicting labels, so that audits have some to find.
DUPLICATE_SHARE = 0.05  # of Training: duplicates of another Training image
CONFLICT_SHARE = 0.2  # of these duplicates: another label than the original
LEAK_SHARE = 0.08  # of each test split: duplicates of a Training image
LEAK_CONFLICT_SHARE = 0.1  # of these duplicates: another label than the original
# Assumed, because the shares in FER-2013 depend on the annotators.
WRONG_LABEL_SHARE = 0.05  # of each split: shows another emotion than its label
NOT_A_FACE_SHARE = 0.01  # of each split: shows no face

MINIMUM = 3 * len(EMOTIONS)
BLANKS = 60  # at most, because each needs another grey to be no duplicate


def draw_sample(count: int = 3200, seed: int = 0, *, progress: bool = False) -> Faces:
    """Draw `count` faces in FER-2013's proportions of splits and emotions, with planted faults.

    The same `count` and `seed` give the same bytes in any process. `row` counts from 0, with
    Training first. `truth` has one row per planted fault:

    - row: the `row` of the faulty image.
    - fault: "duplicate" (within Training), "leak" (a test image with its original in Training),
      "wrong_label" or "not_a_face".
    - of: the `row` of a duplicate's original, else missing (Int64).
    - true_emotion: name of the drawn emotion, missing for images without a face. A duplicate with
      another label conflicts with its original.

    No other two images are equal.

    Args:
        count: number of images, at least `MINIMUM`. From about 80 images, each split has each
            emotion.
        seed: at least 0.
        progress: show a progress bar.

    Raises:
        StudyError: `count` or `seed` is too small or no whole number.
    """
    count = check_whole("count", count, MINIMUM)
    seed = check_whole("seed", seed, 0)
    rng = np.random.default_rng((seed, 0))
    usage, emotion = _labels(count, rng)
    truth = _faults(usage, emotion, rng)

    drawn = np.array(EMOTIONS, object)[emotion]
    drawn[truth["row"]] = truth["true_emotion"]
    duplicates, originals = truth.loc[truth["of"].notna(), ["row", "of"]].to_numpy(np.int64).T
    skipped = frozenset(duplicates.tolist())
    greys = iter(rng.permutation(256)[:BLANKS].tolist())
    images = np.empty((count, SIDE, SIDE), np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # more of them wait for each other, and save no time on small pictures
    for row in tqdm(range(count), desc="drawing faces", unit="face", disable=not progress):
        if row in skipped:
            continue
        # One random stream per row, so that rows are independent of each other.
        own = np.random.default_rng((seed, 1, row))
        if isinstance(drawn[row], str):
            images[row] = _snapshot(drawn[row], own)
        else:
            images[row] = _no_face(own, greys)
    cv2.setNumThreads(threads)
    images[duplicates] = images[originals]

    return Faces(
        images=images,
        emotion=emotion,
        usage=usage,
        row=np.arange(count, dtype=np.int64),
        source="sample",
        notices=(
            "These faces are drawn by the study; scores on them do not measure accuracy on real "
            "faces.",
        ),
        truth=truth,
    )


SOURCE = Source(
    draw_sample, options=("count", "seed"), no_votes="drawn faces have no FER+ annotators"
)


# ---- labels and faults


def _apportion(count: int, shares: np.ndarray) -> np.ndarray:
    """Divide `count` in proportion to `shares`, by largest remainder: int64.

    Each part is at least 1 if `count` allows.
    """
    least = np.full(len(shares), int(count >= len(shares)))
    exact = count * shares / shares.sum()
    parts = np.maximum(np.floor(exact).astype(np.int64), least)
    while parts.sum() > count:
        parts[np.argmax(np.where(parts > least, parts - exact, -np.inf))] -= 1
    order = np.argsort(parts - exact, kind="stable")
    parts[order[: count - parts.sum()]] += 1
    return parts


def _labels(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The split and the emotion of each image, in random order within a split."""
    counts = np.array([CANONICAL_COUNTS[usage] for usage in USAGES])
    sizes = _apportion(count, counts.sum(axis=1))
    emotion = [
        rng.permutation(
            np.repeat(np.arange(len(EMOTIONS), dtype=np.uint8), _apportion(size, shares))
        )
        for size, shares in zip(sizes, counts, strict=True)
    ]
    return np.repeat(np.array(USAGES), sizes), np.concatenate(emotion)


def _faults(usage: np.ndarray, emotion: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Choose the faulty rows. A row has at most one fault, and an original has none."""
    faults: list[tuple] = []
    clean_training: np.ndarray = np.empty(0, np.int64)
    for name in USAGES:
        rows = rng.permutation(np.flatnonzero(usage == name))
        share, conflict_share, fault = LEAK_SHARE, LEAK_CONFLICT_SHARE, "leak"
        if name == TRAINING:
            share, conflict_share, fault = DUPLICATE_SHARE, CONFLICT_SHARE, "duplicate"
        shares = (NOT_A_FACE_SHARE, WRONG_LABEL_SHARE, share)
        numbers = [max(1, round(each * len(rows))) for each in shares]
        if sum(numbers) > len(rows):
            numbers = [1, 0, 0]
        without_face, wrong, duplicates, clean = np.split(rows, np.cumsum(numbers))
        if name == TRAINING:
            clean_training = clean
        faults += [(row, "not_a_face", None, None) for row in without_face]
        for row in wrong:
            weights = np.array(CANONICAL_COUNTS[name], float)
            weights[emotion[row]] = 0
            other = rng.choice(len(EMOTIONS), p=weights / weights.sum())
            faults.append((row, "wrong_label", None, EMOTIONS[other]))
        for number, row in enumerate(duplicates):
            agrees = emotion[clean_training] == emotion[row]
            conflicts = number < round(conflict_share * len(duplicates))
            # A rare emotion may have no clean original. Then the labels conflict anyway.
            allowed = ~agrees if conflicts or not agrees.any() else agrees
            original = clean_training[allowed][rng.integers(allowed.sum())]
            faults.append((row, fault, original, EMOTIONS[emotion[original]]))
    table = pd.DataFrame(faults, columns=["row", "fault", "of", "true_emotion"])
    return table.astype({"row": np.int64, "of": "Int64"}).sort_values("row", ignore_index=True)


# ---- pictures


def _snapshot(emotion: str, rng: np.random.Generator) -> np.ndarray:
    """A face with `emotion` at random strength, stray action units, pose, light, blur and noise."""
    strength = 0.35 + 0.65 * rng.random() ** 0.6
    units = {}
    for unit in ACTION_UNITS[emotion]:
        if rng.random() > 0.12:
            units[unit] = min(1.0, strength * (0.6 + 0.6 * rng.random()))
    if emotion == "happy" and rng.random() < 0.65:
        units[25] = strength * rng.random()
    for _ in range(rng.integers(0, 3)):
        stray = DRAWABLE[rng.integers(len(DRAWABLE) - 1)]
        units[stray] = max(units.get(stray, 0.0), 0.45 * rng.random())
    if rng.random() < 0.04:
        units[43] = 1.0
    sides = both_sides(units) * (1 + 0.12 * rng.standard_normal((2, 1)))

    angle = float(np.clip(9 * rng.standard_normal(), -22, 22))
    turn = float(np.clip(0.16 * rng.standard_normal(), -0.38, 0.38))
    pose = (angle, 1.02 + 0.07 * rng.standard_normal(), *(0.07 * rng.standard_normal(2)))
    light = np.array([0.55 * rng.standard_normal(), -0.45 + 0.3 * rng.standard_normal(), 0.8])
    picture = render(
        random_person(rng), np.clip(sides, 0, 1), rng, side=SIDE, light=light, turn=turn, pose=pose
    )

    picture = picture.astype(np.float64)
    if rng.random() < 0.35:
        sigma = 0.35 + 0.4 * rng.random()
        picture = cv2.GaussianBlur(picture, (5, 5), sigma)
    middle = 118 + 22 * rng.standard_normal()
    contrast = 0.75 + 0.45 * rng.random()
    picture = middle + contrast * (picture - picture.mean())
    noise = contrast * (1 + 5 * rng.random() ** 3) * rng.standard_normal((SIDE, SIDE))
    return to_bytes(picture + noise)


def _no_face(rng: np.random.Generator, greys: Iterator[int]) -> np.ndarray:
    """A blank picture, a nearly blank one, a texture, or a drawn object."""
    kind = rng.integers(4)
    if kind == 0 and (grey := next(greys, None)) is not None:
        return np.full((SIDE, SIDE), grey, np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    if kind <= 1:
        slope = 12 * (rng.random(2) - 0.5)
        return to_bytes(
            20
            + 215 * rng.random()
            + slope[0] * x
            + slope[1] * y
            + rng.standard_normal((SIDE, SIDE))
        )
    if kind == 2:
        waves = sum(
            np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in 14 * (rng.random((3, 3)) - 0.5)
        )
        return to_bytes(128 + 35 * waves + 12 * rng.standard_normal((SIDE, SIDE)))
    return draw_object(rng)
