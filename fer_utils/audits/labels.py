"""Labels compared with FER+, the votes of ten annotators (Barsoum et al.

2016, arXiv 1608.01041).
"""

import numpy as np
import pandas as pd
from scipy.stats import entropy

from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

NAMED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER+'s names of the seven emotions, in the order of `EMOTIONS`."""
OTHERS = tuple(name for name in CATEGORIES if name not in NAMED)
"""FER+'s categories that are none of the seven: contempt, unknown, NF (not a face)."""
SHOWN = {"contempt": "contempt", "unknown": "unknown", "NF": "not a face"}
"""Their names in tables and figures."""
OUTCOMES = ("agrees", "another emotion", "no majority", *SHOWN.values())
"""Possible outcomes of comparing a label with the majority."""


def votes_by_emotion(faces: Faces) -> np.ndarray:
    """Votes as int64 (n, 10): the seven in the order of `EMOTIONS`, then `OTHERS`.

    Raises:
        StudyError: the faces carry no votes.
    """
    if faces.votes is None:
        raise StudyError(
            "faces: expected FER+ votes, found none. Prepare them with `fer-study prepare --votes "
            "FILE`."
        )
    return faces.votes[[*NAMED, *OTHERS]].to_numpy(np.int64)


def agrees_with_label(faces: Faces) -> np.ndarray:
    """True for images whose most voted FER+ category is their label, bool (n,).

    A tie counts as agreement where the label is among the most voted. Contempt, unknown and NF
    never agree.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[np.arange(len(faces)), faces.emotion] == votes.max(axis=1)


def majority(faces: Faces) -> np.ndarray:
    """The most voted FER+ category of each image as an index into `EMOTIONS`, int64 (n,).

    It is -1 if none of the seven alone leads all ten categories: a tie, contempt, unknown or not a
    face.

    Raises:
        StudyError: the faces carry no votes.
    """
    leading = _leading(votes_by_emotion(faces))
    return np.where(leading < len(EMOTIONS), leading, -1)


def vote_shares(faces: Faces) -> np.ndarray:
    """Votes for each of the seven divided by the votes for all ten categories, float64 (n, 7), 0 to
    1.

    A row sums to less than 1 by the votes for contempt, unknown and not a face; all 0 where nobody
    voted.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[:, : len(EMOTIONS)] / np.maximum(votes.sum(axis=1, keepdims=True), 1)


def vote_targets(faces: Faces) -> np.ndarray:
    """The votes as soft labels, float64 (n, 7), each row summing to 1, as Barsoum et al. 2016 train
    with the votes.

    An image that nobody voted one of the seven for keeps its label. That is another data set than
    FER-2013: what learns from it belongs to a track of its own.

    Raises:
        StudyError: the faces carry no votes.
    """
    shares = vote_shares(faces)
    named = shares.sum(axis=1, keepdims=True)
    return np.where(
        named > 0, shares / np.maximum(named, 1e-9), np.eye(len(EMOTIONS))[faces.emotion]
    )


def vote_entropy(faces: Faces) -> np.ndarray:
    """Shannon entropy of each image's votes over all ten categories, bits, float64 (n,).

    0 where all taggers agree, at most log2(10) = 3.3; 0 too where nobody voted.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    silent = votes.sum(axis=1) == 0
    return np.where(silent, 0.0, entropy(votes + silent[:, None], base=2, axis=1))


def outcomes(faces: Faces) -> np.ndarray:
    """What the taggers' majority makes of each label, str (n,), each one of `OUTCOMES`.

    Stricter than `agrees_with_label`: a tie is no majority, whether or not the label is in it.

    Raises:
        StudyError: the faces carry no votes.
    """
    leading = _leading(votes_by_emotion(faces))
    names = np.array(
        [*["another emotion"] * len(EMOTIONS), *(SHOWN[name] for name in OTHERS), "no majority"]
    )
    return np.where(
        leading == faces.emotion, "agrees", names[leading]
    )  # -1, no majority, is the last


def vote_table(faces: Faces) -> pd.DataFrame:
    """Compare the labels with FER+, by emotion and for `all`.

    Returns:
        Columns emotion; images; agreement (share for which `agrees_with_label`, ties included);
        entropy_bits (mean of `vote_entropy`); label_votes (mean share of all votes that the label
        gets); not_a_face_votes and unknown_votes (shares of all votes); then the number of images
        of each of `OUTCOMES`, which add up to images. An emotion without an image has NaN for
        shares.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    each = pd.DataFrame(
        {
            "agreement": agrees_with_label(faces),
            "entropy_bits": vote_entropy(faces),
            "label_votes": shares[np.arange(len(faces)), faces.emotion],
            "not_a_face_votes": shares[:, len(EMOTIONS) + OTHERS.index("NF")],
            "unknown_votes": shares[:, len(EMOTIONS) + OTHERS.index("unknown")],
        }
    )
    found = outcomes(faces)
    rows = []
    for name in (*EMOTIONS, "all"):
        which = (
            np.ones(len(faces), bool) if name == "all" else faces.emotion == EMOTIONS.index(name)
        )
        counts = {outcome: int((found[which] == outcome).sum()) for outcome in OUTCOMES}
        rows.append({"emotion": name, "images": int(which.sum()), **each[which].mean(), **counts})
    return pd.DataFrame(rows)


def disagreement(faces: Faces) -> pd.DataFrame:
    """Count images by FER-2013's label (rows) and FER+ majority (columns), int64 (7, 11).

    The columns are the seven emotions, contempt, unknown, not a face, and no majority (a tie); rows
    add up to the images with that label.

    Raises:
        StudyError: the faces carry no votes.
    """
    columns = [*EMOTIONS, *(SHOWN[name] for name in OTHERS), "no majority"]
    leading = _leading(votes_by_emotion(faces))
    counts = np.zeros((len(EMOTIONS), len(columns)), np.int64)
    np.add.at(counts, (faces.emotion, leading), 1)  # -1, no majority, is the last
    return pd.DataFrame(
        counts,
        index=pd.Index(EMOTIONS, name="FER-2013 label"),
        columns=pd.Index(columns, name="FER+ majority"),
    )


def mislabelled(faces: Faces) -> np.ndarray:
    """The drawn faces that show another emotion than their label, bool (n,).

    Images without a face do not count. Duplicates with another label than their original do.

    Raises:
        StudyError: the faces were not drawn.
    """
    if faces.truth is None:
        raise StudyError(
            "faces: expected drawn faces with known faults, found others. Use the sample."
        )
    shown = faces.truth.dropna(subset="true_emotion").set_index("row")["true_emotion"]
    shown = pd.Series(faces.row).map(shown).to_numpy(object)
    return np.array(pd.notna(shown) & (shown != np.array(EMOTIONS, object)[faces.emotion]), bool)


def votes_finding(table: pd.DataFrame) -> str:
    """Summarise a table of `vote_table`."""
    every = table[table["emotion"] == "all"].iloc[0]
    said = table[(table["emotion"] != "all") & (table["images"] > 0)].set_index("emotion")[
        "agreement"
    ]
    agreement, most, least, single = (
        f"{100 * share:.1f} %"
        for share in (every["agreement"], said.max(), said.min(), every["label_votes"])
    )
    return (
        f"The FER+ majority agrees with the label of {agreement} of {every['images']:,} images. "
        f"Agreement is highest for {said.idxmax()} ({most}) and lowest for {said.idxmin()} "
        f"({least}). One annotator agrees with {single} of the labels. {every['not a face']:,} "
        "images are not a face by majority."
    )


def _leading(votes: np.ndarray) -> np.ndarray:
    """The column with the most votes, int64 (n,); -1 where two or more have as many."""
    most = votes.max(axis=1, keepdims=True)
    return np.where((votes == most).sum(axis=1) == 1, votes.argmax(axis=1), -1)
