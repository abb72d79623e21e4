"""Cases for the comparison of the two engines: an epoch from the same weights, without dropout.

The engines' generators differ, so dropout would make their results differ.
"""

from contextlib import nullcontext

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.networks import build, parts
from fer_utils.training.engines import engine
from fer_utils.training.fit import epoch_plan
from fer_utils.training.optimizers import build_optimizer
from fer_utils.training.predict import predict
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe

CASES = {
    # Tang's network, loss, schedule and jitter, and an incomplete batch.
    "case-jitter": get_recipe("tang_l2svm").but(
        width=0.05, dropout=0.0, batch_size=48, drop_last=False, learning_rate=0.02
    ),
    # Random crops, mixup, CutMix, erasing, decoupled weight decay, sharpness-aware minimisation and
    # a moving average of the weights.
    "case-mixed": get_recipe("resnet").but(
        widths=(4, 8),
        blocks=(1, 1),
        dropout=0.0,
        drop_path=0.0,
        batch_size=64,
        sam=0.05,
        ema=0.8,
        crop=0.6,
        precision="float32",
        learning_rate=0.02,
    ),
    # Training squares that are smaller than the validation images.
    "case-crops": get_recipe("medium_resnet").but(
        widths=(4, 8),
        blocks=(1, 1),
        dropout=0.0,
        batch_size=64,
        epochs=1,
        full_epochs=0,
        learning_rate=0.02,
    ),
    # Muon. It enlarges small differences, so the images are the same for both engines.
    "case-muon": get_recipe("small_resnet").but(
        widths=(4, 8),
        blocks=(1, 1),
        dropout=0.0,
        batch_size=64,
        rotation=0.0,
        zoom=0.0,
        translation=0.0,
        erase=0.0,
        optimizer="muon",
        precision="float32",
        learning_rate=0.02,
        weight_decay=0.05,
    ),
}
# Images that are resized in the first epoch.
CASES["case-resized"] = CASES["case-crops"].but(epochs=2, small_epochs=1, small_side=24)


def after_one_epoch(recipe: Recipe, weights: list[np.ndarray], faces: Faces) -> list[np.ndarray]:
    """Train an epoch from `weights`.

    Returns:
        All weights after it, the logits of PublicTest, and the losses of the steps.
    """
    training, public = faces.of("Training"), faces.of("PublicTest")
    with engine().data_parallel() if recipe.data_parallel else nullcontext():
        model = build(recipe.network, **recipe.options)
        front, trunk = parts(model)
        model.set_weights(weights)
        images = training.images
        if front is not None:
            front.adapt(training.images)
            images = np.asarray(front(images[..., None].astype(np.float32)))[..., 0]
        targets = np.eye(7, dtype=np.float32)[training.emotion]
        optimizer = build_optimizer(recipe, 8)
        optimizer.build(trunk.trainable_variables)
        order, draws = epoch_plan(recipe, 1, 1, len(training), trunk.input_shape[1])
        losses, _ = (
            engine()
            .Engine(trunk, optimizer, recipe, images, targets)
            .epoch(order, draws, lambda images: None)
        )
        if recipe.ema:
            optimizer.finalize_variable_values(trunk.trainable_variables)
        return [*model.get_weights(), predict(model, public.images), losses]
