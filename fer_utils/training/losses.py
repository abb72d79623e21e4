"""Losses by their name in recipes.

Targets are one-hot or soft, float32 (b, 7). Scores are logits, float32 (b, 7).
"""

from fer_utils.emotions import EMOTIONS
from fer_utils.networks.backend import keras

SVM_C = 2.0
"""Weight of the hinge relative to the L2 penalty in Tang's L2-SVM (arXiv 1306.0239)."""


def cross_entropy(targets, scores):
    """Softmax cross-entropy in nats, mean over the batch."""
    return keras.ops.mean(keras.losses.categorical_crossentropy(targets, scores, from_logits=True))


def squared_hinge(targets, scores):
    """Loss of the L2-SVM, each emotion against the rest (Tang 2013).

    It is C/N sum max(0, 1 - t a)^2 over N images and all emotions, with t = +1 or -1 and score a.
    """
    # Keras' squared hinge is the mean over emotions; that of the SVM is the sum.
    hinge = keras.ops.mean(keras.losses.squared_hinge(2 * targets - 1, scores))
    return SVM_C * len(EMOTIONS) * hinge


LOSSES = {"cross_entropy": cross_entropy, "squared_hinge": squared_hinge}
