"""What runs a training's epochs: one engine a Keras backend.

Both take the same draws from `fer_utils.training.augmentation` and the same losses and optimisers.
TensorFlow's feeds batches from the processor; JAX's keeps all images on the device and compiles whole epochs.
"""

from importlib import import_module

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras


def engine():
    """The module of the backend that Keras runs on, with its `Engine` and its `logits`.

    Raises:
        StudyError: the backend is another than TensorFlow or JAX.
    """
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise StudyError(f"KERAS_BACKEND: expected tensorflow or jax, found {name}.")
    return import_module(f"fer_utils.training.engines.{name}")
