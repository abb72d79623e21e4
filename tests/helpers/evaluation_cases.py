"""Answers that several tests of evaluation share."""

import numpy as np


def some_answers(images: int = 500, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Logits float32 (n, 7) and emotions uint8 (n,): better than chance, and without an image of disgust."""
    generator = np.random.default_rng(seed)
    emotion = generator.choice([0, 2, 3, 4, 5, 6], images).astype(np.uint8)
    logits = generator.normal(size=(images, 7)) + 1.5 * np.eye(7)[emotion]
    return logits.astype(np.float32), emotion


def some_rights() -> tuple[np.ndarray, np.ndarray]:
    """Whether three seeds of a model and two of another are right, bool (3, 400) and (2, 400): images hard for both."""
    generator = np.random.default_rng(6)
    ease = generator.beta(1.2, 0.8, 400)
    better, worse = np.array([[0.02], [0], [-0.1]]), np.array([[-0.05], [-0.15]])
    return generator.random((3, 400)) < ease + better, generator.random((2, 400)) < ease + worse


def plain_scores(emotion: np.ndarray, answer: np.ndarray, axis: int = -1) -> dict[str, np.ndarray]:
    """The scores by their formulas, emotion by emotion; of many samples at once, images along `axis`."""
    found = {"precision": [], "recall": [], "F1": []}
    present = []
    for number in range(7):
        true, said = emotion == number, answer == number
        correct, images, answers = (part.sum(axis=axis) for part in (true & said, true, said))
        with np.errstate(invalid="ignore"):
            precision = np.where(answers == 0, 0, correct / answers)
            recall = np.where(images == 0, 0, correct / images)
            f1 = np.where(precision + recall == 0, 0, 2 * precision * recall / (precision + recall))
        for name, value in zip(found, (precision, recall, f1), strict=True):
            found[name].append(value)
        present.append(images > 0)
    by_emotion = {name: np.stack(values, axis=-1) for name, values in found.items()}
    balanced = by_emotion["recall"].sum(axis=-1) / np.sum(present, axis=0)
    return by_emotion | {"macro F1": by_emotion["F1"].mean(axis=-1), "balanced accuracy": balanced}
