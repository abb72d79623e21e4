"""Variants of a test split: without duplicates or with FER+ labels, and scores on each."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.audits.duplicates import duplicate_groups, leaked
from fer_utils.audits.labels import majority
from fer_utils.audits.near_duplicates import near_leaked, significant
from fer_utils.data.faces import Faces
from fer_utils.evaluation import score_table
from fer_utils.evaluation.resampling import logits_of_runs
from fer_utils.evaluation.wording import number

CANONICAL, UNLEAKED, SINGLE = "canonical", "without leaks", "de-duplicated"
UNLIKE = "without near-duplicates"
MAJORITY, AGREED = "FER+ majority", "FER+ agrees"
SCORES = ("accuracy", "low", "high", "macro_f1", "macro_f1_low", "macro_f1_high")


def variants(
    faces: Faces, usage: str, near: pd.DataFrame
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Select the images and labels of each variant of a split.

    - canonical: all images with their labels, as in the literature.
    - without leaks: without images that have an exact duplicate in Training, with any label.
    - de-duplicated: as before, and only one image of each set of exact duplicates within the
      split, the one with the lowest row number.
    - without near-duplicates: without images that have an exact or near-duplicate in Training.
      This variant exists only if near-duplicates are not expected by chance, so not for drawn
      faces.
    - FER+ majority: images whose most voted of FER+'s ten categories is one of the seven emotions,
      labelled with that emotion (majority voting in Barsoum et al. 2016). Ties, contempt, unknown
      and not a face are left out.
    - FER+ agrees: the images of FER+ majority whose label is that emotion.

    The last two exist only if the faces have votes.

    Args:
        faces: Training and the split.
        usage: PublicTest or PrivateTest.
        near: as returned by `near_duplicates(faces)`.

    Returns:
        By variant, its images, bool (n,), and the labels of all images, int64 (n,).

    Raises:
        StudyError: the split is Training or unknown, or it or Training has no face.
    """
    clean, part = ~leaked(faces, usage), faces.of(usage)
    label = part.emotion.astype(np.int64)
    order = np.argsort(part.row, kind="stable")
    _, firsts = np.unique(duplicate_groups(part.images)[order], return_index=True)
    first = np.zeros(len(part), bool)
    first[order[firsts]] = True
    found = {
        CANONICAL: (np.ones(len(part), bool), label),
        UNLEAKED: (clean, label),
        SINGLE: (clean & first, label),
    }
    if len(near) and significant(near):
        found[UNLIKE] = (clean & ~near_leaked(faces, usage, near), label)
    if faces.votes is not None:
        voted = majority(part)
        found |= {MAJORITY: (voted >= 0, voted), AGREED: (voted == label, label)}
    return found


def side_by_side(
    logits: Mapping[str, np.ndarray],
    faces: Faces,
    usage: str,
    *,
    near: pd.DataFrame,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every model on every one of `variants`.

    Args:
        logits: by model, (n, 7) or (seeds, n, 7), in the order of `faces.of(usage)`.
        faces: Training and the split.
        usage: PublicTest or PrivateTest.
        near: as returned by `near_duplicates(faces)`.
        seed: seed of the resampling.

    Returns:
        One row per model and variant: model, variant, images; accuracy, low, high, macro_f1,
        macro_f1_low and macro_f1_high, 0 to 1, as returned by `score_table`. Scores are NaN for a
        variant without images.

    Raises:
        StudyError: logits do not match the split's images, or as for `variants`.
    """
    chosen = variants(faces, usage, near)
    _, label = chosen[CANONICAL]
    rows = []
    for model, of_model in logits.items():
        runs = logits_of_runs(model, of_model, label)
        for variant, (images, emotion) in chosen.items():
            row = {"model": model, "variant": variant, "images": int(images.sum())}
            scores = np.full(6, np.nan)
            if images.any():
                table = score_table(runs[:, images], emotion[images], seed=seed)
                rows_of_scores = table.loc[["accuracy", "macro F1"], ["value", "low", "high"]]
                scores = rows_of_scores.to_numpy().ravel()
            rows.append(row | dict(zip(SCORES, scores.tolist(), strict=True)))
    return pd.DataFrame(rows)


def variants_finding(table: pd.DataFrame) -> str:
    """Summarise the table of `side_by_side`: changes of accuracy from the canonical variant."""
    accuracy = 100 * table.pivot(index="model", columns="variant", values="accuracy")
    sentences = []
    for variant, condition in (
        (UNLEAKED, "Without leaked exact duplicates"),
        (UNLIKE, "Without leaked near-duplicates too"),
        (MAJORITY, "With the FER+ majority as the label"),
    ):
        if variant in accuracy and accuracy[variant].notna().all():
            change = accuracy[variant] - accuracy[CANONICAL]
            low, high = (number(end, sign=True) for end in (change.min(), change.max()))
            size = low if low == high else f"{low} to {high}"
            models = "" if len(change) == 1 else f" ({len(change)} models)"
            sentences.append(f"{condition}, accuracy changes by {size} points{models}.")
    if not sentences:
        return "Only the canonical variant has images to score."
    return " ".join(sentences)
