"""The CNN of the baseline project."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras

layers = keras.layers

SOURCE = (
    'guided project "Facial Expression Recognition with Keras", after Goodfellow et al. 2013, '
    "arXiv 1307.0414"
)


def baseline_cnn(
    *, width: float = 1.0, dropout: float = 0.25, batch_norm_momentum: float = 0.99
) -> keras.Model:
    """Build the network of `SOURCE`, with 4,478,727 parameters at width 1.

    It has four convolution blocks and two dense blocks. The convolutions (3x3-64, 5x5-128, 3x3-512,
    3x3-512, same-padded) are each followed by batch normalisation, ReLU, 2x2 max-pooling and
    dropout. The dense layers (256 and 512 units) are each followed by batch normalisation, ReLU
    and dropout.

    Args:
        width: factor on the number of filters and dense units.
        dropout: share of units dropped after each block, 0 to 1.
        batch_norm_momentum: momentum of the moving averages. Keras' 0.99 needs some 150 steps to
            settle, so short trainings need a lower one.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels from 0 to 255, to logits float32 (n, 7).
    """

    def units(full: int) -> int:
        return max(1, round(full * width))

    def normalise(x):
        return layers.Activation("relu")(layers.BatchNormalization(momentum=batch_norm_momentum)(x))

    inputs = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters, size in ((64, 3), (128, 5), (512, 3), (512, 3)):
        x = normalise(layers.Conv2D(units(filters), size, padding="same")(x))
        x = layers.Dropout(dropout)(layers.MaxPooling2D()(x))
    x = layers.Flatten()(x)
    for full in (256, 512):
        x = layers.Dropout(dropout)(normalise(layers.Dense(units(full))(x)))
    return keras.Model(
        inputs, layers.Dense(len(EMOTIONS), name="logits", dtype="float32")(x), name="baseline_cnn"
    )
