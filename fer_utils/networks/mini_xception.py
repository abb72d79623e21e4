"""The small network that many programs recognise expressions with."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras

layers = keras.layers

SOURCE = "Arriaga, Valdenegro-Toro and Ploeger 2017, arXiv 1710.07557"

INSIDE = 64
"""Side of the images that the network works on, pixels."""


def mini_xception(
    *, width: float = 1.0, l2: float = 0.01, batch_norm_momentum: float = 0.99
) -> keras.Model:
    """Two convolutions and four residual modules of separable convolutions: 58,423 parameters at width 1.

    Pixels are resized to 64x64 and scaled to -1..1. Two 3x3-8 convolutions, valid, each with batch
    normalisation and ReLU; modules of 16, 32, 64 and 128 filters, each two 3x3 separable convolutions, batch
    normalisation after both and ReLU between, and 3x3 max-pooling of stride 2, added to a 1x1 convolution of
    stride 2 with batch normalisation; a 3x3-7 convolution and the mean of each of its maps. The mini-Xception of
    `SOURCE`, as its authors' code has it; also the network of the package `fer`.

    Args:
        width: factor on the number of filters.
        l2: L2 penalty on the weights of the first two convolutions, 0 or more.
        batch_norm_momentum: of the moving averages; Keras' 0.99 needs some 150 steps to settle, so short
            budgets want less.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels 0..255, to logits float32 (n, 7).
    """

    def units(full: int) -> int:
        return max(1, round(full * width))

    def normalise(x):
        return layers.BatchNormalization(momentum=batch_norm_momentum)(x)

    def relu(x):
        return layers.Activation("relu")(x)

    def separable(x, full: int):
        # The authors' code gives these a penalty too, by an argument that Keras 2 took and ignored: in their
        # trained model only the first two convolutions have one.
        return normalise(layers.SeparableConv2D(units(full), 3, padding="same", use_bias=False)(x))

    inputs = keras.Input((SIDE, SIDE, 1), name="pixels")
    # Not the layer Resizing: called without `training`, it has all layers after it run as in training (Keras 3.15),
    # exported models too.
    x = keras.ops.image.resize(inputs, (INSIDE, INSIDE), interpolation="bilinear")
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for _ in range(2):
        penalty = keras.regularizers.L2(l2)
        x = relu(
            normalise(layers.Conv2D(units(8), 3, use_bias=False, kernel_regularizer=penalty)(x))
        )
    for full in (16, 32, 64, 128):
        # Every second pixel, then stride 1: the same as the convolution with stride 2, whose gradient writes beyond
        # its memory on CPUs (TensorFlow 2.21 with oneDNN) and ends the process.
        shortcut = normalise(
            layers.Conv2D(units(full), 1, use_bias=False)(layers.MaxPooling2D(1, strides=2)(x))
        )
        x = separable(relu(separable(x, full)), full)
        x = layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])
    x = layers.Conv2D(len(EMOTIONS), 3, padding="same")(x)
    logits = layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="mini_xception")
