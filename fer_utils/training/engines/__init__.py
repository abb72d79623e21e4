"""Engines run the epochs of a training: one engine for each Keras backend.

Both use the draws of `fer_utils.training.augmentation` and the same losses and optimizers.
TensorFlow's engine feeds batches from the processor. JAX's engine keeps all images on the device
and compiles whole epochs.
"""

from importlib import import_module

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras


def engine():
    """The module of the present Keras backend, with `Engine`, `logits` and `accelerators`.

    Raises:
        StudyError: the backend is neither TensorFlow nor JAX.
    """
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise StudyError(
            f"KERAS_BACKEND: expected tensorflow or jax, found {name}. Set it to one of the two."
        )
    return import_module(f"fer_utils.training.engines.{name}")
