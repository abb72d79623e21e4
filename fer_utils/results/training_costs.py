"""Accuracy beside the multiply-adds of the training, of this study and of published networks."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fer_utils.evaluation.published import PUBLISHED
from fer_utils.evaluation.wording import number, points
from fer_utils.training.recipe import Recipe


def training_costs(table: pd.DataFrame, recipes: Mapping[str, Recipe]) -> pd.DataFrame:
    """Accuracies on PrivateTest by the cost of the training, of this study and published ones.

    Args:
        table: committed results, as `published.read_results` returns them.
        recipes: by the network's name.

    Returns:
        One row per single network of the table, with TTA if it has that, and per published one
        whose cost is known: model, published, cost (multiply-adds of a forward pass, summed over
        the epochs, with those of the run that it started from), accuracy, low, high (NaN for
        published ones).

    Raises:
        KeyError: the recipe of a run that another one started from is not in `recipes`.
    """
    rows = []
    single = table[table["model"].isin(recipes)]
    for row in single.sort_values("tta").groupby("model").tail(1).to_dict("records"):
        found = {"model": row["model"], "published": False}
        found |= {"cost": _training_cost(recipes[row["model"]], recipes)}
        ends = ("accuracy", "low", "high")
        rows.append(found | {end: row[f"private_{end}"] for end in ends})
    for each in PUBLISHED:
        if each.training_cost:
            found = {"model": each.name, "published": True, "cost": each.training_cost}
            rows.append(found | {"accuracy": each.accuracy, "low": np.nan, "high": np.nan})
    return pd.DataFrame(rows).sort_values("cost", ignore_index=True)


def _training_cost(recipe: Recipe, recipes: Mapping[str, Recipe]) -> float:
    """Multiply-adds of a forward pass for one image, summed over all epochs and folds.

    The run that the training started from counts too.
    """
    from fer_utils.networks import build, parts
    from fer_utils.networks.backend import keras
    from fer_utils.networks.costs import multiply_adds

    trunk = parts(build(recipe.network, **recipe.options))[1]
    _, own, _, channels = trunk.input_shape
    epochs = range(1, recipe.epochs + 1)
    sides = [min(own, recipe.in_epoch(epoch).training_side) for epoch in epochs]
    of_side = {}
    for side in set(sides):
        pixels = keras.Input((side, side, channels))
        of_side[side] = multiply_adds(keras.models.clone_model(trunk, input_tensors=pixels))
    passes = (2 if recipe.sam else 1) * (recipe.folds or 1)
    own_cost = float(passes * sum(of_side[side] for side in sides))
    if not recipe.initial_weights:
        return own_cost
    first = recipe.initial_weights.rsplit("-seed", 1)[0]
    return own_cost + _training_cost(recipes[first], recipes)


def training_finding(table: pd.DataFrame) -> str:
    """Compare the published networks with the best one of this study, as one sentence.

    Args:
        table: as `training_costs` returns it.
    """
    own, others = table[~table["published"]], table[table["published"]]
    if own.empty or others.empty:
        return "No committed network can be compared with a published one."
    best = own.loc[own["accuracy"].idxmax()]
    factors = sorted(others["cost"] / best["cost"])
    gains = sorted(others["accuracy"] - best["accuracy"])
    return (
        f"Of this study's networks, {best['model']} has the highest accuracy. The published "
        f"networks of the figure were trained with {factors[0]:.0f} to {factors[-1]:.0f} times its "
        f"multiply-adds, and score {number(100 * gains[0])} to {points(gains[-1])} higher."
    )
