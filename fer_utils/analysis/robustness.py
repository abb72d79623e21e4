"""Robustness: accuracy of models under every corruption at every strength."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import RESAMPLES, accuracy_interval, draw_counts, percentile_interval
from fer_utils.evaluation.wording import interval, percent

Predictor = Callable[[np.ndarray], np.ndarray]
"""From images uint8 (n, 48, 48) to logits float32 (n, 7)."""


CLEAN = "clean"
"""Name of uncorrupted images in the tables; their strength is 0."""


def subset(faces: Faces, count: int, seed: int = 0) -> Faces:
    """Choose faces with the emotions in proportion, to within one image.

    This is systematic sampling: faces are sorted by emotion, randomly within an emotion, and taken
    at equal steps.

    Args:
        faces: all faces.
        count: number of faces to choose; all are returned if there are no more.
        seed: seed of the random order.

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
    """Results of models under every corruption and strength.

    Attributes:
        table: one row per model and condition. Columns model, corruption, strength, value, unit,
            images, accuracy, and its 95 % Wilson interval, low and high. Uncorrupted images have
            strength 0, corruption "clean" and no value.
        correct: by model, bool (conditions, n): correctness of each image, in the order of the
            model's rows.
        floor: accuracy of always predicting the majority class, 0 to 1.
    """

    table: pd.DataFrame
    correct: dict[str, np.ndarray]
    floor: float


def robustness(
    predictors: Mapping[str, Predictor], images: np.ndarray, emotion: np.ndarray, *, seed: int = 0
) -> Robustness:
    """Measure the accuracy of models on corrupted images, the same images for all models.

    Args:
        predictors: by model, images uint8 (n, 48, 48) to logits float32 (n, 7).
        images: uint8 (n, 48, 48).
        emotion: indices into `EMOTIONS`, uint8 (n,).
        seed: seed of `corrupt`.

    Raises:
        StudyError: there is no predictor, there are fewer than two images, the numbers of images
            and emotions differ, or logits have another shape.
    """
    if not predictors:
        raise StudyError("robustness: expected at least one predictor, found none.")
    if len(images) != len(emotion) or len(images) < 2:
        raise StudyError(
            f"robustness: expected two or more images with one emotion each, found {len(images):,} "
            f"images and {len(emotion):,} emotions."
        )
    conditions = [(CLEAN, 0), *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)]
    correct = {name: np.empty((len(conditions), len(images)), bool) for name in predictors}
    for number, (corruption, strength) in enumerate(
        tqdm(conditions, desc="corruptions", unit="condition")
    ):
        inputs = images if corruption == CLEAN else corrupt(images, corruption, strength, seed)
        for name, predict in predictors.items():
            logits = predict(inputs)
            if logits.shape != (len(images), len(EMOTIONS)):
                raise StudyError(
                    f"{name}: expected logits ({len(images)}, {len(EMOTIONS)}), found "
                    f"{logits.shape}. A predictor takes images uint8 (n, 48, 48) and returns one "
                    "score per emotion."
                )
            correct[name][number] = logits.argmax(axis=1) == emotion
    rows = []
    for name, of_model in correct.items():
        for (corruption, strength), share in zip(conditions, of_model.mean(axis=1), strict=True):
            unit, values = CORRUPTIONS.get(corruption, ("", (np.nan,)))
            low, high = accuracy_interval(share, len(images))
            row = {"model": name, "corruption": corruption, "strength": strength}
            row |= {"value": values[strength - 1], "unit": unit, "images": len(images)}
            rows.append(row | {"accuracy": share, "low": low, "high": high})
    floor = float(np.bincount(emotion).max() / len(emotion))
    return Robustness(pd.DataFrame(rows), correct, floor)


def summary(measured: Robustness) -> pd.DataFrame:
    """Summarise robustness in one row per model, most robust first.

    Compare models by `corrupted`, the mean accuracy over all corruptions and strengths. It is one
    minus the mean corruption error, with equal weights. The mCE of Hendrycks & Dietterich divides
    each corruption's error by AlexNet's, so that hard corruptions do not dominate. FER-2013 has no
    such baseline, and dividing by one of this study's networks would make the number useless
    elsewhere.

    `relative` = corrupted / clean is the share of its accuracy that a model keeps. It is not a
    ranking: a model that ignores the image keeps all of it. Compare both with `floor`, not with 0.

    Returns:
        Columns model, images, clean, corrupted, corrupted_low, corrupted_high, relative,
        relative_low, relative_high (NaN if clean is 0), worst (the corruption with the lowest mean
        over strengths), worst_accuracy (that mean) and floor. Low and high are 95 % percentile
        bootstrap intervals over images (Efron 1979), with the same images in all conditions. They
        do not cover other seeds.
    """
    rows = []
    for name, correct in measured.correct.items():
        table = measured.table[(measured.table["model"] == name) & (measured.table["strength"] > 0)]
        by_corruption = table.groupby("corruption", sort=False)["accuracy"].mean()
        scores = np.stack([correct[0], correct[1:].mean(axis=0)])
        clean, corrupted = scores.mean(axis=1)
        row = {"model": name, "images": correct.shape[1], "clean": clean, "corrupted": corrupted}
        sampled_clean, sampled_corrupted = _resampled_means(scores)
        row["corrupted_low"], row["corrupted_high"] = percentile_interval(sampled_corrupted)
        row |= dict.fromkeys(("relative", "relative_low", "relative_high"), np.nan)
        if clean:
            # With few images, a resample may contain errors only.
            some = sampled_clean > 0
            low, high = percentile_interval(sampled_corrupted[some] / sampled_clean[some])
            row |= {"relative": corrupted / clean, "relative_low": low, "relative_high": high}
        row |= {"worst": by_corruption.idxmin(), "worst_accuracy": by_corruption.min()}
        rows.append(row | {"floor": measured.floor})
    return pd.DataFrame(rows).sort_values(
        "corrupted", ascending=False, kind="stable", ignore_index=True
    )


def _resampled_means(scores: np.ndarray) -> np.ndarray:
    """Return means of each row of (2, n) in resamples of the columns, float64 (2, resamples)."""
    # Images with equal scores are interchangeable, so it is enough to draw the number of each kind.
    kinds, counts = np.unique(scores, axis=1, return_counts=True)
    drawn = draw_counts(counts, RESAMPLES, np.random.default_rng(0))
    return kinds @ drawn.T / counts.sum()


def robustness_finding(scores: pd.DataFrame) -> str:
    """Summarise the table of `summary` in a few sentences, on the most and least robust model."""
    best = scores.iloc[0]
    sentences = [
        f"Under {len(CORRUPTIONS)} corruptions at {len(STRENGTHS)} strengths, {best['model']} has "
        f"a mean accuracy of {percent(best['corrupted'])} "
        f"({interval(best['corrupted_low'], best['corrupted_high'])}).",
        f"On clean images, its accuracy is {percent(best['clean'])}.",
        f"Its lowest accuracy is {percent(best['worst_accuracy'])}, for {best['worst']}.",
        f"Always predicting the majority class scores {percent(best['floor'])}.",
    ]
    if len(scores) > 1:
        last = scores.iloc[-1]
        sentences.append(
            f"The least robust of the {len(scores)} models is {last['model']}, with a mean "
            f"accuracy of {percent(last['corrupted'])}."
        )
    return " ".join(sentences)
