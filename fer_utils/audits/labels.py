"""Labels compared with the votes of ten annotators: FER+, Barsoum et al. 2016, arXiv 1608.01041."""

import numpy as np
import pandas as pd
from scipy.stats import entropy

from fer_utils.data.faces import Faces
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation.wording import percent

NAMED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER+'s names of the seven emotions, in the order of `EMOTIONS`."""
OTHERS = tuple(name for name in CATEGORIES if name not in NAMED)
"""The other FER+ categories: contempt, unknown, NF (not a face)."""
SHOWN = {"contempt": "contempt", "unknown": "unknown", "NF": "not a face"}
"""The names of `OTHERS` in tables and figures."""
OUTCOMES = ("agrees", "another emotion", "no majority", *SHOWN.values())
"""Possible outcomes of comparing a label with the majority."""


def votes_by_emotion(faces: Faces) -> np.ndarray:
    """The votes, int64 (n, 10): the seven in the order of `EMOTIONS`, then `OTHERS`.

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
    """The images whose most frequent FER+ category is their label, bool (n,).

    In a tie, the label agrees if it is among the most frequent categories. Contempt, unknown and NF
    never agree.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[np.arange(len(faces)), faces.emotion] == votes.max(axis=1)


def majority(faces: Faces) -> np.ndarray:
    """The FER+ majority of each image as an index into `EMOTIONS`, int64 (n,).

    The majority is the category with the most votes. The index is -1 for a tie, contempt, unknown
    and not a face.

    Raises:
        StudyError: the faces carry no votes.
    """
    leading = _leading(votes_by_emotion(faces))
    return np.where(leading < len(EMOTIONS), leading, -1)


def vote_shares(faces: Faces) -> np.ndarray:
    """The votes for each of the seven, divided by all votes: float64 (n, 7), 0 to 1.

    A row sums to less than 1 if annotators chose contempt, unknown or not a face. It is 0 for an
    image without votes.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[:, : len(EMOTIONS)] / np.maximum(votes.sum(axis=1, keepdims=True), 1)


def vote_targets(faces: Faces) -> np.ndarray:
    """The votes as soft labels, float64 (n, 7), each row summing to 1 (Barsoum et al. 2016).

    An image without a vote for one of the seven keeps its label. These labels are not FER-2013's,
    so models trained on them are compared separately.

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

    It is 0 if all annotators agree or nobody voted, and at most log2(10) = 3.3.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    silent = votes.sum(axis=1) == 0
    # One vote for every category avoids 0 / 0. The result is replaced by 0.
    return np.where(silent, 0.0, entropy(votes + silent[:, None], base=2, axis=1))


def outcomes(faces: Faces) -> np.ndarray:
    """Compare each label with the FER+ majority: str (n,), each one of `OUTCOMES`.

    This is stricter than `agrees_with_label`, because a tie is never a majority.

    Raises:
        StudyError: the faces carry no votes.
    """
    leading = _leading(votes_by_emotion(faces))
    names = np.array(
        [*["another emotion"] * len(EMOTIONS), *(SHOWN[name] for name in OTHERS), "no majority"]
    )
    # The index -1, no majority, selects the last name.
    return np.where(leading == faces.emotion, "agrees", names[leading])


def vote_table(faces: Faces) -> pd.DataFrame:
    """Compare the labels with FER+, by emotion and for `all`.

    Returns:
        Columns: emotion; images; agreement (share of images for which `agrees_with_label` is true);
        entropy_bits (mean of `vote_entropy`); label_votes, not_a_face_votes and unknown_votes (mean
        shares of all votes); and the number of images of each of `OUTCOMES`, which sum to images.
        Means are NaN for an emotion without images.

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

    The columns are the seven emotions, contempt, unknown, not a face, and no majority (a tie). A
    row sums to the number of images with its label.

    Raises:
        StudyError: the faces carry no votes.
    """
    columns = [*EMOTIONS, *(SHOWN[name] for name in OTHERS), "no majority"]
    leading = _leading(votes_by_emotion(faces))
    counts = np.zeros((len(EMOTIONS), len(columns)), np.int64)
    np.add.at(counts, (faces.emotion, leading), 1)  # the index -1, no majority, is the last column
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
            f"faces: expected drawn faces with known faults, found source {faces.source!r}. Use "
            "the sample."
        )
    shown = faces.truth.dropna(subset="true_emotion").set_index("row")["true_emotion"]
    shown = pd.Series(faces.row).map(shown).to_numpy(object)
    return np.array(pd.notna(shown) & (shown != np.array(EMOTIONS, object)[faces.emotion]), bool)


def votes_finding(table: pd.DataFrame) -> str:
    """Summarise a table of `vote_table`."""
    every = table[table["emotion"] == "all"].iloc[0]
    present = table[(table["emotion"] != "all") & (table["images"] > 0)]
    agreement = present.set_index("emotion")["agreement"]
    return (
        f"The FER+ majority agrees with the label of {percent(every['agreement'])} of "
        f"{every['images']:,} images. Agreement is highest for {agreement.idxmax()} "
        f"({percent(agreement.max())}) and lowest for {agreement.idxmin()} "
        f"({percent(agreement.min())}). One annotator agrees with "
        f"{percent(every['label_votes'])} of the labels. {every['not a face']:,} images are not a "
        "face by majority."
    )


def _leading(votes: np.ndarray) -> np.ndarray:
    """The column with the most votes, int64 (n,), or -1 for a tie."""
    most = votes.max(axis=1, keepdims=True)
    return np.where((votes == most).sum(axis=1) == 1, votes.argmax(axis=1), -1)
