"""Whether models agree: the same answers, the same errors, and which images none of them has right."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError


def model_agreement(answers: Mapping[str, np.ndarray], emotion: np.ndarray) -> pd.DataFrame:
    """Each pair of models on the same images.

    Args:
        answers: by model, indices into `EMOTIONS`, (n,).
        emotion: (n,).

    Returns:
        A row a pair, none for one model; columns model, other; same (share of images answered alike), kappa (Cohen
        1960); both_wrong (share of images) and both_wrong_expected (if errors were independent: the product of the
        error rates); same_wrong (of the images that both have wrong, the share with one answer; NaN without any).

    Raises:
        StudyError: there is no model, or the lengths differ.
    """
    _check(answers, emotion)
    rows = []
    for model, other in combinations(answers, 2):
        a, b = np.asarray(answers[model]), np.asarray(answers[other])
        both = (a != emotion) & (b != emotion)
        # Where both give one and the same answer to every image kappa is 0 / 0.
        one = len(np.union1d(a, b)) == 1
        rows.append(
            {
                "model": model,
                "other": other,
                "same": float((a == b).mean()),
                "kappa": float("nan")
                if one
                else float(cohen_kappa_score(a, b, labels=range(len(EMOTIONS)))),
                "both_wrong": float(both.mean()),
                "both_wrong_expected": float((a != emotion).mean() * (b != emotion).mean()),
                "same_wrong": float((a == b)[both].mean()) if both.any() else float("nan"),
            }
        )
    columns = ["model", "other", "same", "kappa", "both_wrong", "both_wrong_expected", "same_wrong"]
    return pd.DataFrame(rows, columns=columns)


def solved_by(answers: Mapping[str, np.ndarray], emotion: np.ndarray) -> pd.DataFrame:
    """How many images are right by none of the models, by one, ... by all.

    Args:
        answers: as `model_agreement` takes them.
        emotion: (n,).

    Returns:
        Columns models (0 to how many there are), images, share, and expected, the share if errors were independent.

    Raises:
        StudyError: as `model_agreement`.
    """
    _check(answers, emotion)
    correct = np.array([np.asarray(given) == emotion for given in answers.values()])
    counts = np.bincount(correct.sum(axis=0), minlength=len(correct) + 1)
    expected = np.ones(1)
    for share in correct.mean(axis=1):
        expected = np.convolve(expected, [1 - share, share])
    return pd.DataFrame(
        {
            "models": range(len(counts)),
            "images": counts,
            "share": counts / len(emotion),
            "expected": expected,
        }
    )


def agreement_finding(pairs: pd.DataFrame, solved: pd.DataFrame) -> str:
    """What `model_agreement` and `solved_by` found, in a sentence or two."""
    count = len(solved) - 1
    none, every = solved.iloc[0], solved.iloc[-1]
    if not len(pairs):
        return f"There is one model, which has {every['share']:.0%} of the images right and none to agree with."
    closest = pairs.loc[pairs["same"].idxmax()]
    said = (
        f"All {count} models have {every['share']:.0%} of the images right and none has {none['share']:.0%} (if errors "
        f"were independent: {every['expected']:.0%} and {none['expected']:.1%})."
    )
    alike = f"{closest['same']:.0%} of their answers the same"
    return f"{said} Most alike are {closest['model']} and {closest['other']}, {alike}."


def _check(answers: Mapping[str, np.ndarray], emotion: np.ndarray) -> None:
    lengths = {model: np.shape(given) for model, given in answers.items()}
    if not answers or set(lengths.values()) != {(len(emotion),)}:
        raise StudyError(
            f"answers: expected one or more models with {len(emotion):,} answers each, found {lengths or 'none'}. Give "
            "argmax of each one's logits of the same faces."
        )
