"""Networks, one a file: each a function from its options to a Keras model.

Every network takes raw pixels, float32 (n, 48, 48, 1) in 0..255, does its own scaling, and gives logits,
float32 (n, 7), in the order of `fer_utils.emotions.EMOTIONS`. Preprocessing that is fitted to the training images
is a layer called `front`, and what is trained a nested model called `trunk`; see `parts`. Each module's `SOURCE`
says who published its network.
"""

from importlib import import_module

from fer_utils.errors import StudyError

NETWORKS = ("baseline_cnn", "mini_xception", "tang", "resnet", "vgg")


def build(network: str, **options):
    """Build a network by name.

    Raises:
        StudyError: the network or one of its options is unknown (the message lists the known ones), or an
            option's value is refused.
    """
    changed_options(network, options)
    try:
        return _builder(network)(**options)
    except (TypeError, ValueError) as problem:
        raise StudyError(
            f"{network}: expected other options than {options}: {problem}"
        ) from problem


def changed_options(network: str, options: dict) -> dict:
    """The options that differ from the network's defaults. Raises as `build` does."""
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
    """Make the networks' own layers known to Keras, which then loads models that have them."""
    for network in NETWORKS:
        _builder(network)


def parts(model):
    """The front (None where there is none) and the trunk of a model that `build` made.

    Training applies the front to each image once, augments what comes out, and trains the trunk on that; a trunk
    that takes less than 48x48 pixels sees the middle where nothing is augmented.
    """
    names = [layer.name for layer in model.layers]
    front = model.get_layer("front") if "front" in names else None
    return front, model.get_layer("trunk") if "trunk" in names else model


def at_side(trunk, side: int):
    """A trunk for square images of another side, in pixels, with the same layers and so the same weights.

    Raises:
        StudyError: the network's weights depend on the side of its images.
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
            f"{trunk.name}: crop_side: expected a side that leaves the shapes of its weights, as {shape[0]} does, "
            f"found {side}: {problem}"
        ) from None
    same = zip(smaller.variables, trunk.variables, strict=True)
    assert all(one is other for one, other in same), (
        "the engines hand variables over by their order"
    )
    return smaller


def _builder(network: str):
    if network not in NETWORKS:
        raise StudyError(f"network: expected one of {', '.join(NETWORKS)}, found {network!r}.")
    return getattr(import_module(f"fer_utils.networks.{network}"), network)
