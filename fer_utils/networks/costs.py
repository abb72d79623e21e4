"""Costs of networks: parameters and multiply-adds, of one model or of all networks."""

import math
from importlib import import_module

from fer_utils.errors import StudyError
from fer_utils.networks import NETWORKS, build, parts
from fer_utils.networks.backend import keras

layers = keras.layers


def multiply_adds(model: keras.Model) -> int:
    """Count the multiplications, each with its addition, of a forward pass for one image.

    The count includes Conv2D (also grouped), DepthwiseConv2D, SeparableConv2D and Dense, also in
    nested models. It is the number of kernel weights times the number of their positions; padding
    counts as pixels. All other operations (pooling, normalisation, activation, resizing, biases
    and so on) count as 0.

    Args:
        model: functional or sequential, built, for images of a known size.

    Raises:
        StudyError: a layer has a kernel and is of another type, is called more than once, or has
            an output of unknown size.
    """
    return sum(_of_layer(layer, model) for layer in model.layers)


def overview() -> list[dict]:
    """Costs of all networks with their default options, in the order of `NETWORKS`.

    Returns:
        One dictionary per network: `name`; `input`, its size, with the size inside the network if
        that is different; `parameters`, the number of the trunk's trained and untrained ones;
        `multiply_adds` for one image; and `source`, the `SOURCE` of its module.
    """
    rows = []
    for name in NETWORKS:
        model = build(name)
        shape = model.input_shape[1:]
        inside = _first_convolved(model) or shape
        size = _size(shape)
        if inside[:2] != shape[:2]:
            size += f" ({_size(inside[:2])} inside)"
        rows.append(
            {
                "name": name,
                "input": size,
                "parameters": parts(model)[1].count_params(),
                "multiply_adds": multiply_adds(model),
                "source": import_module(f"fer_utils.networks.{name}").SOURCE,
            }
        )
    return rows


def overview_text(networks: list[dict]) -> str:
    """Format the overview as an aligned table with one line per network."""
    rows = [("network", "input", "parameters", "multiply-adds", "source")]
    rows += [
        (
            one["name"],
            one["input"],
            f"{one['parameters']:,}",
            f"{one['multiply_adds']:,}",
            one["source"],
        )
        for one in networks
    ]
    name, size, parameters, adds, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        f"{row[0]:{name}}  {row[1]:{size}}  {row[2]:>{parameters}}  {row[3]:>{adds}}  {row[4]}"
        for row in rows
    )


def _of_layer(layer: keras.Layer, model: keras.Model) -> int:
    within = isinstance(layer, keras.Model)
    # The exact type is required, because a derived layer may compute something else.
    if type(layer) in (layers.Conv2D, layers.Dense):
        kernels, channels = [layer.kernel], layer.kernel.shape[-1]
    elif type(layer) is layers.DepthwiseConv2D:
        kernels, channels = [layer.kernel], math.prod(layer.kernel.shape[-2:])
    elif type(layer) is layers.SeparableConv2D:
        kernels, channels = [layer.depthwise_kernel, layer.pointwise_kernel], layer.filters
    elif not within and _has_kernel(layer):
        known = "Conv2D, DepthwiseConv2D, SeparableConv2D, Dense and models of them"
        raise StudyError(
            f"{layer.name}: expected {known}, found {type(layer).__name__}. Count it in {__name__}."
        )
    elif not within:
        return 0
    # Keras has no public count of calls. A sequential model calls each layer once, and adds calls
    # whenever a layer is added.
    if not isinstance(model, keras.Sequential) and (calls := len(layer._inbound_nodes)) != 1:
        raise StudyError(
            f"{layer.name}: expected a layer that is called once, found {calls} calls."
        )
    if within:
        return multiply_adds(layer)
    output = layer.output.shape[1:]
    if None in output:
        raise StudyError(
            f"{layer.name}: expected an output of known size, found {output}. Set the input's size."
        )
    return sum(math.prod(kernel.shape) for kernel in kernels) * math.prod(output) // channels


def _has_kernel(layer: keras.Layer) -> bool:
    """True if a layer has a weight named kernel, or a trained weight with at least 2 axes.

    Either may be multiplied with the layer's input.
    """
    trained = {id(weight) for weight in layer.trainable_weights}
    return any(
        "kernel" in weight.name or (len(weight.shape) > 1 and id(weight) in trained)
        for weight in layer.weights
    )


def _first_convolved(model: keras.Model) -> tuple | None:
    """Input shape of the first convolution of a model; None if there is no convolution."""
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)):
            return tuple(layer.input.shape[1:])
        if isinstance(layer, keras.Model) and (shape := _first_convolved(layer)):
            return shape
    return None


def _size(shape: tuple) -> str:
    return "x".join(map(str, shape))
