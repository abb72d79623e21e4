"""The winner of a search, retrained: its search score chose it and its epoch, so it flatters."""

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
from fer_utils.training.fit import fit
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run
from fer_utils.tuning.spaces import SearchSpace

UNTUNED = "untuned"
LEAST_SEEDS = 3


class Contender(NamedTuple):
    """A recipe to retrain: "winner", "runner-up" or "untuned", and what the search said of it.

    `trial` and `search_accuracy` (of that trial on PublicTest) are NaN for the untuned recipe.
    """

    model: str
    recipe: Recipe
    trial: float
    search_accuracy: float


def contenders(ledger: pd.DataFrame, space: SearchSpace, base: Recipe) -> list[Contender]:
    """What to retrain, all at the epochs of `base`: the winner, the runner-up where there is one, and `base` itself.

    Args:
        ledger: a search's, best first.
        space: the one that was searched.
        base: the recipe that it was changed in.
    """
    found: list[Contender] = []
    for row in ledger[ledger["status"] == "completed"].to_dict("records"):
        recipe = space.changed({name: row[name] for name in space.names}, base)
        # Hyperband has the same values at several budgets: the runner-up is another recipe.
        if len(found) < 2 and all(recipe != other.recipe for other in found):
            found.append(
                Contender(
                    "runner-up" if found else "winner", recipe, row["trial"], row["val_accuracy"]
                )
            )
    return [*found, Contender(UNTUNED, base, math.nan, math.nan)]


def retrain(
    given: Sequence[Contender],
    faces: Faces,
    seeds: Sequence[int],
    store: Path,
    *,
    search_seed: int,
    progress: bool = True,
) -> list[list[Run]]:
    """Train each contender with each seed; finished runs are loaded, interrupted ones go on.

    Args:
        given: as `contenders` gives them.
        faces: with Training and PublicTest.
        seeds: at least three, and not the search's: under that one the winner was chosen.
        store: folder of runs.
        search_seed: the search's.
        progress: show a bar for each training.

    Returns:
        Their runs, a list for each contender.

    Raises:
        StudyError: there are fewer seeds, one is given twice, or the search's is among them; a training fails.
    """
    if len(set(seeds)) < LEAST_SEEDS or len(set(seeds)) < len(seeds) or search_seed in seeds:
        raise StudyError(
            f"retraining: expected {LEAST_SEEDS} seeds or more, each once and none of them the search's, "
            f"{search_seed}, found {', '.join(map(str, seeds)) or 'none'}."
        )
    return [
        [fit(each.recipe, faces, seed, store, progress=progress) for seed in seeds]
        for each in given
    ]


def retrained_table(
    given: Sequence[Contender], runs: Sequence[Sequence[Run]], faces: Faces, usage: str = PUBLIC
) -> pd.DataFrame:
    """Search scores beside what retraining gives.

    Args:
        given: as `contenders` gives them, the untuned one last.
        runs: as `retrain` gives them.
        faces: with that usage.
        usage: the split that the retrained runs are scored on. On PublicTest, where the search chose and each run
            keeps its best epoch, the means still flatter, the winner's and the runner-up's more than the untuned's.
            PrivateTest is for runs that `scoring.score` has scored there.

    Returns:
        A row for each: model, trial, search_accuracy (of that trial on PublicTest), runs, mean, deviation, minimum
        and maximum over the seeds, low and high (95 % interval of the mean, over images and seeds), optimism
        (search_accuracy minus mean), gain (mean minus the untuned's), gain_low and gain_high (95 %, paired by image).
    """
    part = faces.of(usage)
    correct = [
        np.stack([run.logits(part).argmax(axis=1) == part.emotion for run in each]) for each in runs
    ]
    rows = []
    for contender, ours in zip(given, correct, strict=True):
        summary, interval = seed_summary(ours.mean(axis=1)), bootstrap_interval(ours)
        row = {name: value for name, value in contender._asdict().items() if name != "recipe"}
        row |= {"runs": len(ours), **summary._asdict()} | dict(
            zip(("low", "high"), interval, strict=True)
        )
        row["optimism"] = contender.search_accuracy - summary.mean
        tuned = contender.model != UNTUNED
        row["gain"] = ours.mean() - correct[-1].mean() if tuned else math.nan
        low, high = paired_bootstrap(ours, correct[-1]) if tuned else (math.nan, math.nan)
        rows.append(row | {"gain_low": low, "gain_high": high})
    return pd.DataFrame(rows)


def retraining_finding(table: pd.DataFrame) -> str:
    """What `retrained_table` says of the winner, in two sentences."""
    winner = table.iloc[0]
    said = (
        "tuning gained that much"
        if winner["gain_low"] > 0
        else "tuning lost that much"
        if winner["gain_high"] < 0
        else "so no gain is shown"
    )
    return (
        f"The winner had {winner['search_accuracy']:.2%} in the search and has {winner['mean']:.2%} over "
        f"{winner['runs']} other seeds: {100 * winner['optimism']:+.2f} points of its score were the search's "
        f"optimism. It is {100 * winner['gain']:+.2f} points from the untuned recipe (95 % interval "
        f"{100 * winner['gain_low']:+.2f} to {100 * winner['gain_high']:+.2f}): {said}."
    )
