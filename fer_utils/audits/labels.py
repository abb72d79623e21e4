"""Labels held to FER+: what ten taggers say about each image (Barsoum et al. 2016, arXiv 1608.01041)."""

import numpy as np
import pandas as pd

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.sources.votes import CATEGORIES

NAMED = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER+'s names of the seven emotions, in the order of `EMOTIONS`."""
OTHERS = tuple(name for name in CATEGORIES if name not in NAMED)
"""FER+'s categories that are none of the seven: contempt, unknown, NF (not a face)."""


def votes_by_emotion(faces: Faces) -> np.ndarray:
    """Votes as int64 (n, 10): the seven in the order of `EMOTIONS`, then `OTHERS`.

    Raises:
        StudyError: the faces carry no votes.
    """
    if faces.votes is None:
        raise StudyError("faces: expected FER+ votes, found none. Prepare them with `fer-study prepare --votes FILE`.")
    return faces.votes[[*NAMED, *OTHERS]].to_numpy(np.int64)


def agrees_with_label(faces: Faces) -> np.ndarray:
    """Whether the most voted FER+ category of each image is its label, bool (n,).

    A tie counts as agreement where the label is among the most voted. Contempt, unknown and NF never agree.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[np.arange(len(faces)), faces.emotion] == votes.max(axis=1)


def label_agreement(faces: Faces) -> pd.Series:
    """Share of images, 0 to 1, for which `agrees_with_label`: by emotion, then `all`. Raises StudyError likewise."""
    agrees = agrees_with_label(faces)
    by_emotion = pd.Series(agrees).groupby(np.array(EMOTIONS)[faces.emotion]).mean().reindex(EMOTIONS)
    return pd.concat([by_emotion, pd.Series({"all": agrees.mean()})])


def majority(faces: Faces) -> np.ndarray:
    """The most voted FER+ category of each image as an index into `EMOTIONS`, int64 (n,).

    It is -1 where no single one of the seven leads all ten categories: a tie, contempt, unknown, not a face.

    Raises:
        StudyError: the faces carry no votes.
    """
    leading = _leading(votes_by_emotion(faces))
    return np.where(leading < len(EMOTIONS), leading, -1)


def vote_shares(faces: Faces) -> np.ndarray:
    """Votes for each of the seven divided by the votes for all ten categories, float64 (n, 7), 0 to 1.

    A row sums to less than 1 by the votes for contempt, unknown and not a face; all 0 where nobody voted.

    Raises:
        StudyError: the faces carry no votes.
    """
    votes = votes_by_emotion(faces)
    return votes[:, : len(EMOTIONS)] / np.maximum(votes.sum(axis=1, keepdims=True), 1)


def _leading(votes: np.ndarray) -> np.ndarray:
    """The column with the most votes, int64 (n,); -1 where two or more have as many."""
    most = votes.max(axis=1, keepdims=True)
    return np.where((votes == most).sum(axis=1) == 1, votes.argmax(axis=1), -1)
