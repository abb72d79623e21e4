"""The networks: parameters, layers, shapes, options."""

import numpy as np
import pytest

from fer_utils.architectures import NETWORKS, build, changed_options
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def seed_cnn():
    return build("seed_cnn")


def test_seed_cnn_has_its_published_number_of_parameters(seed_cnn):
    assert seed_cnn.count_params() == 4_478_727


def test_seed_cnn_has_the_published_layers(seed_cnn):
    block = ["BatchNormalization", "Activation"]
    convolution = ["Conv2D", *block, "MaxPooling2D", "Dropout"]
    dense = ["Dense", *block, "Dropout"]
    kinds = [type(layer).__name__ for layer in seed_cnn.layers]
    assert kinds == ["InputLayer", "Rescaling", *convolution * 4, "Flatten", *dense * 2, "Dense"]

    layers = {kind: [x for x in seed_cnn.layers if type(x).__name__ == kind] for kind in kinds}
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
    assert layers["Dense"][-1].activation.__name__ == "linear", "the network gives logits"


def test_options_reach_the_layers():
    model = build("seed_cnn", width=0.125, dropout=0.4, batch_norm_momentum=0.8)
    kinds = {kind: [x for x in model.layers if type(x).__name__ == kind] for kind in ("Conv2D", "Dense")}
    assert [x.filters for x in kinds["Conv2D"]] == [8, 16, 64, 64]
    assert [x.units for x in kinds["Dense"]] == [32, 64, 7]
    assert {x.rate for x in model.layers if type(x).__name__ == "Dropout"} == {0.4}
    assert {x.momentum for x in model.layers if type(x).__name__ == "BatchNormalization"} == {0.8}


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_take_raw_pixels_and_scale_them(network):
    model = build(network, width=0.03)
    assert model.input_shape == (None, 48, 48, 1) and model.output_shape == (None, 7)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype(np.float32)
    logits = np.asarray(model(pixels))
    assert logits.shape == (2, 7) and logits.dtype == np.float32 and np.isfinite(logits).all()
    (scaling,) = [layer for layer in model.layers if type(layer).__name__ == "Rescaling"]
    assert np.asarray(scaling(np.full((1, 48, 48, 1), 255.0))).max() == 1


def test_unknown_names_list_the_known():
    with pytest.raises(StudyError, match="one of seed_cnn, found 'vgg'"):
        build("vgg")
    with pytest.raises(StudyError, match="unknown option widht; it has width, dropout, batch_norm_momentum"):
        build("seed_cnn", widht=1)


@pytest.mark.parametrize("options", [{"width": "wide"}, {"dropout": 2}, {"dropout": None, "width": None}])
def test_options_that_no_layer_takes_are_named(options):
    with pytest.raises(StudyError, match=f"seed_cnn: expected other options than .*{next(iter(options))}"):
        build("seed_cnn", **options)


def test_changed_options_leaves_defaults_out():
    assert changed_options("seed_cnn", {"width": 1.0, "dropout": 0.25}) == {}
    assert changed_options("seed_cnn", {"width": 1, "dropout": 0.3}) == {"dropout": 0.3}
