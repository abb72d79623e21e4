"""Predictions for several tests of evaluation."""

import numpy as np


def some_answers(images: int = 500, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 (n, 7) and emotions uint8 (n,).

    The logits are better than chance. No image shows disgust.
    """
    generator = np.random.default_rng(seed)
    emotion = generator.choice([0, 2, 3, 4, 5, 6], images).astype(np.uint8)
    logits = generator.normal(size=(images, 7)) + 1.5 * np.eye(7)[emotion]
    return logits.astype(np.float32), emotion


def some_correct() -> tuple[np.ndarray, np.ndarray]:
    """Correct predictions of two models, bool (3, 400) and (2, 400), with one row per seed.

    The same images are hard for both models.
    """
    generator = np.random.default_rng(6)
    ease = generator.beta(1.2, 0.8, 400)
    better, worse = np.array([[0.02], [0], [-0.1]]), np.array([[-0.05], [-0.15]])
    return generator.random((3, 400)) < ease + better, generator.random((2, 400)) < ease + worse


def plain_scores(
    emotion: np.ndarray, predicted: np.ndarray, axis: int = -1
) -> dict[str, np.ndarray]:
    """The scores by their formulas, for many samples at once, with the images along `axis`."""
    scores = {"precision": [], "recall": [], "F1": []}
    present = []
    for number in range(7):
        is_true, is_predicted = emotion == number, predicted == number
        correct = (is_true & is_predicted).sum(axis=axis)
        images, predictions = is_true.sum(axis=axis), is_predicted.sum(axis=axis)
        with np.errstate(invalid="ignore"):
            precision = np.where(predictions == 0, 0, correct / predictions)
            recall = np.where(images == 0, 0, correct / images)
            f1 = np.where(precision + recall == 0, 0, 2 * precision * recall / (precision + recall))
        for name, value in zip(scores, (precision, recall, f1), strict=True):
            scores[name].append(value)
        present.append(images > 0)
    by_emotion = {name: np.stack(values, axis=-1) for name, values in scores.items()}
    balanced = by_emotion["recall"].sum(axis=-1) / np.sum(present, axis=0)
    return by_emotion | {"macro F1": by_emotion["F1"].mean(axis=-1), "balanced accuracy": balanced}
