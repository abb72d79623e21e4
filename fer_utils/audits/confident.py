"""Confident learning: doubtful labels and their number, from out-of-sample probabilities.

The method is that of Northcutt, Jiang & Chuang 2021 (arXiv 1911.00068), as implemented in cleanlab.
The probabilities come from a classifier that was not trained on the image: `hog_probabilities`, or
a network on PublicTest and PrivateTest. An image counts as showing an emotion if its probability
exceeds the mean over images with that label. A label is doubtful if the image counts as showing
another emotion. A weak classifier takes its own errors for wrong labels, and its estimate of the
share of wrong labels is too high.
"""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from fer_utils.audits.labels import agrees_with_label, majority, mislabelled
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

RESAMPLES = 200
"""Bootstrap resamples. The ends of an interval vary by about a tenth of its width."""


class Noise(NamedTuple):
    """The share of wrong labels as estimated by confident learning.

    Attributes:
        wrong: share of images whose label is wrong, 0 to 1.
        low: lower end of the 95 % bootstrap interval over images, for these probabilities.
        high: its upper end.
        images: number of images.
        joint: DataFrame (7, 7) of shares that sum to 1: label in rows, estimated true emotion in
            columns.
    """

    wrong: float
    low: float
    high: float
    images: int
    joint: pd.DataFrame


def label_issues(probabilities: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Rate how doubtful the label of each image is.

    Args:
        probabilities: float (n, 7), out-of-sample; rows sum to 1.
        emotion: labels, (n,), index into `EMOTIONS`.

    Returns:
        One row per image, in the given order. Columns: label (name); suggested (name of the most
        probable emotion); self_confidence (p, the label's probability); normalized_margin
        ((1 + p - q) / 2, where q is the highest other probability); rank (1 for the lowest
        self-confidence; ties in the given order); flagged (bool: pruned by noise rate, the default
        of the method). The only image of an emotion is never flagged.

    Raises:
        StudyError: shapes differ, there is no image, or all have one label.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities, emotion = _checked(probabilities, emotion)
    scores = {
        method: get_label_quality_scores(emotion, probabilities, method=method)
        for method in ("self_confidence", "normalized_margin")
    }
    rank = np.empty(len(emotion), np.int64)
    rank[np.argsort(scores["self_confidence"], kind="stable")] = np.arange(1, len(emotion) + 1)
    with warnings.catch_warnings():
        # The only image of an emotion, see the docstring.
        warnings.filterwarnings("ignore", message="May not flag all label issues")
        # One process, because the call takes a few milliseconds and a pool takes longer.
        flagged = find_label_issues(
            emotion, probabilities, filter_by="prune_by_noise_rate", n_jobs=1
        )
    names = np.array(EMOTIONS)
    return pd.DataFrame(
        {"label": names[emotion], "suggested": names[probabilities.argmax(axis=1)], **scores}
        | {"rank": rank, "flagged": flagged}
    )


def estimated_noise(probabilities: np.ndarray, emotion: np.ndarray) -> Noise:
    """Estimate the share of wrong labels.

    It is the off-diagonal part of the joint distribution of label and true emotion. The interval
    covers the sampling of images. It does not include the bias of the method, which is larger.

    Args:
        probabilities: float (n, 7), out-of-sample.
        emotion: labels, (n,).

    Raises:
        StudyError: as `label_issues`.
    """
    probabilities, emotion = _checked(probabilities, emotion)
    joint = _joint(probabilities, emotion)
    generator = np.random.default_rng(0)
    shares = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, len(emotion), len(emotion))
        if np.ptp(emotion[drawn]) == 0:  # one label alone allows no estimate
            continue
        shares.append(1 - np.trace(_joint(probabilities[drawn], emotion[drawn])))
    low, high = np.quantile(shares, [0.025, 0.975])
    return Noise(
        float(1 - np.trace(joint)),
        float(low),
        float(high),
        len(emotion),
        pd.DataFrame(
            joint,
            index=pd.Index(EMOTIONS, name="label"),
            columns=pd.Index(EMOTIONS, name="estimated emotion"),
        ),
    )


def detection(
    issues: pd.DataFrame, wrong: np.ndarray, reference: str
) -> dict[str, str | int | float]:
    """Compare flags and ranking with a reference for wrong labels.

    Args:
        issues: as `label_issues` returns them.
        wrong: the wrong labels by the reference, bool (n,).
        reference: name of the reference.

    Returns:
        reference; images, wrong, flagged and both (counts); precision; recall; base_rate (share of
        wrong labels); lift (precision divided by base rate); roc_auc of the ranking by
        self-confidence (0.5 is chance level). A ratio is NaN if nothing was flagged, or if no label
        or every label is wrong.
    """
    nan = float("nan")
    flagged = issues["flagged"].to_numpy(bool)
    both = int((flagged & wrong).sum())
    precision = both / flagged.sum() if flagged.any() else nan
    base_rate = float(wrong.mean())
    roc_auc = nan
    if 0 < base_rate < 1:
        roc_auc = float(roc_auc_score(wrong, -issues["self_confidence"]))
    return {
        "reference": reference,
        "images": len(wrong),
        "wrong": int(wrong.sum()),
        "flagged": int(flagged.sum()),
        "both": both,
        "precision": float(precision),
        "recall": both / int(wrong.sum()) if wrong.any() else nan,
        "base_rate": base_rate,
        "lift": float(precision / base_rate) if wrong.any() else nan,
        "roc_auc": roc_auc,
    }


def issues_held_to(issues: pd.DataFrame, faces: Faces) -> pd.DataFrame:
    """Compare flags with the references of these faces: planted faults, FER+ votes, or both.

    Returns:
        One row per reference, with the columns of `detection`.
    """
    rows = []
    if faces.truth is not None:
        rows.append(detection(issues, mislabelled(faces), "planted: shows another emotion"))
    if faces.votes is not None:
        most = majority(faces)
        rows.append(detection(issues, ~agrees_with_label(faces), "FER+: majority is not the label"))
        rows.append(
            detection(
                issues,
                (most >= 0) & (most != faces.emotion),
                "FER+: majority is another of the seven",
            )
        )
    return pd.DataFrame(
        rows, columns=None if rows else [*detection(issues, np.zeros(len(issues), bool), "")]
    )


def issues_finding(table: pd.DataFrame) -> str:
    """Summarise the first row of a table of `issues_held_to`."""
    if table.empty:
        return "There is no reference for these labels: neither planted faults nor FER+ votes."
    row = table.iloc[0]
    flagged = f"Confident learning flags {row['flagged']:,} of {row['images']:,} labels."
    if not row["flagged"] or not row["wrong"]:
        return f"{flagged} {row['wrong']:,} are wrong by the reference ({row['reference']})."
    precision, recall, base = (
        f"{100 * row[key]:.0f} %" for key in ("precision", "recall", "base_rate")
    )
    return (
        f"{flagged} {precision} of the flags are correct by the reference ({row['reference']}), "
        f"{row['lift']:.1f} times its base rate of {base}. The flags contain {recall} of its "
        f"{row['wrong']:,} wrong labels."
    )


def _joint(probabilities: np.ndarray, emotion: np.ndarray) -> np.ndarray:
    from cleanlab.count import estimate_joint

    return estimate_joint(emotion, probabilities)


def _checked(probabilities: np.ndarray, emotion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, emotion = np.asarray(probabilities, np.float64), np.asarray(emotion, np.int64)
    if not len(emotion) or probabilities.shape != (len(emotion), len(EMOTIONS)):
        raise StudyError(
            f"label issues: expected probabilities (n, {len(EMOTIONS)}) and n emotions, found "
            f"{probabilities.shape} and {emotion.shape}. Take both from the same images."
        )
    if (kinds := len(np.unique(emotion))) < 2:
        raise StudyError(
            f"label issues: expected labels of at least two emotions, found {kinds}. Take more "
            "faces."
        )
    return probabilities, emotion
