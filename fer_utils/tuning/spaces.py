"""Search spaces: what a search may change in a plain recipe."""

import dataclasses
from dataclasses import dataclass

from fer_utils.errors import StudyError
from fer_utils.networks import options_of
from fer_utils.networks.backend import keras  # noqa: F401  Before keras-tuner, which imports it with all that it says.
from fer_utils.training.recipe import Recipe

# isort: split
import keras_tuner

AUGMENTATION = {"rotation": 15.0, "zoom": 0.15, "translation": 4.0, "erase": 0.25}
"""What an augmentation of strength 1 is; other strengths are multiples of it (one magnitude for all, as in
RandAugment, Cubuk et al. 2020, arXiv 1909.13719)."""

CHOICES = ("width", "depth", "schedule", "optimizer", "loss")
RANGES = ("dropout", "learning_rate", "weight_decay", "label_smoothing", "augmentation")
LOGARITHMIC = ("learning_rate", "weight_decay")
OPTIONS = {"width": "width", "depth": "blocks", "dropout": "dropout"}
"""Hyperparameters that are options of the network, and what they are called there."""


@dataclass(frozen=True)
class SearchSpace:
    """The values of each hyperparameter; one that is left empty is not searched, and stays the recipe's.

    Attributes:
        width: factors on the network's filters and units.
        dropout: lowest and highest share of units dropped.
        learning_rate: lowest and highest, searched on a logarithmic scale.
        sgd_learning_rate: SGD's, where both optimisers are searched: Adam's are far too low for it.
        depth: residual blocks of each stage, for networks with the option `blocks`.
        augmentation: lowest and highest strength; 1 is `AUGMENTATION`. Mirroring stays the recipe's.
        schedule: of the learning rate: "plateau" or "cosine".
        optimizer: "adam" or "sgd".
        weight_decay: lowest and highest, searched on a logarithmic scale.
        label_smoothing: lowest and highest; searched where the loss is the cross-entropy.
        loss: "cross_entropy" or "squared_hinge", an L2-SVM's, which is trained without smoothing and mixing.

    Raises:
        StudyError: nothing is to be searched, or a range is none.
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
        kinds = {"width": float, "depth": int} | dict.fromkeys(
            ("schedule", "optimizer", "loss"), str
        )
        for name in (field.name for field in dataclasses.fields(self)):
            object.__setattr__(
                self, name, tuple(kinds.get(name, float)(value) for value in getattr(self, name))
            )
        if not self.names:
            known = ", ".join((*CHOICES, *RANGES))
            raise StudyError(
                f"search space: expected a hyperparameter to search, found none. Known are {known}."
            )
        for name in (*RANGES, "sgd_learning_rate"):
            given = getattr(self, name)
            above = name in (*LOGARITHMIC, "sgd_learning_rate")
            if given and not (
                len(given) == 2 and 0 <= given[0] < given[1] and not (above and not given[0])
            ):
                expected = f"lowest and highest, {'above' if above else 'from'} 0"
                raise StudyError(f"search space: {name}: expected {expected}, found {given}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The hyperparameters that are searched, as a ledger's columns are called."""
        given = {name for name in (*CHOICES, *RANGES) if getattr(self, name)}
        return tuple(
            name
            for name in (*CHOICES, *RANGES)
            if name in given or (name == "learning_rate" and self.sgd_learning_rate)
        )

    def declare(self, base: Recipe) -> keras_tuner.HyperParameters:
        """The space as keras-tuner knows it.

        Raises:
            StudyError: the network of `base` has no such option, or SGD is searched without its learning rates.
        """
        known = options_of(base.network)
        for name, option in OPTIONS.items():
            if getattr(self, name) and option not in known:
                raise StudyError(
                    f"search space: {name}: the network {base.network} has no option {option!r}; it has "
                    f"{', '.join(known)}. Leave it out of the search, or search another network."
                )
        if "learning_rate" in self.names and not all(self._rates(base).values()):
            raise StudyError(
                "search space: learning_rate: expected a range for each optimiser that is searched (learning_rate is "
                f"Adam's, sgd_learning_rate SGD's), found {self.learning_rate} and {self.sgd_learning_rate}. What is "
                "right for one does not train the other."
            )
        if self.label_smoothing and "cross_entropy" not in (self.loss or (base.loss,)):
            raise StudyError(
                "search space: label_smoothing: expected the cross-entropy among the losses, found "
                f"{', '.join(self.loss or (base.loss,))} alone, which has none."
            )
        hp = keras_tuner.HyperParameters()
        self.recipe(hp, base)
        return hp

    def recipe(self, hp: keras_tuner.HyperParameters, base: Recipe) -> Recipe:
        """`base` with the hyperparameters that `hp` holds."""
        return self.changed(self.values(hp, base), base)

    def values(self, hp: keras_tuner.HyperParameters, base: Recipe) -> dict:
        """What `hp` holds, by name; None where a hyperparameter means nothing beside the others.

        Numbers have four digits, as they are shown: keras-tuner's chief sends them to its workers with seven.
        """
        found = {
            name: hp.Choice(name, list(getattr(self, name)))
            for name in CHOICES
            if getattr(self, name)
        }
        for name in RANGES:
            if name == "learning_rate":
                found[name] = self._where(hp, name, "optimizer", self._rates(base))
            elif name == "label_smoothing":
                given = {
                    loss: self.label_smoothing
                    for loss in self.loss or (base.loss,)
                    if loss == "cross_entropy"
                }
                found[name] = self._where(hp, name, "loss", given)
            elif name in self.names:
                found[name] = self._float(hp, name, getattr(self, name))
        return {
            name: float(f"{found[name]:.4g}")
            if name in RANGES and found[name] is not None
            else found[name]
            for name in self.names
        }

    def _rates(self, base: Recipe) -> dict[str, tuple]:
        """The learning rates of each optimiser that may be."""
        possible = dict.fromkeys(self.optimizer or (base.optimizer,))
        if set(possible) == {"sgd"}:
            return {"sgd": self.sgd_learning_rate or self.learning_rate}
        return {
            name: self.sgd_learning_rate if name == "sgd" else self.learning_rate
            for name in possible
        }

    def _where(self, hp, name: str, parent: str, ranges: dict[str, tuple]) -> float | None:
        """A number whose range hangs on another hyperparameter, where that one is searched."""
        if len(set(getattr(self, parent))) < 2:
            return next((self._float(hp, name, given) for given in ranges.values() if given), None)
        found = None
        for value, given in ranges.items():
            if given:
                with hp.conditional_scope(parent, [value]):
                    # keras-tuner mixes up two of one name.
                    active = self._float(hp, f"{value}_{name}", given)
                found = active if active is not None else found
        return found

    @staticmethod
    def _float(hp, name: str, given: tuple[float, float]) -> float | None:
        return hp.Float(
            name, *map(float, given), sampling="log" if name.endswith(LOGARITHMIC) else "linear"
        )

    @staticmethod
    def changed(values: dict, base: Recipe) -> Recipe:
        """`base` with hyperparameters by name, as a ledger's row has them; None and NaN change nothing."""
        changes = {
            name: value for name, value in values.items() if value is not None and value == value
        }
        if "depth" in changes:
            stages = len(base.options.get("blocks", options_of(base.network)["blocks"]))
            changes["blocks"] = (int(changes.pop("depth")),) * stages
        if "augmentation" in changes:
            strength = changes.pop("augmentation")
            changes |= {
                name: float(f"{strength * full:.4g}") for name, full in AUGMENTATION.items()
            }
        if changes.get("loss") == "squared_hinge":
            changes |= {"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0}
        return base.but(**changes)
