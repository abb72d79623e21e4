"""Recipes: all that decides how a network is trained, but for the data and the seed."""

import dataclasses
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real

from fer_utils.errors import StudyError


@dataclass(frozen=True)
class Recipe:
    """How to train one network.

    Attributes:
        name: what runs and evidence are called after.
        network: a name in `architectures.NETWORKS`.
        options: the network's options, such as `width`.
        epochs: passes over Training.
        batch_size: images an update.
        learning_rate: Adam's, at the start.
        plateau_patience: epochs without a lower PublicTest loss after which the learning rate is multiplied
            by `plateau_factor`; 0 keeps it constant.
        plateau_factor: see there.
        minimum_learning_rate: the learning rate falls no lower.
        mirror: flip each training image left to right with probability 0.5, anew each epoch.
        keep: "best" keeps the weights of the epoch with the highest PublicTest accuracy, "last" the last.

    Raises:
        StudyError: a value is of the wrong type or out of range.
    """

    name: str
    network: str
    options: dict = field(default_factory=dict)
    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 5e-4
    plateau_patience: int = 2
    plateau_factor: float = 0.1
    minimum_learning_rate: float = 1e-5
    mirror: bool = True
    keep: str = "best"

    def __post_init__(self) -> None:
        def expect(name: str, expected: str, kind: type, fits: Callable[..., bool] = lambda value: True) -> None:
            value = getattr(self, name)
            # True and False are whole numbers to Python.
            if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)) or not fits(value):
                raise StudyError(f"recipe {self.name}: {name}: expected {expected}, found {value!r}.")

        expect("name", "letters, digits, '_', '-' and '.'", str, re.compile(r"\w[\w.-]*").fullmatch)
        expect("options", "names with values", dict)
        for name, least in (("epochs", 1), ("batch_size", 1), ("plateau_patience", 0)):
            expect(name, f"a whole number of {least} or more", int, lambda value, least=least: value >= least)
        expect("learning_rate", "a number above 0", Real, lambda value: 0 < value < math.inf)
        expect("plateau_factor", "a number from 0 to 1", Real, lambda value: 0 <= value <= 1)
        expect("minimum_learning_rate", "a number of 0 or more", Real, lambda value: 0 <= value < math.inf)
        expect("mirror", "true or false", bool)
        expect("keep", '"best" or "last"', str, ("best", "last").__contains__)

    def but(self, **changes) -> "Recipe":
        """This recipe with some fields changed; a name that is no field is an option of the network.

        Raises:
            StudyError: a value is out of range. (Unknown options are refused when the network is built.)
        """
        fields = {f.name for f in dataclasses.fields(self)} - {"options"}
        options = {**self.options, **{k: v for k, v in changes.items() if k not in fields}}
        return dataclasses.replace(self, options=options, **{k: v for k, v in changes.items() if k in fields})

    def to_dict(self) -> dict:
        """The recipe as plain values, for JSON."""
        return dataclasses.asdict(self)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # As the guided project "Facial Expression Recognition with Keras" trains it. 15 epochs take about
        # an hour on two cores; published accuracy 63.18 % (on both test splits merged).
        Recipe("seed_cnn", "seed_cnn"),
    )
}


def get_recipe(name: str) -> Recipe:
    """A recipe by name. Raises StudyError for an unknown name, listing the known ones."""
    if name not in RECIPES:
        raise StudyError(f"recipe: expected one of {', '.join(RECIPES)}, found {name!r}.")
    return RECIPES[name]


def recipe_from_dict(values: dict) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote. Raises StudyError for an unknown field, listing the known ones."""
    fields = [f.name for f in dataclasses.fields(Recipe)]
    if unknown := sorted(set(values) - set(fields)):
        raise StudyError(f"recipe: unknown field {', '.join(unknown)}; known are {', '.join(fields)}.")
    return Recipe(**values)
