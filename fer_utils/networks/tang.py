"""The network that won the contest of 2013."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras
from fer_utils.networks.preprocessing import ContrastNormalisation

layers = keras.layers

SOURCE = "Tang 2013, arXiv 1306.0239; winner of the contest"

CROP = 42
"""Side of the crops that the trunk takes, pixels."""


def tang(
    *,
    width: float = 1.0,
    dropout: float = 0.2,
    decay: float = 1e-4,
    output_decay: float = 0.02,
    norm: float = 150.0,
    start: float = 1.0,
) -> keras.Model:
    """Build Tang's network, with 5,008,295 parameters at width 1.

    Its layers: 5x5-32 convolution, 3x3 max-pooling; 4x4-32, average-pooling; 5x5-64,
    average-pooling; dense 3072, dropout; linear. Each hidden layer has ReLU. Pooling has stride 2
    and rounds sizes up, so 5x5x64 values reach the dense layer. The source is Tang 2013, "Deep
    Learning using Linear Support Vector Machines" (arXiv 1306.0239). The paper names two
    convolution stages; the code released for the contest has three, as here.

    Args:
        width: factor on the number of filters and dense units.
        dropout: share of the dense layer's units dropped, 0 to 1.
        decay: L2 penalty on the hidden weights w: decay / 2 |w|^2.
        output_decay: the same on the output's weights; 0.02 for the L2-SVM, 0.002 for softmax.
        norm: norm of each image in the preprocessing.
        start: factor on the standard deviation of the initial weights. The published weights are
            so small that the first several hundred updates change little. Trainings of no more
            updates need a larger factor.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels from 0 to 255, to scores float32 (n, 7). The
        layer `front` is the preprocessing, to be adapted to the training images. The layer `trunk`
        takes crops, float32 (n, 42, 42, 1).
    """

    def units(full: int) -> int:
        return max(1, round(full * width))

    def hidden(layer, count: int, *shape, deviation: float, bias: float, **more):
        return layer(
            units(count),
            *shape,
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(stddev=start * deviation),
            bias_initializer=keras.initializers.Constant(bias),
            kernel_regularizer=keras.regularizers.L2(decay / 2),
            **more,
        )

    def convolution(count: int, size: int, **more):
        return hidden(layers.Conv2D, count, size, deviation=0.01, bias=0.1, **more)

    crops = x = keras.Input((CROP, CROP, 1), name="crops")
    # "same" rounds sizes up: it pads a pooling at the right and at the bottom only, and averages do
    # not count the padding.
    x = layers.MaxPooling2D(3, 2, padding="same")(convolution(32, 5, padding="same")(x))
    x = convolution(32, 4)(layers.ZeroPadding2D(1)(x))
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(convolution(64, 5, padding="same")(x))
    x = hidden(layers.Dense, 3072, deviation=0.001, bias=0.01)(layers.Flatten()(x))
    x = layers.Dropout(dropout)(x)
    scores = layers.Dense(
        len(EMOTIONS),
        kernel_initializer="zeros",
        kernel_regularizer=keras.regularizers.L2(output_decay / 2),
        name="logits",
        dtype="float32",
    )(x)
    trunk = keras.Model(crops, scores, name="trunk")

    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    x = ContrastNormalisation(norm, name="front", dtype="float32")(pixels)
    x = layers.Cropping2D((SIDE - CROP) // 2)(x)
    return keras.Model(pixels, trunk(x), name="tang")
