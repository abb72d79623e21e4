"""The mistakes of a model: which emotions it confuses, how sure it was, and whether people share them.

Logits are (n, 7), of the faces given with them, in their order.
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


def confusion(logits: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Counts, int (7, 7): true emotion in rows, predicted in columns."""
    counts = confusion_matrix(emotion, np.argmax(logits, axis=1), labels=range(len(EMOTIONS)))
    return pd.DataFrame(
        counts,
        index=pd.Index(EMOTIONS, name="true emotion"),
        columns=pd.Index(EMOTIONS, name="predicted emotion"),
    )


def most_confused(table: pd.DataFrame) -> tuple[str, str, float]:
    """The mistake made on most images: true emotion, prediction, and its share (0 to 1) of the true emotion's images.

    Args:
        table: counts as `confusion` gives them.
    """
    mistakes = table.to_numpy() * (1 - np.eye(len(EMOTIONS), dtype=int))
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    return (
        EMOTIONS[true],
        EMOTIONS[predicted],
        float(mistakes[true, predicted] / max(1, table.iloc[true].sum())),
    )


def confident_mistakes(logits: np.ndarray, emotion: np.ndarray, count: int) -> np.ndarray:
    """Indices, int (at most `count`,), of the wrong answers with the highest probability, highest first."""
    shares = probabilities(logits)
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    return wrong[np.argsort(-shares.max(axis=1)[wrong], kind="stable")][:count]


def doubtful_labels(faces: Faces) -> tuple[np.ndarray, str]:
    """Whose label is in doubt, bool (n,), and what that means, to follow "of these images, so many ...".

    Of drawn faces: a wrong label or no face was planted. Of others: FER+'s taggers do not agree with the label; none,
    where there are no votes.
    """
    if faces.truth is not None:
        planted = faces.truth["fault"].isin(["wrong_label", "not_a_face"])
        return np.isin(
            faces.row, faces.truth.loc[planted, "row"]
        ), "were drawn with a wrong label or no face"
    if faces.votes is not None:
        return ~agrees_with_label(faces), "have a label that FER+'s taggers did not vote for most"
    return np.zeros(
        len(faces), bool
    ), "are known to have a wrong label (no FER+ votes were prepared)"


def confident_finding(faces: Faces, chosen: np.ndarray) -> str:
    """How many labels of the mistakes `chosen`, indices, are in doubt, beside all faces, in a sentence."""
    if not len(chosen):
        return "No answer is wrong."
    doubtful, why = doubtful_labels(faces)
    return f"Of these {len(chosen)}, {doubtful[chosen].sum()} {why}; of all {len(faces):,} images {doubtful.mean():.0%}."


def confused_pairs(logits: np.ndarray, faces: Faces) -> pd.DataFrame:
    """Every mistake that can be made, most often made first, beside what FER+'s taggers say.

    Returns:
        42 rows; columns emotion (the label), answer, images, share (of the emotion's images, 0 to 1) with its 95 %
        Wilson interval, low and high; and where the faces carry votes: tagger_rate, the mean share of votes that the
        answer got on all images of the emotion; tagger_share, the same on the images that the model so mistook; and
        majority_share, how many of these have the answer as FER+'s majority. NaN where there is no image.
    """
    answers = np.argmax(logits, axis=1)
    votes = None if faces.votes is None else (vote_shares(faces), majority(faces))
    rows = []
    for true, emotion in enumerate(EMOTIONS):
        of_emotion = faces.emotion == true
        total = int(of_emotion.sum())
        for said, answer in enumerate(EMOTIONS):
            if said == true:
                continue
            taken = of_emotion & (answers == said)
            count = int(taken.sum())
            share = count / total if total else np.nan
            low, high = accuracy_interval(share, total) if total else (np.nan, np.nan)
            row = {
                "emotion": emotion,
                "answer": answer,
                "images": count,
                "share": share,
                "low": low,
                "high": high,
            }
            if votes is not None:
                row["tagger_rate"] = votes[0][of_emotion, said].mean() if total else np.nan
                row["tagger_share"] = votes[0][taken, said].mean() if count else np.nan
                row["majority_share"] = (votes[1][taken] == said).mean() if count else np.nan
            rows.append(row)
    return pd.DataFrame(rows).sort_values(
        "images", ascending=False, kind="stable", ignore_index=True
    )


class Correlation(NamedTuple):
    """Spearman's rank correlation, and of how many pairs of emotions; NaN where it is not defined."""

    rho: float
    pairs: int


def confusion_correlation(pairs: pd.DataFrame) -> Correlation:
    """Whether the model confuses the emotions that taggers confuse: `share` against `tagger_rate` over the pairs.

    It has no p-value: pairs of one emotion share their images and so do not vary independently.

    Args:
        pairs: as `confused_pairs` gives them, of faces with votes.
    """
    known = pairs.dropna(subset=["share", "tagger_rate"])
    if known["share"].nunique() < 2 or known["tagger_rate"].nunique() < 2:
        return Correlation(float("nan"), len(known))
    return Correlation(float(spearmanr(known["share"], known["tagger_rate"]).statistic), len(known))


def shared_with_taggers(logits: np.ndarray, faces: Faces) -> pd.DataFrame:
    """How many wrong answers are somebody's answer: FER+'s taggers', or of drawn faces the emotion that was drawn.

    Returns:
        A row a criterion; columns answer_is (what the wrong answer is), errors (all), shared (how many of them), share
        with its 95 % Wilson interval, low and high; random, the share that would be if each wrong answer were one of
        the other six emotions at random; and same_confusions, if the wrong answers were shuffled among the errors on
        each emotion: what exceeds it is owed to the image, not to which emotions are confused. NaN where no answer is
        wrong; no row where nothing is known of the faces but labels.
    """
    answers = np.argmax(logits, axis=1)
    wrong = np.flatnonzero(answers != faces.emotion)
    labels, given = faces.emotion[wrong], answers[wrong]
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    np.add.at(counts, (labels, given), 1)
    mix = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = []
    for name, holds in _criteria(faces).items():
        holds = holds[wrong]
        shared = int(holds[np.arange(len(wrong)), given].sum())
        row = {"answer_is": name, "errors": len(wrong), "shared": shared}
        if len(wrong):
            low, high = accuracy_interval(shared / len(wrong), len(wrong))
            others = holds & (np.arange(len(EMOTIONS)) != labels[:, None])
            row |= {"share": shared / len(wrong), "low": low, "high": high}
            row["random"] = float(others.sum(axis=1).mean() / (len(EMOTIONS) - 1))
            row["same_confusions"] = float((mix[labels] * holds).sum(axis=1).mean())
        rows.append(row)
    columns = ["answer_is", "errors", "shared", "share", "low", "high", "random", "same_confusions"]
    return pd.DataFrame(rows, columns=columns)


def shared_finding(table: pd.DataFrame) -> str:
    """What `shared_with_taggers` found, in a sentence."""
    if not len(table):
        return "Whether people share these mistakes is not known: no FER+ votes were prepared."
    if not table["errors"].iloc[0]:
        return "No answer is wrong."
    said = [
        f"{row['share']:.0%} are {row['answer_is']} (at random {row['random']:.0%})"
        for row in table.to_dict("records")
    ]
    return f"Of the {table['errors'].iloc[0]:,} wrong answers {', '.join(said)}."


def confusion_finding(pairs: pd.DataFrame) -> str:
    """What `confused_pairs` found, in a sentence or two."""
    top = pairs.iloc[0]
    if not top["images"]:
        return "No answer is wrong."
    said = (
        f"The mistake made most often: *{top['emotion']}* taken for *{top['answer']}*, {top['share']:.0%} of the "
        f"{top['emotion']} images."
    )
    if "tagger_rate" not in pairs:
        return said
    said = (
        f"{said[:-1]}; on these {top['tagger_share']:.0%} of FER+'s votes are for {top['answer']}."
    )
    rho, count = confusion_correlation(pairs)
    if np.isnan(rho):
        return said
    more = "confuses what people confuse" if rho > 0.5 else "confuses other emotions than people do"
    return f"{said} Over {count} pairs of emotions the model {more} (Spearman's rank correlation {rho:.2f})."


def _criteria(faces: Faces) -> dict[str, np.ndarray]:
    """For each criterion, which answers to which image would meet it, bool (n, 7)."""
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
        "FER+'s majority": majority(faces)[:, None] == numbers,
        "the answer of at least one tagger": votes >= 1,
        "the answer of at least two": votes >= 2,
    }
