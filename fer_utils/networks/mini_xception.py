"""Mini-Xception, a small network that many programs use for facial expressions."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras

layers = keras.layers

SOURCE = "Arriaga, Valdenegro-Toro and Ploeger 2017, arXiv 1710.07557"

INSIDE = 64
"""Side of the images inside the network, pixels."""


def mini_xception(
    *, width: float = 1.0, l2: float = 0.01, batch_norm_momentum: float = 0.99
) -> keras.Model:
    """Build the mini-Xception of `SOURCE`, with 58,423 parameters at width 1.

    It follows the authors' code, and is also the network of the package `fer`:

    - Pixels are resized to 64x64 and scaled to -1..1.
    - Two 3x3-8 convolutions without padding, each with batch normalisation and ReLU.
    - Four residual modules of 16, 32, 64 and 128 filters. The branch has two 3x3 separable
      convolutions with batch normalisation after each and ReLU between them, then 3x3 max-pooling
      of stride 2. The shortcut is a 1x1 convolution of stride 2 with batch normalisation.
    - A 3x3-7 convolution and the mean of each of its maps.

    Args:
        width: factor on the number of filters.
        l2: L2 penalty on the weights of the first two convolutions, 0 or more.
        batch_norm_momentum: momentum of the moving averages. Keras' 0.99 needs some 150 steps to
            settle, so short trainings need a lower one.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels from 0 to 255, to logits float32 (n, 7).
    """

    def units(full: int) -> int:
        return max(1, round(full * width))

    def normalise(x):
        return layers.BatchNormalization(momentum=batch_norm_momentum)(x)

    def relu(x):
        return layers.Activation("relu")(x)

    def separable(x, full: int):
        # The authors' code penalises these too, by an argument that Keras 2 ignored. In their
        # trained model, only the first two convolutions have a penalty.
        return normalise(layers.SeparableConv2D(units(full), 3, padding="same", use_bias=False)(x))

    inputs = keras.Input((SIDE, SIDE, 1), name="pixels")
    # Not the layer Resizing: called without `training`, it puts all layers after it into training
    # mode (Keras 3.15), also in exported models.
    x = keras.ops.image.resize(inputs, (INSIDE, INSIDE), interpolation="bilinear")
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for _ in range(2):
        penalty = keras.regularizers.L2(l2)
        x = relu(
            normalise(layers.Conv2D(units(8), 3, use_bias=False, kernel_regularizer=penalty)(x))
        )
    for full in (16, 32, 64, 128):
        # Every second pixel, then stride 1, is the same as a convolution of stride 2. The gradient
        # of that one writes beyond its memory on CPUs (TensorFlow 2.21 with oneDNN) and crashes.
        shortcut = normalise(
            layers.Conv2D(units(full), 1, use_bias=False)(layers.MaxPooling2D(1, strides=2)(x))
        )
        x = separable(relu(separable(x, full)), full)
        x = layers.Add()([layers.MaxPooling2D(3, strides=2, padding="same")(x), shortcut])
    x = layers.Conv2D(len(EMOTIONS), 3, padding="same")(x)
    logits = layers.GlobalAveragePooling2D(name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="mini_xception")
