"""Robustness: the accuracy of models on images under every corruption and strength."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import RESAMPLES, accuracy_interval

Predictor = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, 48, 48) to logits float32 (n, 7)."""


CLEAN = "clean"
"""What the tables call images as they are, strength 0."""


def subset(faces: Faces, count: int, seed: int = 0) -> Faces:
    """`count` of the faces (all, where there are no more) with the emotions in proportion to within one image.

    Systematic sampling: every so-many-th face of those sorted by emotion, and within an emotion by `seed`.

    Raises:
        StudyError: `count` is less than 1.
    """
    if count < 1:
        raise StudyError(f"count: expected at least 1 face, found {count}.")
    if count >= len(faces):
        return faces
    order = np.lexsort((np.random.default_rng(seed).random(len(faces)), faces.emotion))
    steps = ((np.arange(count) + 0.5) * len(faces) / count).astype(int)
    return faces.select(np.sort(order[steps]))


class Robustness(NamedTuple):
    """How models answer under every corruption and strength.

    Attributes:
        table: a row for each model and condition, columns model, corruption, strength, value, unit, images, accuracy,
            low, high. Strength 0 is the images as they are, corruption "clean", without value. Low and high are
            Wilson's 95 % interval.
        right: by model, bool (conditions, n): which images it has right, in the order of the model's rows.
        floor: accuracy of answering the commonest emotion whatever the image shows, 0 to 1.
    """

    table: pd.DataFrame
    correct: dict[str, np.ndarray]
    floor: float


def robustness(
    predictor: Predictor | Mapping[str, Predictor],
    images: np.ndarray,
    emotion: np.ndarray,
    *,
    seed: int = 0,
    progress: bool = True,
) -> Robustness:
    """Accuracy of one predictor (called "model") or several named ones, each on the very same corrupted images.

    Args:
        predictor: images uint8 (n, 48, 48) to logits float32 (n, 7), or a name to each.
        images: uint8 (n, 48, 48).
        emotion: uint8 (n,), index into `EMOTIONS`.
        seed: see `corrupt`.
        progress: show a bar.

    Raises:
        StudyError: no predictor, fewer than two images, not one emotion an image, or answers of another shape.
    """
    predictors = dict(predictor) if isinstance(predictor, Mapping) else {"model": predictor}
    if not predictors:
        raise StudyError("robustness: expected at least one predictor, found none.")
    if len(images) != len(emotion) or len(images) < 2:
        raise StudyError(
            f"robustness: expected two images or more and an emotion for each, found {len(images):,} images and "
            f"{len(emotion):,} emotions."
        )
    conditions = [(CLEAN, 0), *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)]
    correct = {name: np.empty((len(conditions), len(images)), bool) for name in predictors}
    for number, (corruption, strength) in enumerate(
        tqdm(conditions, desc="corruptions", unit="condition", disable=not progress)
    ):
        shown = images if corruption == CLEAN else corrupt(images, corruption, strength, seed)
        for name, predict in predictors.items():
            logits = predict(shown)
            if logits.shape != (len(images), len(EMOTIONS)):
                raise StudyError(
                    f"{name}: expected logits ({len(images)}, {len(EMOTIONS)}), found {logits.shape}. A predictor "
                    "takes images uint8 (n, 48, 48) and gives a score for each emotion."
                )
            correct[name][number] = logits.argmax(axis=1) == emotion
    rows = []
    for name, answers in correct.items():
        for (corruption, strength), share in zip(conditions, answers.mean(axis=1), strict=True):
            unit, values = CORRUPTIONS.get(corruption, ("", (np.nan,)))
            row = {
                "model": name,
                "corruption": corruption,
                "strength": strength,
                "value": values[strength - 1],
            }
            low, high = accuracy_interval(share, len(images))
            rows.append(
                row
                | {"unit": unit, "images": len(images), "accuracy": share, "low": low, "high": high}
            )
    floor = float(np.bincount(emotion).max() / len(emotion))
    return Robustness(pd.DataFrame(rows), correct, floor)


def summary(measured: Robustness) -> pd.DataFrame:
    """What the conditions come to, a row a model, most robust first.

    The one number to compare models by is `corrupted`, the mean accuracy over all corruptions and strengths: one less
    the mean corruption error, every corruption with the same weight. Hendrycks & Dietterich's mCE divides each
    corruption's error by AlexNet's, so that hard ones do not outweigh easy ones; no baseline of that kind exists for
    FER-2013, and dividing by a network of ours would make the number mean nothing elsewhere. `relative` = corrupted /
    clean tells how much of its own accuracy a model keeps; it is no ranking, since a model that looks at nothing keeps
    all of it. Both are to be read against `floor`, not 0: below it a model is worse than one that looks at nothing.

    Returns:
        Columns model, images, clean, corrupted, corrupted_low, corrupted_high, relative, relative_low, relative_high
        (NaN where clean is 0), worst (the corruption with the lowest mean over strengths), worst_accuracy (that mean)
        and floor. Low and high: 95 % percentile bootstrap over images (Efron 1979), the same images in all conditions;
        they say nothing of other seeds.
    """
    rows = []
    for name, answers in measured.correct.items():
        table = measured.table[(measured.table["model"] == name) & (measured.table["strength"] > 0)]
        by_corruption = table.groupby("corruption", sort=False)["accuracy"].mean()
        scores = np.stack([answers[0], answers[1:].mean(axis=0)])
        clean, corrupted = scores.mean(axis=1)
        row = {"model": name, "images": answers.shape[1], "clean": clean, "corrupted": corrupted}
        drawn_clean, drawn_corrupted = _resampled_means(scores)
        row["corrupted_low"], row["corrupted_high"] = np.quantile(drawn_corrupted, (0.025, 0.975))
        row |= dict.fromkeys(("relative", "relative_low", "relative_high"), np.nan)
        if clean:
            some = drawn_clean > 0  # few images may all be drawn from those that are wrong
            low, high = np.quantile(drawn_corrupted[some] / drawn_clean[some], (0.025, 0.975))
            row |= {"relative": corrupted / clean, "relative_low": low, "relative_high": high}
        row |= {
            "worst": by_corruption.idxmin(),
            "worst_accuracy": by_corruption.min(),
            "floor": measured.floor,
        }
        rows.append(row)
    return pd.DataFrame(rows).sort_values(
        "corrupted", ascending=False, kind="stable", ignore_index=True
    )


def _resampled_means(scores: np.ndarray) -> np.ndarray:
    """Means of each row of (2, n) in resamples of the columns, float64 (2, resamples)."""
    # Images with the same scores are interchangeable: to draw how many there are of each kind is to draw images.
    kinds, counts = np.unique(scores, axis=1, return_counts=True)
    images = counts.sum()
    drawn = np.random.default_rng(0).multinomial(images, counts / images, size=RESAMPLES)
    return kinds @ drawn.T / images


def finding(scores: pd.DataFrame) -> str:
    """One sentence on what `summary` found: of the most robust model, and how far behind it the others are."""
    best = scores.iloc[0]
    said = (
        f"Over {len(CORRUPTIONS)} corruptions at {len(STRENGTHS)} strengths each, {best['model']} goes from "
        f"{best['clean']:.1%} on clean images to {best['corrupted']:.1%} on average (95 % interval "
        f"{best['corrupted_low']:.1%} to {best['corrupted_high']:.1%}), lowest with {best['worst']} "
        f"({best['worst_accuracy']:.1%}); always answering the commonest emotion gives {best['floor']:.1%}"
    )
    if len(scores) > 1:
        last = scores.iloc[-1]
        said += (
            f"; of {len(scores)} models it has the most right on average, {last['model']} the fewest "
            f"({last['corrupted']:.1%})"
        )
    return said + "."
