"""The weights that a training starts from, if its recipe names a run."""

from pathlib import Path

import numpy as np

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.paths import RELEASED
from fer_utils.training.recipe import Recipe
from fer_utils.training.released import load_keras, read_card
from fer_utils.training.runs import Run, finished, read_run_infos


def set_initial_weights(model: keras.Model, recipe: Recipe, store: Path) -> tuple[str, ...]:
    """Give a model the weights of the run that `Recipe.initial_weights` names.

    Args:
        model: built from `recipe`.
        recipe: names the run.
        store: folder of runs. If the run is not there, the released model is used, if it was
            exported from that run. Its kernels are rounded to float16.

    Returns:
        Labels of the networks that the run was distilled from.

    Raises:
        StudyError: neither has these weights, or they are of another network.
    """
    name = recipe.initial_weights
    folder = Path(store) / name
    if finished(folder) and Run(folder).has_weights:
        weights = Run(folder).model().get_weights()
        teachers = Run(folder).info.teachers
    elif name == released_run():
        weights = load_keras(RELEASED).get_weights()
        teachers = tuple(read_card(RELEASED).get("teachers", ()))
    else:
        known = [each.name for each in read_run_infos(store) if Run(each).has_weights]
        raise StudyError(
            f"recipe {recipe.name}: initial_weights: expected a run with weights in {store}, or "
            f"the run of the released model, found {name!r}. "
            f"There are {', '.join([*known, released_run()])}."
        )
    expected, found = (_shapes(each) for each in (model.get_weights(), weights))
    if expected != found:
        raise StudyError(
            f"recipe {recipe.name}: initial_weights: expected weights of the network that the "
            f"recipe builds ({len(expected)} arrays, {_size(expected):,} values), found those of "
            f"{name} ({len(found)} arrays, {_size(found):,} values). Set network and options as "
            "in that run."
        )
    model.set_weights(weights)
    return teachers


def released_run() -> str:
    """The name of the run that the released model was exported from, as of its folder."""
    card = read_card(RELEASED)
    return f"{card['recipe']['name']}-seed{card['seed']}-{card['fingerprint'][:12]}"


def _shapes(weights: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [each.shape for each in weights]


def _size(shapes: list[tuple[int, ...]]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)
