"""Estimates of the best possible accuracy against noisy labels.

A model that always recognises the emotion still misses every wrong label. For real faces the number
of wrong labels is unknown. The estimates have different biases, which the table describes. Human
accuracy is the reference.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from fer_utils.audits.confident import Noise
from fer_utils.audits.duplicates import duplicate_groups
from fer_utils.audits.labels import majority, vote_shares
from fer_utils.audits.pictures import near_constant
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval
from fer_utils.evaluation.published import PUBLISHED
from fer_utils.evaluation.wording import percent


def oracle_credit(faces: Faces) -> np.ndarray:
    """The probability that a model which predicts the FER+ majority matches each label.

    The model predicts the emotion with the most votes among the seven, even if contempt, unknown or
    not a face has more. Among k tied emotions it guesses, and matches with probability 1 / k.

    Returns:
        float64 (n,), 0 to 1.

    Raises:
        StudyError: the faces carry no votes.
    """
    shares = vote_shares(faces)
    top = shares == shares.max(axis=1, keepdims=True)
    return top[np.arange(len(faces)), faces.emotion] / top.sum(axis=1)


def duplicates_agreement(faces: Faces) -> np.ndarray:
    """The share of pairs of exact duplicates with equal labels, for each duplicated picture.

    A group of k duplicates has k (k - 1) / 2 pairs and one share. Near-constant images are left
    out, because they show nothing to label.

    Returns:
        float64 (groups,), 0 to 1.
    """
    kept = ~near_constant(faces)
    groups, emotion = duplicate_groups(faces.images[kept]), faces.emotion[kept]
    # Images by group and label. A group with n equal labels has n (n - 1) / 2 pairs that agree.
    counts = np.zeros((groups.max(initial=-1) + 1, len(EMOTIONS)))
    np.add.at(counts, (groups, emotion), 1)
    sizes = counts.sum(axis=1)
    counts, sizes = counts[sizes > 1], sizes[sizes > 1]
    return (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))


def ceiling(faces: Faces, noise: Mapping[str, Noise] | None = None) -> pd.DataFrame:
    """Estimate the best possible accuracy against these labels.

    Args:
        faces: of all splits; votes and truth are used if they are known.
        noise: the estimates of confident learning, by the name of the classifier.

    Returns:
        One row per estimate. Columns: estimate (its name); kind ("truth", "estimate" or "people");
        value (0 to 1); low and high (the 95 % interval over images, NaN for planted faults); images
        (Int64; pictures with duplicates for the estimate from duplicates); meaning (what it
        measures, and its bias).
    """
    rows = []
    if faces.truth is not None:
        rows.append(_from_truth(faces, faces.truth))
    if faces.votes is not None:
        rows += _from_votes(faces)
    for name, found in (noise or {}).items():
        rows.append(
            {
                "estimate": f"confident learning, {name}",
                "kind": "estimate",
                "value": 1 - found.wrong,
                "low": 1 - found.high,
                "high": 1 - found.low,
                "images": found.images,
                "meaning": "1 minus the estimated share of wrong labels; too low, because a weak "
                "classifier takes its own errors for wrong labels",
            }
        )
    agreement = duplicates_agreement(faces)
    if len(agreement):
        bias = "too high if duplicates were labelled together"
        if faces.drawn:
            bias = "too low here, because conflicts were planted among the duplicates"
        rows.append(
            _row(
                "equal labels of duplicates",
                agreement,
                accuracy_interval(agreement.mean(), len(agreement)),
                f"predicts the label of a duplicate; {bias}",
            )
        )
    for known in PUBLISHED:
        if known.name == "Human accuracy":
            low, high = known.interval
            rows.append(
                {
                    "estimate": f"human accuracy ({known.source.split(',')[0]})",
                    "kind": "people",
                    "value": known.accuracy,
                    "low": low,
                    "high": high,
                    "images": pd.NA,
                    "meaning": f"published human accuracy, on {known.images}",
                }
            )
    return pd.DataFrame(rows).astype({"images": "Int64"})


def ceiling_finding(table: pd.DataFrame) -> str:
    """Summarise a table of `ceiling` in a few sentences."""
    estimates = table[table["kind"] == "estimate"].sort_values("value")
    sentences = []
    if estimates.empty:
        sentences.append("There is no estimate of the best possible accuracy here.")
    elif len(estimates) == 1:
        only = estimates.iloc[0]
        sentences.append(
            f"The best possible accuracy is {percent(only['value'])} by {only['estimate']}."
        )
    else:
        least, most = estimates.iloc[0], estimates.iloc[-1]
        sentences.append(
            f"The {len(estimates)} estimates of the best possible accuracy range from "
            f"{percent(least['value'])} ({least['estimate']}) to {percent(most['value'])} "
            f"({most['estimate']})."
        )
    truth = table[table["kind"] == "truth"]
    if len(truth):
        sentences.append(
            f"The true value is {percent(truth['value'].iloc[0])}, because the faults are planted."
        )
    human = table[table["kind"] == "people"].iloc[0]
    low, value, high = (f"{100 * human[key]:.0f} %" for key in ("low", "value", "high"))
    sentences.append(f"Human accuracy is {value} ({low} to {high}) on other images.")
    return " ".join(sentences)


def _from_truth(faces: Faces, truth: pd.DataFrame) -> dict:
    """The share of drawn faces with a correct label. Images without a face count as missed."""
    shown = truth.drop_duplicates("row").set_index("row")["true_emotion"].reindex(faces.row)
    faulty = np.isin(faces.row, truth["row"])
    correct = ~faulty | (shown.to_numpy(object) == np.array(EMOTIONS, object)[faces.emotion])
    return {
        "estimate": "planted faults",
        "kind": "truth",
        "value": float(correct.mean()),
        "low": np.nan,
        "high": np.nan,
        "images": len(faces),
        "meaning": "correct labels; images without a face count as missed",
    }


def _from_votes(faces: Faces) -> list[dict]:
    """The estimates from FER+ votes: the majority, the majority without ties, one annotator."""
    credit, decided = oracle_credit(faces), majority(faces) >= 0
    annotator = vote_shares(faces)[np.arange(len(faces)), faces.emotion]
    rows = [
        _row(
            "FER+ majority",
            credit,
            accuracy_interval(credit.mean(), len(credit)),
            "predicts the majority of ten annotators; too low where they judge by other signs "
            "than FER-2013's labels",
        )
    ]
    if decided.any():
        rows.append(
            _row(
                "FER+ majority, where there is one",
                credit[decided],
                accuracy_interval(credit[decided].mean(), int(decided.sum())),
                "as above, without images that have a tie or no emotion as majority",
            )
        )
    rows.append(
        _row(
            "one FER+ annotator",
            annotator,
            _normal_interval(annotator),
            "predicts as one random annotator; a human's accuracy, not a perfect model's",
        )
    )
    return rows


def _row(name: str, credit: np.ndarray, interval: tuple[float, float], meaning: str) -> dict:
    scores = {"value": float(credit.mean()), "low": interval[0], "high": interval[1]}
    return {
        "estimate": name,
        "kind": "estimate",
        **scores,
        "images": len(credit),
        "meaning": meaning,
    }


def _normal_interval(credit: np.ndarray) -> tuple[float, float]:
    """95 % interval of a mean of shares, by the central limit theorem."""
    if len(credit) < 2:
        return 0.0, 1.0
    low, high = norm.interval(0.95, credit.mean(), credit.std(ddof=1) / np.sqrt(len(credit)))
    return max(0.0, float(low)), min(1.0, float(high))
