"""Retraining of a search's winner with other seeds.

Its score in the search selected both the trial and its epoch, so that score is an overestimate.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import bootstrap_interval, paired_bootstrap, seed_summary
from fer_utils.evaluation.wording import interval, percent, points
from fer_utils.training.fit_many import fit_many
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run
from fer_utils.tuning.spaces import SearchSpace

UNTUNED = "untuned"
LEAST_SEEDS = 3


class Contender(NamedTuple):
    """A recipe to retrain.

    Attributes:
        model: "winner", "runner-up" or "untuned".
        recipe: the recipe.
        trial: number of its trial in the search; NaN for the untuned recipe.
        search_accuracy: PublicTest accuracy of that trial; NaN for the untuned recipe.
    """

    model: str
    recipe: Recipe
    trial: float
    search_accuracy: float


def contenders(ledger: pd.DataFrame, space: SearchSpace, base: Recipe) -> list[Contender]:
    """Select the recipes to retrain, all with the epochs of `base`.

    Args:
        ledger: of the search, best trial first.
        space: the search space.
        base: the recipe that the search changed.

    Returns:
        The winner, the runner-up if there is one, and `base`.
    """
    found: list[Contender] = []
    for row in ledger[ledger["status"] == "completed"].to_dict("records"):
        recipe = space.apply({name: row[name] for name in space.names}, base)
        # Hyperband trains one recipe with several budgets: the runner-up is another recipe.
        if len(found) < 2 and all(recipe != other.recipe for other in found):
            model = "runner-up" if found else "winner"
            found.append(Contender(model, recipe, row["trial"], row["val_accuracy"]))
    return [*found, Contender(UNTUNED, base, math.nan, math.nan)]


def retrain(
    recipes: Sequence[Contender],
    faces: Faces,
    seeds: Sequence[int],
    store: Path,
    *,
    search_seed: int,
    progress: bool = True,
) -> list[list[Run]]:
    """Train each contender with each seed. Finished runs are loaded, interrupted ones continue.

    Args:
        recipes: as returned by `contenders`.
        faces: with Training and PublicTest.
        seeds: three or more. The search's seed is not allowed: the winner was selected with it.
        store: folder of runs.
        search_seed: seed of the search.
        progress: show a bar.

    Returns:
        One list of runs per contender.

    Raises:
        StudyError: there are too few seeds, a seed is repeated or is that of the search, or a
            training fails.
    """
    if len(set(seeds)) < LEAST_SEEDS or len(set(seeds)) < len(seeds) or search_seed in seeds:
        raise StudyError(
            f"retraining: expected {LEAST_SEEDS} seeds or more, all different and none of them "
            f"the search's, {search_seed}, found {', '.join(map(str, seeds)) or 'none'}."
        )
    trainings = [(one.recipe, seed) for one in recipes for seed in seeds]
    runs = fit_many(trainings, faces, store, progress=progress)
    return [runs[i : i + len(seeds)] for i in range(0, len(runs), len(seeds))]


def retrained_table(
    recipes: Sequence[Contender], runs: Sequence[Sequence[Run]], faces: Faces
) -> pd.DataFrame:
    """Compare PublicTest scores in the search with those after retraining.

    PublicTest selected the trials and the kept epoch of each run. The means are therefore still
    overestimates, more so for the winner and the runner-up than for the untuned recipe.

    Args:
        recipes: as returned by `contenders`, the untuned recipe last.
        runs: as returned by `retrain`.
        faces: with PublicTest.

    Returns:
        One row per contender. Columns:

        - model, trial, search_accuracy (of that trial), runs (number).
        - mean, deviation, minimum and maximum of the accuracy over the seeds.
        - low, high: 95 % interval of the mean, over images and seeds.
        - optimism: search_accuracy minus mean.
        - gain: mean minus that of the untuned recipe, with gain_low and gain_high, its 95 %
          interval, paired by image.
    """
    part = faces.of(PUBLIC)
    correct = [
        np.stack([run.logits(part).argmax(axis=1) == part.emotion for run in of_recipe])
        for of_recipe in runs
    ]
    untuned = correct[-1]
    rows = []
    for contender, ours in zip(recipes, correct, strict=True):
        summary = seed_summary(ours.mean(axis=1))
        low, high = bootstrap_interval(ours)
        row = {name: value for name, value in contender._asdict().items() if name != "recipe"}
        row |= {"runs": len(ours), **summary._asdict(), "low": low, "high": high}
        row["optimism"] = contender.search_accuracy - summary.mean
        gain = gain_low = gain_high = math.nan
        if contender.model != UNTUNED:
            gain = ours.mean() - untuned.mean()
            gain_low, gain_high = paired_bootstrap(ours, untuned)
        rows.append(row | {"gain": gain, "gain_low": gain_low, "gain_high": gain_high})
    return pd.DataFrame(rows)


def retraining_finding(table: pd.DataFrame) -> str:
    """Summarise the winner's row of `retrained_table` in a few sentences."""
    winner = table.iloc[0]
    gain, low, high = winner["gain"], winner["gain_low"], winner["gain_high"]
    if low > 0:
        effect = f"gained {points(gain)} over the untuned recipe ({interval(low, high)})"
    elif high < 0:
        effect = f"lost {points(-gain)} against the untuned recipe ({interval(-high, -low)})"
    else:
        effect = (
            f"had no significant effect: {points(gain, sign=True)} against the untuned recipe "
            f"({interval(low, high)})"
        )
    return (
        f"The winner's accuracy was {percent(winner['search_accuracy'])} in the search and "
        f"{percent(winner['mean'])} on average over {winner['runs']:.0f} other seeds. "
        f"The difference of {points(winner['optimism'])} is the optimism of the search. "
        f"Tuning {effect}."
    )
