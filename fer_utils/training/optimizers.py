"""Optimizers and schedules of the learning rate.

Schedules depend on one thing: the number of the update as a share of all updates.
"""

import numpy as np

from fer_utils.networks.backend import keras
from fer_utils.training.recipe import Recipe

ops = keras.ops


@keras.saving.register_keras_serializable("fer_utils")
class TangRate(keras.optimizers.schedules.LearningRateSchedule):
    """Tang's learning rate: start / (1 + t / 20000), where t rises to 50,000 over all updates.

    It is a tenth of this in the last third of the updates, and a hundredth in the last sixth.
    """

    def __init__(self, start: float, updates: int) -> None:
        self.start, self.updates = start, updates

    def __call__(self, step):
        done = ops.cast(step, "float32") / self.updates
        rate = self.start / (1 + 2.5 * done)
        rate = ops.where(done >= 2 / 3, 0.1 * rate, rate)
        return ops.where(done >= 5 / 6, 0.1 * rate, rate)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return {"start": self.start, "updates": self.updates}


@keras.saving.register_keras_serializable("fer_utils")
class TangSGD(keras.optimizers.SGD):
    """SGD with a momentum of 0.5 in the first tenth of all updates, and `momentum` afterwards.

    The momentum of Keras' SGD is a constant, fixed when the step is compiled.
    """

    def __init__(self, learning_rate, momentum: float = 0.9, updates: int = 50_000, **more) -> None:
        super().__init__(learning_rate, momentum=momentum, **more)
        self.updates = updates

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable."""
        dtype = variable.dtype
        velocity = self.momentums[self._get_variable_index(variable)]
        early = ops.cast(self.iterations, "float32") < 0.1 * self.updates
        momentum = ops.where(early, ops.cast(0.5, dtype), ops.cast(self.momentum, dtype))
        self.assign(
            velocity,
            velocity * momentum - ops.cast(gradient, dtype) * ops.cast(learning_rate, dtype),
        )
        self.assign_add(variable, velocity)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return super().get_config() | {"updates": self.updates}


@keras.saving.register_keras_serializable("fer_utils")
class ConvMuon(keras.optimizers.Muon):
    """Muon for convolutions too: their kernels are matrices with a column per filter.

    Keras' Muon leaves convolutions to AdamW. Jordan et al. 2024 (github.com/KellerJordan/Muon)
    flatten them.
    """

    def _should_use_adamw(self, variable) -> bool:
        return len(variable.shape) != 4 and super()._should_use_adamw(variable)

    def zeropower_via_newtonschulz5(self, x, steps: int):
        """Orthogonalise an update, (rows, columns) or (h, w, channels, filters)."""
        return ops.reshape(super().zeropower_via_newtonschulz5(_matrix(x), steps), x.shape)

    def lr_adjust(self, x):
        """Scale an orthogonal update to the root mean square of Adam's (arXiv 2502.16982)."""
        return ops.reshape(super().lr_adjust(_matrix(x)), x.shape)


def _matrix(x):
    return ops.reshape(x, (-1, x.shape[-1]))


def build_optimizer(recipe: Recipe, updates: int) -> keras.optimizers.Optimizer:
    """Build the optimizer of a recipe for a training of `updates` updates.

    With the schedule "plateau" the rate is constant; the training lowers it by `learning_rate`.
    """
    rate = recipe.learning_rate
    average = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema else {}
    if recipe.schedule == "tang":
        return TangSGD(
            TangRate(rate, updates), momentum=recipe.momentum, updates=updates, **average
        )
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup * updates)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            updates - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    decay = recipe.weight_decay or None
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay, **average)
    elif recipe.optimizer == "muon":
        optimizer = ConvMuon(
            rate,
            momentum=recipe.momentum,
            weight_decay=decay,
            adam_weight_decay=decay,
            exclude_layers=["logits"],
            **average,
        )
    else:
        optimizer = keras.optimizers.SGD(
            rate, momentum=recipe.momentum, nesterov=True, weight_decay=decay, **average
        )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def learning_rate(recipe: Recipe, val_losses: list[float]) -> float:
    """The learning rate of the next epoch, from the PublicTest losses of all epochs before it.

    The rule is that of Keras' ReduceLROnPlateau.
    """
    rate, best, waited = recipe.learning_rate, np.inf, 0
    for loss in val_losses:
        if loss < best - 1e-4:
            best, waited = loss, 0
        else:
            waited += 1
        if recipe.plateau_patience and waited >= recipe.plateau_patience:
            lower = max(rate * recipe.plateau_factor, recipe.minimum_learning_rate)
            # A recipe may start below its minimum.
            rate, waited = min(rate, lower), 0
    return rate
