"""A test split as it is, without its copies, and by other labels: the same answers scored on each, side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.audits.duplicates import duplicate_groups, leaked
from fer_utils.audits.labels import majority
from fer_utils.audits.near_duplicates import near_duplicates, near_leaked, significant
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE
from fer_utils.evaluation import RESAMPLES, score_table
from fer_utils.evaluation.resampling import logits_of_runs

CANONICAL, UNLEAKED, SINGLE = "canonical", "without leaks", "de-duplicated"
UNLIKE = "without near copies"
MAJORITY, AGREED = "FER+ majority", "FER+ agrees"
SCORES = ("accuracy", "low", "high", "macro_f1", "macro_f1_low", "macro_f1_high")


def variants(
    faces: Faces, usage: str = PRIVATE, near: pd.DataFrame | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which images of a split each variant has, bool (n,), and the emotions it scores against, int64 (n,).

    - canonical: all images and their labels, as everyone reports them.
    - without leaks: without the images that have a pixel-identical copy in Training, whatever its label.
    - de-duplicated: without these, and of pixel-identical images within the split only the one with the lowest row,
      whatever the others' labels.
    - without near copies: without the images that have an equal or a near copy in Training. It is there where near
      copies are told from chance, so not for drawn faces.
    - FER+ majority: the images of which one of the seven emotions leads FER+'s ten categories, by that emotion (Barsoum
      et al. 2016 call it majority voting); ties, contempt, unknown and not a face are left out.
    - FER+ agrees: those of them where it is the label.

    The last two are there where the faces have votes.

    Args:
        faces: Training and the split.
        usage: PublicTest or PrivateTest.
        near: as `near_duplicates(faces)` gives it, where it is known already.

    Raises:
        StudyError: the usage is Training or unknown, or one of the two has no face.
    """
    clean, part = ~leaked(faces, usage), faces.of(usage)
    label = part.emotion.astype(np.int64)
    order = np.argsort(part.row, kind="stable")
    first = np.zeros(len(part), bool)
    first[order[np.unique(duplicate_groups(part.images)[order], return_index=True)[1]]] = True
    found = {
        CANONICAL: (np.ones(len(part), bool), label),
        UNLEAKED: (clean, label),
        SINGLE: (clean & first, label),
    }
    pairs = near_duplicates(faces) if near is None else near
    if len(pairs) and significant(pairs):
        found[UNLIKE] = (clean & ~near_leaked(faces, usage, pairs), label)
    if faces.votes is not None:
        voted = majority(part)
        found |= {MAJORITY: (voted >= 0, voted), AGREED: (voted == label, label)}
    return found


def side_by_side(
    logits: Mapping[str, np.ndarray],
    faces: Faces,
    usage: str = PRIVATE,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    near: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Scores of every model on every one of `variants`.

    Args:
        logits: (n, 7) or (seeds, n, 7), in the order of `faces.of(usage)`, by the model's name.
        faces: Training and the split.
        usage: PublicTest or PrivateTest.
        level: share of such intervals that cover, 0 to 1.
        resamples: how many.
        seed: of the resampling.
        near: as `near_duplicates(faces)` gives it, where it is known already.

    Returns:
        A row a variant of each model: model, variant, images; accuracy, low, high, macro_f1, macro_f1_low and
        macro_f1_high as `score_table` gives them, 0 to 1; not a number where a variant has no image.

    Raises:
        StudyError: logits are not of the split's images, or as `variants` does.
    """
    chosen = variants(faces, usage, near)
    _, label = chosen[CANONICAL]
    rows = []
    for model, given in logits.items():
        runs = logits_of_runs(model, given, label)
        for variant, (which, emotion) in chosen.items():
            row = {"model": model, "variant": variant, "images": int(which.sum())}
            scores = np.full(6, np.nan)
            if which.any():
                table = score_table(runs[:, which], emotion[which], level, resamples, seed)
                scores = (
                    table.loc[["accuracy", "macro F1"], ["value", "low", "high"]].to_numpy().ravel()
                )
            rows.append(row | dict(zip(SCORES, scores.tolist(), strict=True)))
    return pd.DataFrame(rows)


def variants_finding(table: pd.DataFrame) -> str:
    """What a table of `side_by_side` says, in one sentence."""
    accuracy = 100 * table.pivot(index="model", columns="variant", values="accuracy")
    said = []
    for variant, words in (
        (UNLEAKED, "without leaked copies"),
        (UNLIKE, "without leaked near copies too"),
        (MAJORITY, "held to FER+'s majority"),
    ):
        if variant in accuracy and accuracy[variant].notna().all():
            change = accuracy[variant] - accuracy[CANONICAL]
            low, high = f"{change.min():+.1f}", f"{change.max():+.1f}"
            said.append(f"{words} by {low if low == high else f'{low} to {high}'} points")
    models = "one model" if len(accuracy) == 1 else f"{len(accuracy)} models"
    if not said:
        return f"Accuracy of {models} is known on the canonical images only."
    return f"Against the canonical labels on all images, accuracy of {models} changes {', '.join(said)}."
