"""Training on JAX: images stay on the device, and an epoch is one compiled loop.

It runs on a processor, on a GPU, or on several (`data_parallel`). OpenCV cannot be compiled, so
this module has its own functions that apply the draws of `fer_utils.training.augmentation`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from weakref import WeakKeyDictionary, ref

import jax
import jax.numpy as jnp
import numpy as np

from fer_utils.emotions import SIDE
from fer_utils.networks import at_side
from fer_utils.networks.backend import keras
from fer_utils.training.augmentation import Draws
from fer_utils.training.losses import LOSSES
from fer_utils.training.recipe import Recipe

PREDICTION_BATCH = 256


def warp(images, transform, side: int, border: str):
    """Transform JAX arrays like `augmentation.warp`: (b, 48, 48) to float32 (b, side, side)."""
    rows, columns = jnp.meshgrid(jnp.arange(side), jnp.arange(side), indexing="ij")
    pixels = jnp.stack([columns.ravel(), rows.ravel(), jnp.ones(side * side, int)])
    # In reduced precision, errors of the coordinates would reach half a pixel and blur the images.
    coordinates = jnp.matmul(transform, pixels.astype(jnp.float32), precision="highest")
    x, y = jnp.moveaxis(coordinates, 1, 0)
    left, top = jnp.floor(x), jnp.floor(y)
    flat = images.reshape(len(images), SIDE * SIDE)

    def pixel(x, y):
        inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
        row = jnp.clip(y, 0, SIDE - 1).astype(jnp.int32)
        column = jnp.clip(x, 0, SIDE - 1).astype(jnp.int32)
        value = jnp.take_along_axis(flat, row * SIDE + column, 1).astype(jnp.float32)
        return jnp.where(inside, value, 0) if border == "zero" else value

    across, down = x - left, y - top
    upper = (1 - across) * pixel(left, top) + across * pixel(left + 1, top)
    lower = (1 - across) * pixel(left, top + 1) + across * pixel(left + 1, top + 1)
    return ((1 - down) * upper + down * lower).reshape(len(images), side, side)


def _inside(rectangles, side: int):
    x0, y0, x1, y1 = rectangles.T[:, :, None]
    position = jnp.arange(side)
    rows = (position >= y0) & (position < y1)
    columns = (position >= x0) & (position < x1)
    return rows[:, :, None] & columns[:, None, :]


def apply(images, draws: Draws, side: int, border: str):
    """Augment JAX arrays like `augmentation.apply`."""
    if draws.transform is not None:
        result = warp(images, draws.transform, side, border)
    else:
        result = images.astype(jnp.float32)
        result = jnp.where(draws.flipped[:, None, None], result[:, :, ::-1], result)
    if draws.erased is not None:
        result = jnp.where(_inside(draws.erased, side), result.mean((1, 2), keepdims=True), result)
    if draws.share is not None:
        other, inside = result[::-1], _inside(draws.pasted, side)
        # An image with a pasted rectangle is not mixed.
        has_pasted = inside.any((1, 2), keepdims=True)
        share = jnp.where(has_pasted, 1.0, draws.share[:, None, None])
        result = jnp.where(inside, other, share * result + (1 - share) * other)
    return result


class Engine:
    """Trains a recipe epoch by epoch. Its arguments are those of the TensorFlow engine."""

    def __init__(
        self, trunk: keras.Model, optimizer, recipe: Recipe, images: np.ndarray, targets: np.ndarray
    ) -> None:
        self.trunk, self.optimizer, self.recipe = trunk, optimizer, recipe
        self.images, self.targets = jnp.asarray(images), jnp.asarray(targets)
        loss = LOSSES[recipe.loss]

        def penalised(trainable, fixed, images, targets):
            call = partial(
                at_side(trunk, images.shape[1]).stateless_call, training=True, return_losses=True
            )
            scores, fixed, penalties = call(trainable, fixed, images)
            return loss(targets, scores) + sum(penalties), (scores, fixed)

        gradients_of = jax.value_and_grad(penalised, has_aux=True)

        def step(all_images, all_targets, state, batch):
            trainable, fixed, slots = state
            chosen, draws = batch
            targets = all_targets[chosen]
            if draws.share is not None:
                share = draws.share[:, None]
                targets = share * targets + (1 - share) * targets[::-1]
            images = _over_devices(
                apply(all_images[chosen], draws, draws.side, recipe.border)[..., None]
            )
            (value, (scores, after)), gradients = gradients_of(trainable, fixed, images, targets)
            if recipe.sam:
                norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
                moved = [
                    w + recipe.sam * gradient / (norm + 1e-12)
                    for w, gradient in zip(trainable, gradients, strict=True)
                ]
                gradients = gradients_of(moved, fixed, images, targets)[1]
            trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
            correct = jnp.sum(jnp.argmax(scores, 1) == jnp.argmax(targets, 1))
            return (trainable, after, slots), (value, correct)

        @partial(jax.jit, donate_argnums=2)
        def steps(images, targets, state, batches):
            return jax.lax.scan(partial(step, images, targets), state, batches)

        self.steps = steps

    def set_targets(self, targets: np.ndarray) -> None:
        """Train on these targets from the next epoch on, float32 (n, 7)."""
        self.targets = jnp.asarray(targets)

    def epoch(
        self, order: np.ndarray, draws: Draws, on_batch: Callable[[int], None]
    ) -> tuple[np.ndarray, int]:
        """Train on the images in this order. Arguments and result as in the TensorFlow engine."""
        size = self.recipe.batch_size
        whole = len(order) // size * size
        variables = [
            self.trunk.trainable_variables,
            self.trunk.non_trainable_variables,
            self.optimizer.variables,
        ]
        losses, correct = [], 0
        # Images that do not fill a batch are a second loop, of one step.
        for chosen, length in ((order[:whole], size), (order[whole:], len(order) - whole)):
            if not len(chosen):
                continue
            batches = jax.tree.map(partial(_cut, length), (chosen, draws.of(chosen)))
            state = tuple([v.value for v in group] for group in variables)
            state, (values, counts) = self.steps(self.images, self.targets, state, batches)
            for group, values_after in zip(variables, state, strict=True):
                for variable, value in zip(group, values_after, strict=True):
                    variable.assign(value)
            losses.append(np.asarray(values, np.float64))
            correct += int(counts.sum())
            on_batch(len(chosen))
        return np.concatenate(losses), correct


jax.tree_util.register_dataclass(
    Draws, [field.name for field in dataclasses.fields(Draws) if field.name != "side"], ["side"]
)


def _cut(length: int, values: np.ndarray) -> np.ndarray:
    """Cut values of m images, (m, ...), into batches, (m / length, length, ...)."""
    return values.reshape(-1, length, *values.shape[1:])


_compiled: WeakKeyDictionary = WeakKeyDictionary()


def logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits of a model, float32 (n, 7), for images float32 (n, side, side)."""
    if model not in _compiled:
        # A reference from the compiled function would keep the model in memory.
        alive = ref(model)

        @jax.jit
        def compute(trainable, fixed, batches):
            call = partial(alive().stateless_call, trainable, fixed, training=False)
            return jax.lax.map(lambda batch: call(batch)[0].astype(jnp.float32), batches)

        _compiled[model] = compute
    count = len(images)
    short = -count % PREDICTION_BATCH
    padded = np.concatenate([images, np.zeros((short, *images.shape[1:]), images.dtype)])
    batches = padded.reshape(-1, PREDICTION_BATCH, *images.shape[1:], 1)
    values = [
        [v.value for v in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    return np.asarray(_compiled[model](*values, batches)).reshape(len(padded), -1)[:count]


@contextmanager
def data_parallel() -> Iterator[None]:
    """Inside, models are built with weights on each device of the machine.

    Batches are spread over the devices.
    """
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _over_devices(batch):
    distribution = keras.distribution.distribution()
    if distribution is None:
        return batch
    mesh = distribution.device_mesh.backend_mesh
    by_image = jax.sharding.PartitionSpec(mesh.axis_names[0])
    return jax.lax.with_sharding_constraint(batch, jax.sharding.NamedSharding(mesh, by_image))


def accelerators() -> list[str]:
    """Names of the machine's accelerators."""
    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
