"""Predictions of trained networks, without or with test-time augmentation (TTA)."""

import numpy as np

from fer_utils.evaluation import mean_prediction
from fer_utils.networks import parts
from fer_utils.networks.backend import keras
from fer_utils.training import augmentation
from fer_utils.training.engines import engine
from fer_utils.training.runs import Run


def predict(model: keras.Model, images: np.ndarray, tta: str = "") -> np.ndarray:
    """Predict images with a model.

    Args:
        model: as `networks.build` makes it.
        images: uint8 (n, 48, 48).
        tta: name of a test-time augmentation in `augmentation.TTA`; "" is none.

    Returns:
        Logits, float32 (n, 7). With TTA, the logarithms of the mean probabilities over its
        transforms.
    """
    compute = engine().logits
    if not tta:
        return compute(model, images.astype(np.float32))
    front, trunk = parts(model)
    images = through_front(front, images).astype(np.float32)
    side = trunk.input_shape[1]
    # A front centres the images on 0, so 0 is a neutral border. Otherwise the nearest pixel is.
    border = "edge" if front is None else "zero"
    predictions = []
    for transform in augmentation.tta_transforms(tta, side):
        transforms = np.broadcast_to(transform, (len(images), 2, 3))
        predictions.append(compute(trunk, augmentation.warp(images, transforms, side, border)))
    return mean_prediction(predictions)


def predict_with_tta(run: Run, images: np.ndarray) -> np.ndarray:
    """Predict images, uint8 (n, 48, 48), with the TTA and the snapshots of a run's recipe.

    Returns:
        Logits, float32 (n, 7).
    """
    return predict_over(run.model(), run.snapshots(), images, run.recipe.tta)


def predict_over(
    model: keras.Model, snapshots: list[list[np.ndarray]], images: np.ndarray, tta: str
) -> np.ndarray:
    """The mean prediction of these snapshots and the model's own weights, each with TTA.

    Returns:
        Logits, float32 (n, 7).
    """
    predictions = []
    for weights in [*snapshots, model.get_weights()]:
        model.set_weights(weights)
        predictions.append(predict(model, images, tta))
    return mean_prediction(predictions)


def through_front(front, images: np.ndarray) -> np.ndarray:
    """Apply the fixed preprocessing layers to images, uint8 (n, 48, 48).

    Returns:
        float32 (n, 48, 48), or the images themselves if there is no front.
    """
    if front is None:
        return images
    result = np.empty(images.shape, np.float32)
    for start in range(0, len(images), 1024):
        part = images[start : start + 1024, ..., None].astype(np.float32)
        result[start : start + 1024] = keras.ops.convert_to_numpy(front(part))[..., 0]
    return result
