"""Networks, one per file.

A network is a module in this folder with two names:

- The function of the module's name takes the network's options as keywords, and returns a model.
- `SOURCE` names the network's publication, in one line.

A model takes raw pixels, float32 (n, 48, 48, 1) from 0 to 255, and scales them itself. It returns
logits, float32 (n, 7), in the order of `fer_utils.emotions.EMOTIONS`. If it has preprocessing that
is fitted to the training images, this is its layer `front`, and the trained part is a nested model
`trunk`; see `parts`.
"""

import pkgutil
from importlib import import_module

from fer_utils.errors import StudyError

_HELPERS = ("backend", "costs", "preprocessing")

# The modules are listed without importing them, because each one imports Keras.
NETWORKS = tuple(
    module.name for module in pkgutil.iter_modules(__path__) if module.name not in _HELPERS
)
"""Names of the networks, in alphabetical order."""


def build(network: str, **options):
    """Build a network by name.

    Raises:
        StudyError: the network or an option is unknown (the message lists the known ones), or the
            value of an option is invalid.
    """
    changed_options(network, options)
    try:
        return _builder(network)(**options)
    except (TypeError, ValueError) as problem:
        raise StudyError(
            f"{network}: expected other options than {options}: {problem}"
        ) from problem


def changed_options(network: str, options: dict) -> dict:
    """The options that differ from the network's defaults. Raises StudyError like `build`."""
    known = options_of(network)
    if unknown := sorted(set(options) - set(known)):
        raise StudyError(
            f"{network}: unknown option {', '.join(unknown)}; it has {', '.join(known)}."
        )
    return {name: value for name, value in options.items() if value != known[name]}


def options_of(network: str) -> dict:
    """The network's options with their defaults. Raises StudyError for an unknown network."""
    return dict(_builder(network).__kwdefaults__ or {})


def load_layers() -> None:
    """Register the layers of all networks with Keras, which needs them to load models."""
    for network in NETWORKS:
        _builder(network)


def parts(model):
    """The front (None if there is none) and the trunk of a model from `build`.

    Training applies the front to each image once, augments the result, and trains the trunk on it.
    A trunk with an input below 48x48 pixels gets the middle of images that are not augmented.
    """
    names = [layer.name for layer in model.layers]
    front = model.get_layer("front") if "front" in names else None
    return front, model.get_layer("trunk") if "trunk" in names else model


def at_side(trunk, side: int):
    """A trunk for square images with another side, in pixels, that shares layers and weights.

    Raises:
        StudyError: the shapes of the weights depend on the side of the images.
    """
    from fer_utils.networks.backend import keras

    shape = trunk.input_shape[1:]
    if shape[0] == side:
        return trunk
    pixels = keras.Input((side, side, shape[2]), name="crop")
    try:
        smaller = keras.models.clone_model(
            trunk, input_tensors=pixels, clone_function=lambda layer: layer
        )
    except ValueError as problem:
        raise StudyError(
            f"{trunk.name}: small_side or crop_side: expected a side that leaves the shapes of its "
            f"weights, as {shape[0]} does, found {side}: {problem}"
        ) from None
    # The engines pass variables by their order.
    assert all(one is other for one, other in zip(smaller.variables, trunk.variables, strict=True))
    return smaller


def _builder(network: str):
    if network not in NETWORKS:
        raise StudyError(f"network: expected one of {', '.join(NETWORKS)}, found {network!r}.")
    return getattr(import_module(f"fer_utils.networks.{network}"), network)
