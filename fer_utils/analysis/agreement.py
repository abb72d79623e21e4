"""Agreement of models: equal predictions, shared errors, and images that no model gets right."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation.wording import percent


def model_agreement(predictions: Mapping[str, np.ndarray], emotion: np.ndarray) -> pd.DataFrame:
    """Compare each pair of models on the same images.

    Args:
        predictions: by model, indices into `EMOTIONS`, int (n,).
        emotion: true emotions, int (n,).

    Returns:
        One row per pair, none for a single model. Columns:

        - model, other.
        - same: share of images with equal predictions.
        - kappa: Cohen's kappa (Cohen 1960); NaN if both models predict one and the same emotion.
        - both_wrong: share of images.
        - both_wrong_expected: the same for independent errors, the product of the error rates.
        - same_wrong: share of equal predictions among the images that both models misclassify;
          NaN if there is no such image.

    Raises:
        StudyError: there is no model, or the lengths differ.
    """
    _check(predictions, emotion)
    rows = []
    for model, other in combinations(predictions, 2):
        a, b = np.asarray(predictions[model]), np.asarray(predictions[other])
        both = (a != emotion) & (b != emotion)
        kappa = float("nan")
        # With a single predicted emotion kappa is 0 / 0.
        if len(np.union1d(a, b)) > 1:
            kappa = float(cohen_kappa_score(a, b, labels=range(len(EMOTIONS))))
        rows.append(
            {
                "model": model,
                "other": other,
                "same": float((a == b).mean()),
                "kappa": kappa,
                "both_wrong": float(both.mean()),
                "both_wrong_expected": float((a != emotion).mean() * (b != emotion).mean()),
                "same_wrong": float((a == b)[both].mean()) if both.any() else float("nan"),
            }
        )
    columns = ["model", "other", "same", "kappa", "both_wrong", "both_wrong_expected", "same_wrong"]
    return pd.DataFrame(rows, columns=columns)


def solved_by(predictions: Mapping[str, np.ndarray], emotion: np.ndarray) -> pd.DataFrame:
    """Count the images that no model, one model, ..., all models classify correctly.

    Args:
        predictions: as for `model_agreement`.
        emotion: true emotions, int (n,).

    Returns:
        Columns models (0 to the number of models), images, share, and expected, the share if
        errors were independent.

    Raises:
        StudyError: as for `model_agreement`.
    """
    _check(predictions, emotion)
    correct = np.array([np.asarray(predicted) == emotion for predicted in predictions.values()])
    counts = np.bincount(correct.sum(axis=0), minlength=len(correct) + 1)
    # The number of correct models is a sum of independent Bernoulli variables: convolve them.
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
    """Summarise the tables of `model_agreement` and `solved_by` in a few sentences."""
    none, every = solved.iloc[0], solved.iloc[-1]
    if not len(pairs):
        share = percent(every["share"])
        return f"There is only one model. It classifies {share} of the images correctly."
    closest = pairs.loc[pairs["same"].idxmax()]
    return (
        f"All {len(solved) - 1} models classify {percent(every['share'])} of the images correctly "
        f"({percent(every['expected'])} if their errors were independent). "
        f"All of them misclassify {percent(none['share'])} of the images "
        f"({percent(none['expected'])} if their errors were independent). "
        f"The most similar models are {closest['model']} and {closest['other']}, with equal "
        f"predictions on {percent(closest['same'])} of the images."
    )


def _check(predictions: Mapping[str, np.ndarray], emotion: np.ndarray) -> None:
    lengths = {model: np.shape(predicted) for model, predicted in predictions.items()}
    if not predictions or set(lengths.values()) != {(len(emotion),)}:
        raise StudyError(
            f"predictions: expected one or more models with {len(emotion):,} predictions each, "
            f"found {lengths or 'none'}. Pass argmax of each model's logits on the same faces."
        )
