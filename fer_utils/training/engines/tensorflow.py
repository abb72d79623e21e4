"""Training on TensorFlow: OpenCV augments the next batch while the network trains on this one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from fer_utils.errors import StudyError
from fer_utils.networks import at_side
from fer_utils.networks.backend import keras
from fer_utils.training.augmentation import Draws, apply
from fer_utils.training.losses import LOSSES
from fer_utils.training.recipe import Recipe

PREDICTION_BATCH = 256


class Engine:
    """Trains a recipe epoch by epoch.

    Args:
        trunk: the trained model, from float32 (b, side, side, 1) to logits.
        optimizer: built on the trunk's trainable variables.
        recipe: its loss, border, batch size and SAM radius are used.
        images: training images, uint8 or float32 (n, 48, 48).
        targets: float32 (n, 7), one-hot or soft.
    """

    def __init__(
        self, trunk: keras.Model, optimizer, recipe: Recipe, images: np.ndarray, targets: np.ndarray
    ) -> None:
        self.recipe, self.images, self.targets = recipe, images, targets
        self.trunk, self.optimizer = trunk, optimizer
        # One step per side of images. Otherwise TensorFlow would trace a step for unknown sizes.
        self.steps: dict[int, Callable] = {}

    def set_targets(self, targets: np.ndarray) -> None:
        """Train on these targets from the next epoch on, float32 (n, 7)."""
        self.targets = targets

    def _step(self, side: int) -> Callable:
        recipe, trunk, optimizer = self.recipe, at_side(self.trunk, side), self.optimizer
        loss, variables = LOSSES[recipe.loss], self.trunk.trainable_variables

        def forward_backward(images, targets):
            with tf.GradientTape() as tape:
                scores = trunk(images, training=True)
                penalised = loss(targets, scores) + sum(trunk.losses)
            return penalised, scores, tape.gradient(penalised, variables)

        def states() -> list:
            return [tf.identity(variable.value) for variable in trunk.non_trainable_variables]

        def set_states(values: list) -> None:
            for variable, value in zip(trunk.non_trainable_variables, values, strict=True):
                variable.assign(value)

        def step(images, targets):
            before = states() if recipe.sam else None
            penalised, scores, gradients = forward_backward(images, targets)
            if recipe.sam:
                after = states()
                norm = tf.linalg.global_norm(gradients)
                moves = [recipe.sam * gradient / (norm + 1e-12) for gradient in gradients]
                for variable, move in zip(variables, moves, strict=True):
                    variable.assign_add(move)
                # From the same states, the second pass repeats the dropout masks. Its own states
                # are undone, because moving averages must be those of the unmoved weights.
                set_states(before)
                gradients = forward_backward(images, targets)[-1]
                set_states(after)
                for variable, move in zip(variables, moves, strict=True):
                    variable.assign_sub(move)
            optimizer.apply(gradients, variables)
            correct = tf.reduce_sum(
                tf.cast(tf.argmax(scores, 1) == tf.argmax(targets, 1), tf.int32)
            )
            return penalised, correct

        return tf.function(step, reduce_retracing=True)

    def batch(self, chosen: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Augment a batch.

        Args:
            chosen: positions of the images, int (b,).
            draws: draws of all n images.

        Returns:
            Images float32 (b, side, side, 1), and targets float32 (b, 7).
        """
        drawn, targets = draws.of(chosen), self.targets[chosen]
        if drawn.share is not None:
            share = drawn.share[:, None]
            targets = share * targets + (1 - share) * targets[::-1]
        return apply(self.images[chosen], drawn, drawn.side, self.recipe.border)[..., None], targets

    def epoch(
        self, order: np.ndarray, draws: Draws, on_batch: Callable[[int], None]
    ) -> tuple[np.ndarray, int]:
        """Train on the images in this order.

        Args:
            order: positions of the images, int (m,).
            draws: draws of all n images.
            on_batch: called after each batch with its number of images.

        Returns:
            The loss of each step, float64 (steps,), and the number of correct predictions.
        """
        size = self.recipe.batch_size
        losses, correct = [], 0
        if draws.side not in self.steps:
            self.steps[draws.side] = self._step(draws.side)
        step = self.steps[draws.side]
        with ThreadPoolExecutor(1) as worker:
            ahead = worker.submit(self.batch, order[:size], draws)
            for start in range(0, len(order), size):
                images, targets = ahead.result()
                ahead = worker.submit(self.batch, order[start + size : start + 2 * size], draws)
                loss, count = step(tf.constant(images), tf.constant(targets))
                losses.append(loss)
                correct += count
                on_batch(len(images))
        return np.array([float(loss) for loss in losses]), int(correct)


def data_parallel():
    """Refuse training on several devices, which needs JAX: raises StudyError."""
    raise StudyError(
        "data_parallel: expected KERAS_BACKEND=jax, found tensorflow. Train this recipe under JAX."
    )


def logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits of a model, float32 (n, 7), for images float32 (n, side, side)."""
    # `predict` gives the same bits, and takes 70 ms more for each call.
    batches = [
        model.predict_on_batch(images[start : start + PREDICTION_BATCH, ..., None])
        for start in range(0, len(images), PREDICTION_BATCH)
    ]
    return np.concatenate(batches)


def accelerators() -> list[str]:
    """Names of the machine's accelerators."""
    devices = tf.config.list_physical_devices("GPU")
    return [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in devices
    ]
