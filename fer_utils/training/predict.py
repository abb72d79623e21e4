"""Predictions of trained networks, with test-time augmentation where it is asked for."""

import numpy as np

from fer_utils.evaluation import mean_prediction
from fer_utils.networks import parts
from fer_utils.networks.backend import keras
from fer_utils.training import augmentation
from fer_utils.training.engines import engine
from fer_utils.training.runs import Run


def predict(model: keras.Model, images: np.ndarray, tta: str = "") -> np.ndarray:
    """Logits float32 (n, 7) of images uint8 (n, 48, 48), without augmentation.

    With `tta`, the name of a test-time augmentation, they are the logarithms of the mean probability over its views.
    """
    compute = engine().logits
    if not tta:
        return compute(model, images.astype(np.float32))
    front, trunk = parts(model)
    images = through_front(front, images).astype(np.float32)
    side = trunk.input_shape[1]
    # What lies outside is the mean of the training images where there is a front, and the nearest pixel otherwise.
    border = "edge" if front is None else "zero"
    seen = []
    for transform in augmentation.tta_transforms(tta, side):
        every = np.broadcast_to(transform, (len(images), 2, 3))
        seen.append(compute(trunk, augmentation.warp(images, every, side, border)))
    return mean_prediction(seen)


def predict_with_tta(run: Run, images: np.ndarray) -> np.ndarray:
    """Logits float32 (n, 7) of images uint8 (n, 48, 48), averaged over the views and snapshots of a run's recipe."""
    return predict_over(run.model(), run.snapshots(), images, run.recipe.tta)


def predict_over(
    model: keras.Model, snapshots: list[list[np.ndarray]], images: np.ndarray, tta: str
) -> np.ndarray:
    """Logits float32 (n, 7), averaged over the views, and over these snapshots and the model's own weights."""
    seen = []
    for weights in [*snapshots, model.get_weights()]:
        model.set_weights(weights)
        seen.append(predict(model, images, tta))
    return mean_prediction(seen)


def through_front(front, images: np.ndarray) -> np.ndarray:
    """What augmentation starts from: images uint8 (n, 48, 48), or what the front makes of them, float32."""
    if front is None:
        return images
    result = np.empty(images.shape, np.float32)
    for start in range(0, len(images), 1024):
        part = images[start : start + 1024, ..., None].astype(np.float32)
        result[start : start + 1024] = keras.ops.convert_to_numpy(front(part))[..., 0]
    return result
