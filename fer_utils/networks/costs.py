"""What networks cost: parameters and multiply-adds, of a model and of all networks at their defaults."""

import math
from importlib import import_module

from fer_utils.errors import StudyError
from fer_utils.networks import NETWORKS, build, parts
from fer_utils.networks.backend import keras

layers = keras.layers


def multiply_adds(model: keras.Model) -> int:
    """Multiplications, each with its addition, of one forward pass for one image.

    Counted are Conv2D (grouped ones too), DepthwiseConv2D, SeparableConv2D and Dense, also in models within the
    model: the number of kernel weights times the positions they are applied at, where padding counts as pixels.
    All other layers (pooling, normalisation, activation, resizing, biases and so on) count as 0.

    Args:
        model: functional or sequential, built, for images of a known size.

    Raises:
        StudyError: a layer has a kernel and is none of those counted, is called more than once, or gives an output
            of unknown size.
    """
    return sum(_of_layer(layer, model) for layer in model.layers)


def overview() -> list[dict]:
    """All of `NETWORKS` at their default options, in that order.

    Returns:
        Each with its `name`; `input`, its size, and where they work on another inside, that; `parameters`, all of
        the trunk's, trained or not; `multiply_adds` of one image; and `source`, who published it: `SOURCE` in its
        module.
    """
    found = []
    for name in NETWORKS:
        model = build(name)
        taken = model.input_shape[1:]
        inside = _first_convolved(model) or taken
        found.append(
            {
                "name": name,
                "input": _size(taken)
                + (f" ({_size(inside[:2])} inside)" if inside[:2] != taken[:2] else ""),
                "parameters": parts(model)[1].count_params(),
                "multiply_adds": multiply_adds(model),
                "source": import_module(f"fer_utils.networks.{name}").SOURCE,
            }
        )
    return found


def overview_text(found: list[dict]) -> str:
    """The overview as an aligned table, a network a line."""
    rows = [("network", "input", "parameters", "multiply-adds", "source")]
    rows += [
        (
            one["name"],
            one["input"],
            f"{one['parameters']:,}",
            f"{one['multiply_adds']:,}",
            one["source"],
        )
        for one in found
    ]
    name, size, parameters, adds, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        f"{row[0]:{name}}  {row[1]:{size}}  {row[2]:>{parameters}}  {row[3]:>{adds}}  {row[4]}"
        for row in rows
    )


def _of_layer(layer: keras.Layer, model: keras.Model) -> int:
    within = isinstance(layer, keras.Model)
    # By exact type: what is derived from a layer may do something else.
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
    # Keras tells the number of calls nowhere else. A sequential model calls each layer once, and anew whenever one
    # is added.
    if not isinstance(model, keras.Sequential) and (calls := len(layer._inbound_nodes)) != 1:
        raise StudyError(
            f"{layer.name}: expected a layer that is called once, found {calls} calls."
        )
    if within:
        return multiply_adds(layer)
    output = layer.output.shape[1:]
    if None in output:
        raise StudyError(
            f"{layer.name}: expected an output of known size, found {output}. Name the input's size."
        )
    return sum(math.prod(kernel.shape) for kernel in kernels) * math.prod(output) // channels


def _has_kernel(layer: keras.Layer) -> bool:
    """Whether a layer has weights that it may multiply its input with: called so, or trained and of 2 axes or more."""
    trained = {id(weight) for weight in layer.trainable_weights}
    return any(
        "kernel" in weight.name or (len(weight.shape) > 1 and id(weight) in trained)
        for weight in layer.weights
    )


def _first_convolved(model: keras.Model) -> tuple | None:
    """Shape of an image as the first layer that convolves takes it; None where none does."""
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)):
            return tuple(layer.input.shape[1:])
        if isinstance(layer, keras.Model) and (shape := _first_convolved(layer)):
            return shape
    return None


def _size(shape: tuple) -> str:
    return "x".join(map(str, shape))
