"""Errors of a model: confused emotions, confident errors, and agreement with human taggers.

Logits are (n, 7), in the order of the faces that are passed with them.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import confusion_matrix

from fer_utils.audits.labels import agrees_with_label, majority, vote_shares, votes_by_emotion
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval, probabilities
from fer_utils.evaluation.wording import interval, percent


def confusion(logits: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Count images by true emotion (rows) and predicted emotion (columns), int (7, 7)."""
    counts = confusion_matrix(emotion, np.argmax(logits, axis=1), labels=range(len(EMOTIONS)))
    return pd.DataFrame(
        counts,
        index=pd.Index(EMOTIONS, name="true emotion"),
        columns=pd.Index(EMOTIONS, name="predicted emotion"),
    )


def most_confused(table: pd.DataFrame) -> tuple[str, str, float]:
    """Return the most frequent error: true emotion, prediction, and share.

    The share is of the true emotion's images, 0 to 1.

    Args:
        table: counts as returned by `confusion`.
    """
    errors = table.to_numpy() * (1 - np.eye(len(EMOTIONS), dtype=int))
    true, predicted = np.unravel_index(errors.argmax(), errors.shape)
    total = max(1, table.iloc[true].sum())
    return EMOTIONS[true], EMOTIONS[predicted], float(errors[true, predicted] / total)


def confident_mistakes(logits: np.ndarray, emotion: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the errors with the highest probability, highest first.

    The result is int, with `count` elements, or fewer if there are fewer errors.
    """
    shares = probabilities(logits)
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    return wrong[np.argsort(-shares.max(axis=1)[wrong], kind="stable")][:count]


def predictions_table(faces: Faces, logits: np.ndarray, chosen: np.ndarray) -> pd.DataFrame:
    """Labels and predictions of some faces, for pages that must not show the faces.

    Args:
        faces: (n,).
        logits: (n, 7).
        chosen: indices of faces.

    Returns:
        Columns row (in FER-2013's CSV, from 0), label, prediction, probability.
    """
    shares = probabilities(logits)[chosen]
    names = np.array(EMOTIONS)
    return pd.DataFrame(
        {
            "row": faces.row[chosen],
            "label": names[faces.emotion[chosen]],
            "prediction": names[shares.argmax(axis=1)],
            "probability": shares.max(axis=1),
        }
    )


def doubtful_labels(faces: Faces) -> tuple[np.ndarray, str] | None:
    """Return which labels are doubtful, bool (n,), and the reason as a phrase.

    For drawn faces, these are the planted wrong labels and the images without a face. For other
    faces, these are the labels that did not get the most FER+ votes. Without votes, the result is
    None.
    """
    if faces.truth is not None:
        planted = faces.truth["fault"].isin(["wrong_label", "not_a_face"])
        doubtful = np.isin(faces.row, faces.truth.loc[planted, "row"])
        return doubtful, "were drawn with a wrong label or without a face"
    if faces.votes is not None:
        return ~agrees_with_label(faces), "have a label that did not get the most FER+ votes"
    return None


def confident_finding(faces: Faces, chosen: np.ndarray) -> str:
    """Compare the share of doubtful labels among chosen errors with that among all faces.

    Args:
        faces: all faces.
        chosen: indices of the errors, int (m,).
    """
    if not len(chosen):
        return "The model makes no errors."
    labels = doubtful_labels(faces)
    if labels is None:
        return "No FER+ votes were prepared, so doubtful labels cannot be counted."
    doubtful, reason = labels
    return (
        f"Of these {len(chosen)} errors, {doubtful[chosen].sum()} {reason}. "
        f"Among all {len(faces):,} images, this share is {percent(doubtful.mean())}."
    )


def confused_pairs(logits: np.ndarray, faces: Faces) -> pd.DataFrame:
    """Count each possible error and compare it with the FER+ votes.

    Returns:
        42 rows, most frequent error first. Columns:

        - emotion (the label), answer (the prediction), images.
        - share: of the label's images, 0 to 1, with its 95 % Wilson interval, low and high.
        - tagger_rate: mean share of votes for the predicted emotion on all images of the label.
        - tagger_share: the same on the images with this error.
        - majority_share: share of the images with this error whose FER+ majority is the
          prediction.

        The last three are only there if the faces have votes. Values without images are NaN.
    """
    predictions = np.argmax(logits, axis=1)
    if faces.votes is not None:
        votes, winners = vote_shares(faces), majority(faces)
    rows = []
    for true, emotion in enumerate(EMOTIONS):
        of_emotion = faces.emotion == true
        total = int(of_emotion.sum())
        for predicted, answer in enumerate(EMOTIONS):
            if predicted == true:
                continue
            confused = of_emotion & (predictions == predicted)
            count = int(confused.sum())
            share = low = high = np.nan
            if total:
                share = count / total
                low, high = accuracy_interval(share, total)
            row = {"emotion": emotion, "answer": answer, "images": count}
            row |= {"share": share, "low": low, "high": high}
            if faces.votes is not None:
                voted, won = votes[:, predicted], winners == predicted
                row["tagger_rate"] = voted[of_emotion].mean() if total else np.nan
                row["tagger_share"] = voted[confused].mean() if count else np.nan
                row["majority_share"] = won[confused].mean() if count else np.nan
            rows.append(row)
    return pd.DataFrame(rows).sort_values(
        "images", ascending=False, kind="stable", ignore_index=True
    )


class Correlation(NamedTuple):
    """Spearman's rank correlation (NaN if undefined) and its number of pairs of emotions."""

    rho: float
    pairs: int


def confusion_correlation(pairs: pd.DataFrame) -> Correlation:
    """Correlate the model's confusions with the taggers': `share` with `tagger_rate`.

    There is no p-value. Pairs with the same label share their images, so they are not independent.

    Args:
        pairs: as returned by `confused_pairs`, of faces with votes.
    """
    pairs = pairs.dropna(subset=["share", "tagger_rate"])
    if pairs["share"].nunique() < 2 or pairs["tagger_rate"].nunique() < 2:
        return Correlation(float("nan"), len(pairs))
    return Correlation(float(spearmanr(pairs["share"], pairs["tagger_rate"]).statistic), len(pairs))


def shared_with_taggers(logits: np.ndarray, faces: Faces) -> pd.DataFrame:
    """Count the errors that agree with a FER+ tagger or, for drawn faces, with the drawn emotion.

    Returns:
        One row per criterion; none if the faces have neither votes nor a drawn emotion. Columns:

        - answer_is: the criterion that the wrong prediction meets.
        - errors: number of errors; shared: how many of them meet the criterion.
        - share: shared / errors, with its 95 % Wilson interval, low and high.
        - random: expected share if each error were one of the other six emotions at random.
        - same_confusions: expected share if the wrong predictions were shuffled among the errors
          with the same label. A higher share depends on the image, not only on the confused
          emotions.

        Shares are NaN without errors.
    """
    predictions = np.argmax(logits, axis=1)
    wrong = np.flatnonzero(predictions != faces.emotion)
    labels, predicted = faces.emotion[wrong], predictions[wrong]
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    np.add.at(counts, (labels, predicted), 1)
    mix = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = []
    for name, meets in _criteria(faces).items():
        meets = meets[wrong]
        shared = int(meets[np.arange(len(wrong)), predicted].sum())
        row = {"answer_is": name, "errors": len(wrong), "shared": shared}
        if len(wrong):
            low, high = accuracy_interval(shared / len(wrong), len(wrong))
            others = meets & (np.arange(len(EMOTIONS)) != labels[:, None])
            row |= {"share": shared / len(wrong), "low": low, "high": high}
            row["random"] = float(others.sum(axis=1).mean() / (len(EMOTIONS) - 1))
            row["same_confusions"] = float((mix[labels] * meets).sum(axis=1).mean())
        rows.append(row)
    columns = ["answer_is", "errors", "shared", "share", "low", "high", "random", "same_confusions"]
    return pd.DataFrame(rows, columns=columns)


def shared_finding(table: pd.DataFrame) -> str:
    """Summarise the table of `shared_with_taggers`, one sentence per criterion."""
    if not len(table):
        return "No FER+ votes were prepared, so the errors cannot be compared with human votes."
    if not table["errors"].iloc[0]:
        return "The model makes no errors."
    sentences = [
        f"{percent(row['share'])} of the {row['errors']:,} errors are {row['answer_is']} "
        f"({interval(row['low'], row['high'])}; {percent(row['random'])} expected at random)."
        for row in table.to_dict("records")
    ]
    return " ".join(sentences)


def confusion_finding(pairs: pd.DataFrame) -> str:
    """Summarise the table of `confused_pairs` in a few sentences."""
    top = pairs.iloc[0]
    if not top["images"]:
        return "The model makes no errors."
    sentences = [
        f"The most frequent error is *{top['emotion']}* predicted as *{top['answer']}*, on "
        f"{percent(top['share'])} of the {top['emotion']} images "
        f"({interval(top['low'], top['high'])})."
    ]
    if "tagger_rate" in pairs:
        sentences.append(
            f"On the images with this error, {percent(top['tagger_share'])} of the FER+ votes are "
            f"for {top['answer']}."
        )
        rho, count = confusion_correlation(pairs)
        if not np.isnan(rho):
            sentences.append(
                "The rank correlation of the model's confusion rates with the taggers' votes is "
                f"{rho:.2f} (Spearman, {count} pairs of emotions)."
            )
    return " ".join(sentences)


def _criteria(faces: Faces) -> dict[str, np.ndarray]:
    """Return, per criterion, which predictions would meet it on each image, bool (n, 7)."""
    numbers = np.arange(len(EMOTIONS))
    if faces.truth is not None:
        drawn = faces.truth.set_index("row")["true_emotion"].reindex(faces.row)
        return {
            "the emotion that was drawn": drawn.to_numpy()[:, None] == np.array(EMOTIONS)[numbers]
        }
    if faces.votes is None:
        return {}
    votes = votes_by_emotion(faces)[:, : len(EMOTIONS)]
    return {
        "the FER+ majority vote": majority(faces)[:, None] == numbers,
        "a choice of at least one tagger": votes >= 1,
        "a choice of at least two taggers": votes >= 2,
    }
