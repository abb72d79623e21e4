"""Preprocessing that is fitted to the training images: a layer that is saved with the weights."""

import numpy as np

from fer_utils.emotions import SIDE
from fer_utils.networks.backend import keras

ops = keras.ops


@keras.saving.register_keras_serializable("fer_utils")
class ContrastNormalisation(keras.layers.Layer):
    """Tang's preprocessing (arXiv 1306.0239) of raw pixels, float32 (n, 48, 48, 1).

    1. A blank image is replaced by the mean of the training images.
    2. Each image is divided by 255, centred to mean 0, and scaled to `norm`.
    3. Each pixel is standardised with its mean m and variance v over the training images:
       (x - m) / sqrt(v + 0.01^2).

    Args:
        norm: norm of each image; 100 in the paper, 150 in the report on the contest.
    """

    def __init__(self, norm: float = 150.0, **more) -> None:
        super().__init__(**more)
        self.norm = norm
        shape = (SIDE, SIDE, 1)
        self.stand_in = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="stand_in"
        )
        self.mean = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(
            shape=shape, initializer="ones", trainable=False, name="deviation"
        )

    def adapt(self, images: np.ndarray) -> None:
        """Fit to training images, uint8 (n, 48, 48)."""
        self.stand_in.assign(images.mean(0, dtype=np.float64)[..., None])
        self.mean.assign(np.zeros((SIDE, SIDE, 1)))
        self.deviation.assign(np.ones((SIDE, SIDE, 1)))
        count, total, squares = len(images), 0.0, 0.0
        for start in range(0, count, 1024):
            batch = images[start : start + 1024, ..., None].astype(np.float32)
            normalised = ops.convert_to_numpy(self(batch)).astype(np.float64)
            total, squares = total + normalised.sum(0), squares + (normalised**2).sum(0)
        self.mean.assign(total / count)
        self.deviation.assign(np.sqrt(squares / count - (total / count) ** 2 + 0.01**2))

    def call(self, pixels):
        """Normalise images."""
        axes = (1, 2, 3)
        blank = ops.max(pixels, axes, keepdims=True) == ops.min(pixels, axes, keepdims=True)
        x = ops.where(blank, ops.convert_to_tensor(self.stand_in), pixels) / 255
        x = x - ops.mean(x, axes, keepdims=True)
        # The norm of an image of one grey is rounding error, which must not be scaled up.
        x = x * self.norm / ops.maximum(ops.sqrt(ops.sum(ops.square(x), axes, keepdims=True)), 1e-3)
        return (x - self.mean) / self.deviation

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return super().get_config() | {"norm": self.norm}
