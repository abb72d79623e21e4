"""The command `fer-study tune`: parse the search space, run the search, write its tables."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.notebooks import metrics
from fer_utils.reports.trials import trials_page
from fer_utils.storage import atomic_file, expect_replaceable
from fer_utils.training.recipe import Recipe, recipe_from_dict
from fer_utils.tuning.chief import search_as_chief
from fer_utils.tuning.ledger import against_random, search_finding
from fer_utils.tuning.retraining import contenders, retrain, retrained_table, retraining_finding
from fer_utils.tuning.search import random_at_equal_compute, search
from fer_utils.tuning.spaces import CHOICES, RANGES, SearchSpace
from fer_utils.tuning.wire import PATIENCE

TABLES = (
    "ledger.csv",
    "trials.html",
    "best.json",
    "random.csv",
    "against_random.csv",
    "retrained.csv",
)
"""The files that a search may write."""


def parse_space(options: Sequence[str]) -> SearchSpace:
    """Parse options such as `width=0.25,0.5` and `learning_rate=1e-4..5e-3`.

    Raises:
        StudyError: an option has another form, or its name is unknown.
    """
    values: dict[str, Any] = {}
    names = (*CHOICES, *RANGES, "sgd_learning_rate")
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or name not in names:
            raise StudyError(
                f"--search: expected NAME=VALUES with one of {', '.join(names)}, found {option!r}."
            )
        if name in CHOICES:
            separator, form = ",", "values with commas between them"
        else:
            separator, form = "..", "LOWEST..HIGHEST"
        if name in ("schedule", "optimizer", "loss"):
            pattern = r"\w+"
        elif name == "depth":
            pattern = r"-?\d+"
        else:
            pattern = r"[-+.\de]+"
        parts = [part.strip() for part in text.split(separator)]
        if not all(re.fullmatch(pattern, part) for part in parts):
            raise StudyError(f"--search: {name}: expected {form}, found {text!r}.")
        values[name] = tuple(parts)
    return SearchSpace(**values)


def tune(
    space: SearchSpace,
    base: Recipe,
    faces: Faces,
    out: Path,
    *,
    oracle: str,
    trials: int,
    seed: int,
    store: Path,
    random: bool = False,
    seeds: Sequence[int] = (),
    chief: str | None = None,
    patience: float = PATIENCE,
) -> None:
    """Run a search, write its tables to the folder `out`, and print the results.

    The same call continues an interrupted search.

    Args:
        space: the search space.
        base: the recipe that is changed.
        faces: the faces; PrivateTest is not used.
        out: folder of the tables, the files of `write_ledger` and the optional ones below.
        oracle: as for `search`.
        trials: as for `search`.
        seed: as for `search`.
        store: folder of runs.
        random: also run a random search with as many epochs, and write random.csv (its ledger) and
            against_random.csv.
        seeds: also retrain the best recipes with these seeds, and write retrained.csv.
        chief: HOST:PORT. Workers then train the trials that this process chooses. The random search
            and the retraining still run in this process.
        patience: seconds without a message after which a worker is given up.
    """
    expect_place(out)
    faces = faces.without_private()
    options: dict[str, Any] = {"oracle": oracle, "trials": trials, "seed": seed}
    if chief:
        print(
            f"Chief at {chief}. Start workers with the same command, but with --worker HOST:PORT "
            "--id N instead of --chief."
        )
        options |= {"address": chief, "folder": out, "patience": patience}
        ledger = search_as_chief(space, base, faces, **options)
    else:
        ledger = search(space, base, faces, store=store, **options)
    write_ledger(ledger, space, base, out)
    if random:
        theirs = random_at_equal_compute(ledger, space, base, faces, seed=seed, store=store)
        metrics.write_table(out / "random.csv", theirs)
        compared = against_random(ledger, theirs)
        metrics.write_table(out / "against_random.csv", compared)
        print(search_finding(compared))
    if seeds:
        recipes = contenders(ledger, space, base)
        runs = retrain(recipes, faces, seeds, store, search_seed=seed)
        table = retrained_table(recipes, runs, faces)
        metrics.write_table(out / "retrained.csv", table)
        print(table.round(4).to_string(index=False))
        print(retraining_finding(table))


def expect_place(out: Path) -> None:
    """Raise a StudyError if `out` has files that a search's tables would overwrite.

    The tables of an earlier search may be overwritten. They are recognised by best.json, the
    recipe of the best trial.
    """

    def made(_file: Path) -> bool:
        try:
            recipe_from_dict(json.loads((out / "best.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, StudyError):
            return False
        return True

    for name in TABLES:
        expect_replaceable(out / name, "a search's table", made)


def write_ledger(ledger: pd.DataFrame, space: SearchSpace, base: Recipe, out: Path) -> None:
    """Write ledger.csv, trials.html and best.json, and print the best five trials.

    best.json is the recipe of the best trial.
    """
    metrics.write_table(out / "ledger.csv", ledger)
    with atomic_file(out / "trials.html") as target:
        target.write_text(trials_page(ledger, space.names), encoding="utf-8")
    best = space.apply(ledger.loc[0, list(space.names)].to_dict(), base)
    metrics.write(out / "best.json", best.to_dict())
    columns = ["trial", "status", "val_accuracy", *space.names, "epochs", "seconds"]
    print(ledger[columns].head().to_string(index=False))
    failed = (ledger["status"] == "failed").sum()
    print(f"{len(ledger)} trials, {failed} failed. All trials are in {out / 'ledger.csv'}.")
