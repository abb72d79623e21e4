"""A network of plain blocks, after the best published one trained on FER-2013 alone."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras

layers = keras.layers

SOURCE = "this study, after Pramerdorfer and Kampel 2016, arXiv 1612.02903"


def vgg(
    *,
    widths: tuple = (32, 64, 128, 256),
    units: int = 256,
    width: float = 1.0,
    dropout: float = 0.2,
    dense_dropout: float = 0.4,
    batch_norm_momentum: float = 0.9,
) -> keras.Model:
    """Build a plain network, with 1,767,207 parameters at width 1.

    It has blocks of two 3x3 convolutions and 2x2 max-pooling, then two dense layers. The depth is
    that of Pramerdorfer and Kampel's VGG, after Simonyan and Zisserman 2015 (arXiv 1409.1556): 8
    convolutions in 4 blocks and 2 dense layers. Theirs has 1.8 million parameters, and 72.7 % on
    PrivateTest.

    The rest is this study's: the numbers of filters and units, chosen for as many parameters; batch
    normalisation before each ReLU; and dropout after each block and before the logits. Images are
    standardised with their own mean and standard deviation; theirs have equalised histograms.

    Args:
        widths: filters of each block. Each block halves the side.
        units: units of the first dense layer. The second one returns the logits.
        width: factor on all filters and units.
        dropout: share of units dropped after each block, 0 to 1.
        dense_dropout: share of units dropped before the logits, 0 to 1.
        batch_norm_momentum: momentum of the moving averages.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels from 0 to 255, to logits float32 (n, 7).
    """

    def scaled(full: int) -> int:
        return max(4, round(full * width))

    def normalise(x):
        return layers.Activation("relu")(
            layers.BatchNormalization(momentum=batch_norm_momentum, epsilon=1e-5)(x)
        )

    def convolution(x, filters: int):
        return normalise(
            layers.Conv2D(
                filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
            )(x)
        )

    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    # With one channel, one group is the whole image. Epsilon is a variance in grey levels: it keeps
    # images of one grey flat.
    x = layers.GroupNormalization(1, center=False, scale=False, epsilon=1.0)(pixels)
    for full in widths:
        x = convolution(convolution(x, scaled(full)), scaled(full))
        x = layers.Dropout(dropout)(layers.MaxPooling2D(padding="same")(x))
    x = layers.Flatten()(x)
    x = normalise(layers.Dense(scaled(units), use_bias=False, kernel_initializer="he_normal")(x))
    x = layers.Dropout(dense_dropout)(x)
    return keras.Model(
        pixels, layers.Dense(len(EMOTIONS), name="logits", dtype="float32")(x), name="vgg"
    )
