"""Multiply-adds by hand and by TensorFlow's profiler, and the overview of the networks."""

import re
from importlib import import_module

import pytest

from fer_utils.errors import StudyError
from fer_utils.networks import NETWORKS, build, costs
from fer_utils.networks.backend import keras
from fer_utils.networks.costs import multiply_adds, overview, overview_text

layers = keras.layers


def of(*added, shape=(10, 10, 3)) -> int:
    """Multiply-adds of a chain of layers."""
    inputs = x = keras.Input(shape)
    for layer in added:
        x = layer(x)
    return multiply_adds(keras.Model(inputs, x))


# --- by hand ---


def test_baseline_cnn_by_hand():
    convolutions = (
        (48 * 48) * (3 * 3 * 1) * 64  # 1,327,104
        + (24 * 24) * (5 * 5 * 64) * 128  # 117,964,800
        + (12 * 12) * (3 * 3 * 128) * 512  # 84,934,656
        + (6 * 6) * (3 * 3 * 512) * 512  # 84,934,656
    )
    dense = (3 * 3 * 512) * 256 + 256 * 512 + 512 * 7  # 1,179,648 + 131,072 + 3,584
    assert convolutions + dense == 290_475_520
    assert multiply_adds(build("baseline_cnn")) == 290_475_520


def test_mini_xception_by_hand():
    base = (62 * 62) * (3 * 3 * 1) * 8 + (60 * 60) * (3 * 3 * 8) * 8  # 276,768 + 2,073,600
    modules = 0
    for side, taken, filters in ((60, 8, 16), (30, 16, 32), (15, 32, 64), (8, 64, 128)):
        halved = (side + 1) // 2
        modules += halved**2 * taken * filters
        modules += side**2 * (3 * 3 * taken + taken * filters)
        modules += side**2 * (3 * 3 * filters + filters * filters)
    last = (4 * 4) * (3 * 3 * 128) * 7
    assert multiply_adds(build("mini_xception")) == base + modules + last


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(5, 3), 8 * 8 * 27 * 5),
        (layers.Conv2D(5, (3, 1), strides=2, padding="same"), 5 * 5 * 9 * 5),
        (layers.Conv2D(6, 3, groups=3, padding="same"), 100 * 9 * 6),
        (layers.Conv2D(5, 3, dilation_rate=2), 6 * 6 * 27 * 5),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 8 * 8 * 9 * 6),
        (
            layers.SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2),
            25 * (9 * 6 + 6 * 5),
        ),
        (layers.Dense(4), 100 * 3 * 4),
    ],
)
def test_a_layer_by_hand(layer, expected):
    assert of(layer) == expected


def test_layers_without_a_kernel_count_as_nothing():
    free = [
        layers.Rescaling(2.0),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Dropout(0.5),
    ]
    assert (
        of(*free, layers.Normalization(), layers.GlobalAveragePooling2D(), layers.Dense(2)) == 3 * 2
    )


def test_nested_models_count():
    inner = keras.Sequential([keras.Input((8, 8, 5)), layers.Conv2D(2, 1), layers.Flatten()])
    inner.add(layers.Dense(3))
    assert of(layers.Conv2D(5, 3), inner) == 8 * 8 * 27 * 5 + 8 * 8 * 5 * 2 + 128 * 3
    assert multiply_adds(inner) == 8 * 8 * 5 * 2 + 128 * 3


# --- by TensorFlow ---


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts with TensorFlow")
@pytest.mark.parametrize("network", NETWORKS)
def test_tensorflow_counts_the_same(network):
    """TensorFlow's profiler counts two operations per multiply-add.

    Other operations that it counts, such as biases, are left out.
    """
    import tensorflow as tf

    model = build(network, width=0.25)
    call = tf.function(lambda pixels: model(pixels, training=False))
    graph = call.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:]))).graph
    profiler = tf.compat.v1.profiler
    options = (
        profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
        .with_accounted_types(["Conv2D", "MatMul", "DepthwiseConv2dNative"])
        .with_empty_output()
        .build()
    )
    counted = profiler.profile(graph, cmd="op", options=options).total_float_ops
    assert counted == 2 * multiply_adds(model) > 0


# --- errors ---


@pytest.mark.parametrize(
    "layer", [layers.Conv2DTranspose(2, 3), layers.EinsumDense("abcd,de->abce", (10, 10, 4))]
)
def test_unknown_layers_with_kernels_are_refused(layer):
    with pytest.raises(
        StudyError, match=f"{layer.name}: expected Conv2D, .* found {type(layer).__name__}"
    ):
        of(layer)


def test_custom_layers_with_kernels_are_refused():
    class Twice(layers.Conv2D):
        def call(self, x):
            return super().call(super().call(x))

    class Mixing(layers.Layer):
        def build(self, shape):
            self.matrix = self.add_weight(shape=(shape[-1], shape[-1]))

        def call(self, x):
            return x @ self.matrix

    for layer in (Twice(3, 3, padding="same"), Mixing()):
        with pytest.raises(StudyError, match=f"found {type(layer).__name__}"):
            of(layer)


def test_layers_that_are_called_twice_and_unknown_sizes_are_refused():
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    with pytest.raises(
        StudyError, match="shared: expected a layer that is called once, found 2 calls"
    ):
        of(shared, shared)
    inner = keras.Sequential([keras.Input((10, 10, 3)), layers.Conv2D(3, 1)], name="inner")
    with pytest.raises(
        StudyError, match="inner: expected a layer that is called once, found 2 calls"
    ):
        of(inner, inner)
    with pytest.raises(StudyError, match=r"open: expected an output of known size, found .*None"):
        of(layers.Conv2D(3, 3, name="open"), shape=(None, None, 3))


# --- the overview ---


@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_names_its_source(network):
    source = getattr(import_module(f"fer_utils.networks.{network}"), "SOURCE", "")
    assert source and source == " ".join(source.split()), "expected a SOURCE of one line"


def test_the_overview_lists_every_network():
    rows = overview()
    assert [row["name"] for row in rows] == list(NETWORKS)
    for row in rows:
        assert list(row) == ["name", "input", "parameters", "multiply_adds", "source"]
        assert re.fullmatch(r"48x48x1( \(\d+x\d+ inside\))?", row["input"])
        assert row["parameters"] > 0 and row["multiply_adds"] > 0
    assert rows[NETWORKS.index("baseline_cnn")] == {
        "name": "baseline_cnn",
        "input": "48x48x1",
        "parameters": 4_478_727,
        "multiply_adds": 290_475_520,
        "source": import_module("fer_utils.networks.baseline_cnn").SOURCE,
    }
    assert rows[NETWORKS.index("mini_xception")]["input"] == "48x48x1 (64x64 inside)"


def test_the_overview_names_the_size_inside_nested_models(monkeypatch):
    inner = keras.Sequential(
        [keras.Input((42, 42, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(7)]
    )
    inputs = keras.Input((48, 48, 1))
    model = keras.Model(inputs, inner(layers.Cropping2D(3)(inputs)))
    monkeypatch.setattr(costs, "build", lambda name: model)
    monkeypatch.setattr(costs, "NETWORKS", ("baseline_cnn",))
    (row,) = overview()
    assert row["input"] == "48x48x1 (42x42 inside)" and row["parameters"] == model.count_params()


def test_the_table_is_aligned():
    networks = [
        {
            "name": "a",
            "input": "48x48x1",
            "parameters": 12,
            "multiply_adds": 3_456_789,
            "source": "one",
        },
        {
            "name": "longer",
            "input": "48x48x1 (64x64 inside)",
            "parameters": 4_321,
            "multiply_adds": 5,
            "source": "two",
        },
    ]
    assert overview_text(networks).splitlines() == [
        "network  input                   parameters  multiply-adds  source",
        "a        48x48x1                         12      3,456,789  one",
        "longer   48x48x1 (64x64 inside)       4,321              5  two",
    ]
