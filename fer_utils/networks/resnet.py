"""A residual network sized for 48x48 faces."""

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.networks.backend import keras

layers = keras.layers

SOURCE = "this study, after He et al. 2016, arXiv 1512.03385"


@keras.saving.register_keras_serializable("fer_utils")
class DropPath(keras.layers.Layer):
    """Stochastic depth: drops a residual branch, for each image at random.

    Source: Huang et al. 2016, arXiv 1603.09382.
    """

    def __init__(self, rate: float, **more) -> None:
        super().__init__(**more)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x, training=False):
        """Drop branches, (n, ...), and scale the others to keep the mean."""
        if not training or not self.rate:
            return x
        shape = (keras.ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        keep = keras.random.uniform(shape, seed=self.seed_generator) >= self.rate
        return x * keras.ops.cast(keep, x.dtype) / (1 - self.rate)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return super().get_config() | {"rate": self.rate}


def resnet(
    *,
    widths: tuple = (64, 128, 256),
    blocks: tuple = (3, 3, 3),
    width: float = 1.0,
    dropout: float = 0.3,
    drop_path: float = 0.1,
    batch_norm_momentum: float = 0.9,
) -> keras.Model:
    """Build a residual network: a stem to 24x24, then stages of 24x24, 12x12, 6x6 and so on.

    A block has two 3x3 convolutions with batch normalisation, squeeze-and-excitation on the branch,
    and ReLU after the sum. The design is that of He et al. 2016 (arXiv 1512.03385), with the
    average-pooled shortcut of ResNet-D (arXiv 1812.01187) and squeeze-and-excitation (arXiv
    1709.01507). Each image is standardised with its own mean and standard deviation.

    Args:
        widths: filters of each stage. The stem has as many as the first stage, and half as many in
            its first convolution.
        blocks: residual blocks of each stage.
        width: factor on all filters.
        dropout: share of units dropped before the logits, 0 to 1.
        drop_path: share of residual branches dropped in the last block, 0 to 1. It grows linearly
            from 0 over the blocks.
        batch_norm_momentum: momentum of the moving averages.

    Returns:
        Model from float32 (n, 48, 48, 1), raw pixels from 0 to 255, to logits float32 (n, 7).

    Raises:
        ValueError: `widths` and `blocks` have different lengths.
    """
    widths = tuple(max(4, round(filters * width)) for filters in widths)
    if len(widths) != len(blocks):
        raise ValueError(
            f"expected as many widths as blocks, found {len(widths)} and {len(blocks)}"
        )

    def convolution(x, filters: int, size: int = 3, stride: int = 1):
        return layers.Conv2D(
            filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal"
        )(x)

    def normalise(x, *, gamma: str = "ones"):
        return layers.BatchNormalization(
            momentum=batch_norm_momentum, epsilon=1e-5, gamma_initializer=gamma
        )(x)

    def relu(x):
        return layers.Activation("relu")(x)

    def excite(x, filters: int):
        weight = layers.GlobalAveragePooling2D(keepdims=True)(x)
        weight = layers.Dense(max(4, filters // 8), activation="relu")(weight)
        return layers.Multiply()([x, layers.Dense(filters, activation="sigmoid")(weight)])

    def block(x, filters: int, stride: int, dropped: float):
        shortcut = x
        if stride > 1:
            # "same" rounds odd sizes up, as the convolutions of the branch do.
            shortcut = layers.AveragePooling2D(stride, padding="same")(shortcut)
        if x.shape[-1] != filters:
            shortcut = normalise(convolution(shortcut, filters, 1))
        branch = relu(normalise(convolution(x, filters, 3, stride)))
        # Each block starts as the identity (Goyal et al. 2017, arXiv 1706.02677).
        branch = excite(normalise(convolution(branch, filters), gamma="zeros"), filters)
        return relu(layers.Add()([shortcut, DropPath(dropped)(branch)]))

    pixels = keras.Input((SIDE, SIDE, 1), name="pixels")
    # With one channel, one group is the whole image. Epsilon is a variance in grey levels: it keeps
    # images of one grey flat.
    x = layers.GroupNormalization(1, center=False, scale=False, epsilon=1.0)(pixels)
    x = relu(normalise(convolution(x, max(4, widths[0] // 2))))
    x = relu(normalise(convolution(x, widths[0], 3, 2)))
    count, done = sum(blocks), 0
    for stage, (filters, repeats) in enumerate(zip(widths, blocks, strict=True)):
        for repeat in range(repeats):
            done += 1
            x = block(x, filters, 2 if stage and not repeat else 1, drop_path * done / count)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(
        pixels, layers.Dense(len(EMOTIONS), name="logits", dtype="float32")(x), name="resnet"
    )
