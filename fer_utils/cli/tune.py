"""What `fer-study tune` does: a search from words on the command line, and the files that it leaves."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.notebooks import metrics
from fer_utils.storage import atomic_file, expect_replaceable
from fer_utils.training.recipe import Recipe, recipe_from_dict
from fer_utils.tuning.chief import search_as_chief
from fer_utils.tuning.ledger import against_random, search_finding
from fer_utils.reports.trials import trials_page
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
"""The files that a search may leave."""


def parse_space(given: Sequence[str]) -> SearchSpace:
    """A space from words such as `width=0.25,0.5` and `learning_rate=1e-4..5e-3`.

    Raises:
        StudyError: one is not of that form, or names no hyperparameter.
    """
    values: dict[str, Any] = {}
    for word in given:
        name, equals, text = word.partition("=")
        known = (*CHOICES, *RANGES, "sgd_learning_rate")
        if not equals or name not in known:
            raise StudyError(
                f"--search: expected NAME=VALUES with one of {', '.join(known)}, found {word!r}."
            )
        separator = "," if name in CHOICES else ".."
        form = "values with commas between them" if name in CHOICES else "LOWEST..HIGHEST"
        parts = [part.strip() for part in text.split(separator)]
        number = r"-?\d+" if name == "depth" else r"[-+.\de]+"
        if name in ("schedule", "optimizer", "loss"):
            number = r"\w+"
        if not all(re.fullmatch(number, part) for part in parts):
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
    """Search, and leave the search's tables in the folder `out`. Prints what was found.

    These are what `write_ledger` writes, and of what was asked for random.csv (a random search's ledger at equal
    compute), against_random.csv and retrained.csv.

    The same call goes on with a search that was interrupted. With the address `chief`, workers train the trials, and
    this one chooses them; what is asked for besides is trained here.
    """
    expect_place(out)
    faces = faces.without_private()
    given: dict[str, Any] = {"seed": seed, "store": store}
    if chief:
        print(
            f"Chief at {chief}. Start workers with the same command and --worker HOST:PORT --id N instead of --chief."
        )
        options: dict[str, Any] = {"address": chief, "folder": out, "patience": patience}
        ledger = search_as_chief(
            space, base, faces, oracle=oracle, trials=trials, seed=seed, **options
        )
    else:
        ledger = search(space, base, faces, oracle=oracle, trials=trials, **given)
    write_ledger(ledger, space, base, out)
    if random:
        theirs = random_at_equal_compute(ledger, space, base, faces, **given)
        metrics.write_table(out / "random.csv", theirs)
        compared = against_random(ledger, theirs)
        metrics.write_table(out / "against_random.csv", compared)
        print(search_finding(compared))
    if seeds:
        found = contenders(ledger, space, base)
        table = retrained_table(found, retrain(found, faces, seeds, store, search_seed=seed), faces)
        metrics.write_table(out / "retrained.csv", table)
        print(table.round(4).to_string(index=False))
        print(retraining_finding(table))


def expect_place(out: Path) -> None:
    """Raise StudyError where the folder `out` has files that the search's tables would replace.

    An earlier search's own may be replaced: they come with the best trial's recipe.
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
    """Write ledger.csv, trials.html and best.json (the best trial's recipe) to `out`, and print the best five."""
    metrics.write_table(out / "ledger.csv", ledger)
    with atomic_file(out / "trials.html") as target:
        target.write_text(trials_page(ledger, space.names), encoding="utf-8")
    best = space.changed(ledger.loc[0, list(space.names)].to_dict(), base)
    metrics.write(out / "best.json", best.to_dict())
    shown = ["trial", "status", "val_accuracy", *space.names, "epochs", "seconds"]
    print(ledger[shown].head().to_string(index=False))
    print(
        f"{len(ledger)} trials, {(ledger['status'] == 'failed').sum()} failed; all of them: {out / 'ledger.csv'}"
    )
