"""Recipes: all that decides how a network is trained, but for the data and the seed."""

import dataclasses
from dataclasses import dataclass, field

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
        for name in ("epochs", "batch_size"):
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise StudyError(f"recipe {self.name}: {name}: expected a whole number of 1 or more, found {value!r}.")
        if not self.learning_rate > 0:
            raise StudyError(f"recipe {self.name}: learning_rate: expected more than 0, found {self.learning_rate!r}.")
        if self.keep not in ("best", "last"):
            raise StudyError(f'recipe {self.name}: keep: expected "best" or "last", found {self.keep!r}.')

    def but(self, **changes) -> "Recipe":
        """This recipe with some fields changed; a name that is no field is an option of the network.

        Raises:
            StudyError: a value is out of range. (Unknown options are refused when the network is built.)
        """
        fields = {f.name for f in dataclasses.fields(self)}
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
