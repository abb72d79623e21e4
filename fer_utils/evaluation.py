"""What saved logits say: scores with their intervals. All take logits (n, 7) and emotions (n,)."""

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from fer_utils.emotions import EMOTIONS


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the emotions, float64 (n, 7)."""
    return softmax(np.asarray(logits, np.float64), axis=1)


def accuracy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Top-1 accuracy, 0 to 1."""
    return float(np.mean(np.argmax(logits, axis=1) == emotion))


def cross_entropy(logits: np.ndarray, emotion: np.ndarray) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(-log_softmax(np.asarray(logits, np.float64), axis=1)[np.arange(len(emotion)), emotion].mean())


def accuracy_interval(share: float, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of a top-1 accuracy on so many images.

    It covers the sampling of images, not of seeds.
    """
    interval = binomtest(round(share * images), images).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def split_scores(prefix: str, logits: np.ndarray, emotion: np.ndarray) -> dict[str, float]:
    """`<prefix>_accuracy`, `<prefix>_low` and `<prefix>_high`: accuracy and its 95 % interval."""
    share = accuracy(logits, emotion)
    low, high = accuracy_interval(share, len(emotion))
    return {f"{prefix}_accuracy": share, f"{prefix}_low": low, f"{prefix}_high": high}


def per_emotion(logits: np.ndarray, emotion: np.ndarray) -> pd.DataFrame:
    """Precision, recall, F1 and number of images by emotion; a score without a case is 0."""
    precision, recall, f1, images = precision_recall_fscore_support(
        emotion, np.argmax(logits, axis=1), labels=range(len(EMOTIONS)), zero_division=0
    )
    return pd.DataFrame(
        {"precision": precision, "recall": recall, "F1": f1, "images": images},
        index=pd.Index(EMOTIONS, name="emotion"),
    )


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
    return EMOTIONS[true], EMOTIONS[predicted], float(mistakes[true, predicted] / max(1, table.iloc[true].sum()))


def confident_mistakes(logits: np.ndarray, emotion: np.ndarray, count: int) -> np.ndarray:
    """Indices, int (at most `count`,), of the wrong answers with the highest probability, highest first."""
    shares = probabilities(logits)
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    return wrong[np.argsort(-shares.max(axis=1)[wrong], kind="stable")][:count]
