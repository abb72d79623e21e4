"""Search spaces: the fields of a recipe that a search may change, and their values."""

import dataclasses
from dataclasses import dataclass

from fer_utils.errors import StudyError
from fer_utils.networks import options_of
from fer_utils.networks.backend import keras  # noqa: F401  Before keras-tuner: sets up its logging.
from fer_utils.training.recipe import Recipe

# isort: split
import keras_tuner

AUGMENTATION = {"rotation": 15.0, "zoom": 0.15, "translation": 4.0, "erase": 0.25}
"""Augmentation of strength 1; other strengths are multiples of it.

There is one magnitude for all, as in RandAugment (Cubuk et al. 2020, arXiv 1909.13719).
"""

CHOICES = ("width", "depth", "schedule", "optimizer", "loss")
RANGES = ("dropout", "learning_rate", "weight_decay", "label_smoothing", "augmentation")
LOGARITHMIC = ("learning_rate", "weight_decay")
OPTIONS = {"width": "width", "depth": "blocks", "dropout": "dropout"}
"""Hyperparameters that are options of the network, and the options' names."""


@dataclass(frozen=True)
class SearchSpace:
    """The values of each hyperparameter. An empty one is not searched and keeps the recipe's value.

    Attributes:
        width: factors on the network's filters and units.
        dropout: lowest and highest dropout rate.
        learning_rate: lowest and highest, on a logarithmic scale.
        sgd_learning_rate: the same for SGD, if both optimisers are searched. SGD needs far higher
            learning rates than Adam.
        depth: residual blocks per stage, for networks with the option `blocks`.
        augmentation: lowest and highest strength; 1 is `AUGMENTATION`. Horizontal flips stay the
            recipe's.
        schedule: learning-rate schedules: "plateau", "cosine".
        optimizer: "adam", "sgd", "muon".
        weight_decay: lowest and highest, on a logarithmic scale.
        label_smoothing: lowest and highest; searched only with the cross-entropy loss.
        loss: "cross_entropy", "squared_hinge". The second is the loss of an L2-SVM, which is
            trained without label smoothing, mixup and CutMix.

    Raises:
        StudyError: every hyperparameter is empty, or a range is invalid.
    """

    width: tuple[float, ...] = ()
    dropout: tuple[float, ...] = ()
    learning_rate: tuple[float, ...] = ()
    sgd_learning_rate: tuple[float, ...] = ()
    depth: tuple[int, ...] = ()
    augmentation: tuple[float, ...] = ()
    schedule: tuple[str, ...] = ()
    optimizer: tuple[str, ...] = ()
    weight_decay: tuple[float, ...] = ()
    label_smoothing: tuple[float, ...] = ()
    loss: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        kinds = {"depth": int} | dict.fromkeys(("schedule", "optimizer", "loss"), str)
        for field in dataclasses.fields(self):
            kind = kinds.get(field.name, float)
            values = tuple(kind(value) for value in getattr(self, field.name))
            object.__setattr__(self, field.name, values)
        if not self.names:
            raise StudyError(
                "search space: expected a hyperparameter to search, found none. Choose from "
                f"{', '.join((*CHOICES, *RANGES))}."
            )
        for name in (*RANGES, "sgd_learning_rate"):
            ends = getattr(self, name)
            logarithmic = name.endswith(LOGARITHMIC)
            if not ends:
                continue
            if len(ends) != 2 or not 0 <= ends[0] < ends[1] or (logarithmic and ends[0] == 0):
                expected = f"lowest and highest, {'above' if logarithmic else 'from'} 0"
                raise StudyError(f"search space: {name}: expected {expected}, found {ends}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The searched hyperparameters, as in the columns of a ledger."""
        searched = {name for name in (*CHOICES, *RANGES) if getattr(self, name)}
        if self.sgd_learning_rate:
            searched.add("learning_rate")
        return tuple(name for name in (*CHOICES, *RANGES) if name in searched)

    def declare(self, base: Recipe) -> keras_tuner.HyperParameters:
        """Return the space in keras-tuner's form.

        Raises:
            StudyError: the network of `base` lacks an option, an optimiser lacks a range of
                learning rates, or label smoothing is searched without the cross-entropy.
        """
        options = options_of(base.network)
        for name, option in OPTIONS.items():
            if getattr(self, name) and option not in options:
                raise StudyError(
                    f"search space: {name}: the network {base.network} has no option {option!r}, "
                    f"only {', '.join(options)}. Leave {name} out, or search another network."
                )
        if "learning_rate" in self.names and not all(self._rates(base).values()):
            raise StudyError(
                "search space: learning_rate: expected a range for each optimiser that is searched "
                f"(learning_rate for Adam, sgd_learning_rate for SGD), found {self.learning_rate} "
                f"and {self.sgd_learning_rate}. Give both: Adam's rates do not train with SGD."
            )
        if self.label_smoothing and "cross_entropy" not in (self.loss or (base.loss,)):
            raise StudyError(
                "search space: label_smoothing: expected the cross-entropy among the losses, found "
                f"{', '.join(self.loss or (base.loss,))}. Add cross_entropy, or leave "
                "label_smoothing out."
            )
        hp = keras_tuner.HyperParameters()
        self.recipe(hp, base)
        return hp

    def recipe(self, hp: keras_tuner.HyperParameters, base: Recipe) -> Recipe:
        """Return `base` with the hyperparameters in `hp`."""
        return self.apply(self.values(hp, base), base)

    def values(self, hp: keras_tuner.HyperParameters, base: Recipe) -> dict:
        """Return the values in `hp` by name; None for a hyperparameter that does not apply.

        Numbers are rounded to four digits, as in the ledger. keras-tuner's chief sends them to its
        workers with seven digits.
        """
        found = {}
        for name in CHOICES:
            if getattr(self, name):
                found[name] = hp.Choice(name, list(getattr(self, name)))
        for name in RANGES:
            if name == "learning_rate":
                found[name] = self._conditional(hp, name, "optimizer", self._rates(base))
            elif name == "label_smoothing":
                losses = self.loss or (base.loss,)
                ranges = (
                    {"cross_entropy": self.label_smoothing} if "cross_entropy" in losses else {}
                )
                found[name] = self._conditional(hp, name, "loss", ranges)
            elif name in self.names:
                found[name] = self._float(hp, name, getattr(self, name))
        for name in RANGES:
            if found.get(name) is not None:
                found[name] = float(f"{found[name]:.4g}")
        return {name: found[name] for name in self.names}

    def _rates(self, base: Recipe) -> dict[str, tuple]:
        """Return the range of learning rates of each possible optimiser."""
        possible = dict.fromkeys(self.optimizer or (base.optimizer,))
        if set(possible) == {"sgd"}:
            return {"sgd": self.sgd_learning_rate or self.learning_rate}
        return {
            name: self.sgd_learning_rate if name == "sgd" else self.learning_rate
            for name in possible
        }

    def _conditional(self, hp, name: str, parent: str, ranges: dict[str, tuple]) -> float | None:
        """Return a number whose range depends on another hyperparameter, if that is searched.

        Args:
            hp: keras-tuner's hyperparameters.
            name: of the number.
            parent: the other hyperparameter.
            ranges: lowest and highest by the parent's value.
        """
        if len(set(getattr(self, parent))) < 2:
            return next((self._float(hp, name, ends) for ends in ranges.values() if ends), None)
        found = None
        for value, ends in ranges.items():
            if ends:
                with hp.conditional_scope(parent, [value]):
                    # The name includes the parent's value: keras-tuner confuses equal names.
                    active = self._float(hp, f"{value}_{name}", ends)
                found = active if active is not None else found
        return found

    @staticmethod
    def _float(hp, name: str, ends: tuple[float, float]) -> float | None:
        sampling = "log" if name.endswith(LOGARITHMIC) else "linear"
        return hp.Float(name, *map(float, ends), sampling=sampling)

    @staticmethod
    def apply(values: dict, base: Recipe) -> Recipe:
        """Return `base` with hyperparameters by name, as in a row of a ledger.

        None and NaN change nothing.
        """
        changes = {
            name: value for name, value in values.items() if value is not None and value == value
        }
        if "depth" in changes:
            stages = len(base.options.get("blocks", options_of(base.network)["blocks"]))
            changes["blocks"] = (int(changes.pop("depth")),) * stages
        if "augmentation" in changes:
            strength = changes.pop("augmentation")
            for name, full in AUGMENTATION.items():
                changes[name] = float(f"{strength * full:.4g}")
        if changes.get("loss") == "squared_hinge":
            changes |= {"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0}
        return base.but(**changes)
