"""Losses, by the name that a recipe has for them. Targets are one-hot or soft, float32 (b, 7); scores are logits."""

from fer_utils.emotions import EMOTIONS
from fer_utils.networks.backend import keras

SVM_C = 2.0
"""The weight of the hinge against the L2 penalty in Tang's L2-SVM (arXiv 1306.0239)."""


def cross_entropy(targets, scores):
    """Softmax cross-entropy, nats, mean over the batch."""
    return keras.ops.mean(keras.losses.categorical_crossentropy(targets, scores, from_logits=True))


def squared_hinge(targets, scores):
    """The L2-SVM's loss, each emotion against the rest: C/N sum max(0, 1 - t a)^2, with t +1 or -1 (Tang 2013)."""
    # Keras' squared hinge is the mean over emotions where the SVM's is the sum.
    return (
        SVM_C * len(EMOTIONS) * keras.ops.mean(keras.losses.squared_hinge(2 * targets - 1, scores))
    )


LOSSES = {"cross_entropy": cross_entropy, "squared_hinge": squared_hinge}
