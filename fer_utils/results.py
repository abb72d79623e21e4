"""Tables of results, computed from the saved logits of runs: this machine's, published copies, or the evidence."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.audits.copies import leaked
from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import averaged, bootstrap_interval, mcnemar, paired_bootstrap, seed_summary
from fer_utils.faces import Faces
from fer_utils.recipes import recipe_from_dict
from fer_utils.runs import logits_of

SPLITS = {"public": PUBLIC, "private": PRIVATE}


def summarise(abouts: Mapping[Path, dict], faces: Faces) -> pd.DataFrame:
    """One row a model, its seeds averaged, and one more with test-time averaging where its recipe has that.

    A seed whose recipe has folds is the ensemble of its folds. Columns: model, parameters, data, epochs, seeds,
    averaging ("" or the recipe's views and snapshots); for `public` and `private` each `_accuracy` (mean over seeds),
    `_low` and `_high` (95 % bootstrap interval over images, and over seeds where there are several) and `_spread`
    (standard deviation between seeds); the same as `unleaked`, on the PrivateTest images that
    have no pixel-identical copy in Training; minutes (mean of a seed) and machine, where they are known.

    Args:
        abouts: what is known about each run (recipe, seed, parameters and so on), by the folder with its logits.
        faces: those the logits are of, with all three usages.

    Raises:
        StudyError: logits are missing, or runs of one model differ in their recipe.
    """
    seeds = _by_seed(abouts)
    for model, group in groupby(seeds, key=lambda each: each[0]):
        # Through Recipe: what an older run does not name has its default.
        recipes = [
            recipe_from_dict(about["recipe"]).but(fold=0) for _, _, members in group for about in members.values()
        ]
        if any(recipe != recipes[0] for recipe in recipes):
            raise StudyError(
                f"{model}: expected one recipe for all its seeds, found others in "
                f"{', '.join(sorted(str(folder) for folder in abouts if abouts[folder]['recipe']['name'] == model))}."
                " Train one of them under another name (--set name=...), or all by the same recipe."
            )
    rows = []
    clean = ~leaked(faces, PRIVATE)
    for model, group in groupby(seeds, key=lambda each: each[0]):
        group = list(group)
        first = next(iter(group[0][2].values()))
        recipe = recipe_from_dict(first["recipe"])
        for averages in recipe.kinds:
            row = {
                "model": model,
                "parameters": first["parameters"],
                "data": "drawn faces" if faces.drawn else "FER-2013" if faces.canonical else faces.source,
                "epochs": first["recipe"]["epochs"],
                "seeds": ", ".join(str(seed) for _, seed, _ in group),
                "averaging": recipe.averaging if averages else "",
            }
            right = {split: _right(group, faces.of(usage), averages) for split, usage in SPLITS.items()}
            for split, each in (*right.items(), ("unleaked", right["private"][:, clean])):
                row |= {f"{split}_{key}": value for key, value in _scores(each).items()}
            known = [[about for about in members.values() if "seconds" in about] for _, _, members in group]
            if all(known):
                row["minutes"] = float(np.mean([sum(about["seconds"] for about in each) for each in known])) / 60
                row["machine"] = "; ".join(sorted({about["machine"] for each in known for about in each}))
            rows.append(row)
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `summarise`, in words: what people read, in per cent, "mean ± spread (low–high)"."""
    rows = []
    for row in table.to_dict("records"):
        averaging = f", averaged ({row['averaging']})" if row["averaging"] else ""
        cells = {
            "model": f"{row['model']}{averaging}",
            "parameters": f"{row['parameters']:,}",
            "epochs": str(row["epochs"]),
            "seeds": str(row["seeds"]),
        }
        for split, title in (
            ("public", "PublicTest, %"),
            ("private", "PrivateTest, %"),
            ("unleaked", "PrivateTest without leaks, %"),
        ):
            mean, low, high = (100 * row[f"{split}_{key}"] for key in ("accuracy", "low", "high"))
            spread = 100 * row[f"{split}_spread"]
            said = f"{mean:.2f}{'' if np.isnan(spread) else f' ± {spread:.2f}'} ({low:.1f}–{high:.1f})"
            cells[title] = "–" if np.isnan(mean) else said
        rows.append(cells)
    return pd.DataFrame(rows)


def compare(abouts: Mapping[Path, dict], faces: Faces, model: str, other: str) -> pd.DataFrame:
    """Two models on PrivateTest, seed by seed as far as both have it, then all their seeds.

    Columns: averaging, seeds; only_model and only_other, the images that just one has right, and p, McNemar's exact
    test on these (for one seed each); difference in accuracy, model less other, with its 95 % paired bootstrap
    interval, low and high. Without and with test-time averaging, where both have that.

    Args:
        abouts: as `summarise` takes them.
        faces: the same.
        model: a recipe's name.
        other: another's.

    Raises:
        StudyError: there is no run of one of them, or logits are missing.
    """
    seeds = _by_seed(abouts)
    groups = {name: [each for each in seeds if each[0] == name] for name in (model, other)}
    for name, group in groups.items():
        if not group:
            raise StudyError(f"compare: expected runs of {name}, found {', '.join(sorted({s[0] for s in seeds}))}.")
    private = faces.of(PRIVATE)
    averaging = [recipe_from_dict(next(iter(group[0][2].values()))["recipe"]).averaging for group in groups.values()]
    rows = []
    for averages in (False, True) if all(averaging) else (False,):
        a, b = (_right(group, private, averages) for group in groups.values())
        numbers = [[seed for _, seed, _ in group] for group in groups.values()]
        pairs = [
            (seed, a[numbers[0].index(seed)], b[numbers[1].index(seed)]) for seed in numbers[0] if seed in numbers[1]
        ]
        for seed, one, another in pairs:
            test = mcnemar(one, another)
            low, high = paired_bootstrap(one, another)
            found = {"only_model": test.only_a, "only_other": test.only_b, "p": test.p}
            rows.append({"seeds": str(seed), **found, "difference": test.difference, "low": low, "high": high})
        if len(a) + len(b) > 2 or not pairs:
            low, high = paired_bootstrap(a, b)
            every = f"{len(a)} and {len(b)}" if len(a) != len(b) or not pairs else f"all {len(a)}"
            rows.append({"seeds": every, "difference": a.mean() - b.mean(), "low": low, "high": high})
        for row in rows:
            row.setdefault("averaging", averaging[0] if averages else "")
    columns = ["averaging", "seeds", "only_model", "only_other", "p", "difference", "low", "high"]
    return pd.DataFrame(rows).reindex(columns=columns)


def logits_by_model(abouts: Mapping[Path, dict], part: Faces, averages: bool = False) -> dict[str, np.ndarray]:
    """Logits of every model on the faces given, float32 (seeds, n, 7), by its name, seeds in ascending order.

    A seed whose recipe has folds has its folds' averaged answer.

    Args:
        abouts: as `summarise` takes them.
        part: PublicTest or PrivateTest, or some of these.
        averages: the test-time averages, of recipes that have them.

    Raises:
        StudyError: logits are missing.
    """
    found = {}
    for model, group in groupby(_by_seed(abouts), key=lambda each: each[0]):
        group = list(group)
        recipe = recipe_from_dict(next(iter(group[0][2].values()))["recipe"])
        found[model] = _logits(group, part, averages and bool(recipe.averaging))
    return found


def _by_seed(abouts: Mapping[Path, dict]) -> list[tuple[str, int, dict[Path, dict]]]:
    """Model, seed, and the runs of each, in the order in which the models come."""
    models = list(dict.fromkeys(about["recipe"]["name"] for about in abouts.values()))

    def key(folder: Path) -> tuple[int, int]:
        return models.index(abouts[folder]["recipe"]["name"]), abouts[folder]["seed"]

    return [
        (models[model], seed, {folder: abouts[folder] for folder in folders})
        for (model, seed), folders in groupby(sorted(abouts, key=key), key=key)
    ]


def _logits(group: list[tuple[str, int, dict[Path, dict]]], part: Faces, averages: bool) -> np.ndarray:
    """What each seed answers, float32 (seeds, n, 7)."""
    seeds = []
    for _, _, members in group:
        logits = [logits_of(folder, part, averaged=averages) for folder in members]
        # One member's own logits: taking logarithms could make or break a tie.
        seeds.append(averaged(logits) if len(logits) > 1 else logits[0])
    return np.stack(seeds)


def _right(group: list[tuple[str, int, dict[Path, dict]]], part: Faces, averages: bool) -> np.ndarray:
    """Whether each seed's answer is right, bool (seeds, n)."""
    return _logits(group, part, averages).argmax(axis=2) == part.emotion


def _scores(right: np.ndarray) -> dict[str, float]:
    """Accuracy, its interval and its spread, of bool (seeds, n); without an image, not a number."""
    if not right.size:
        return dict.fromkeys(("accuracy", "low", "high", "spread"), float("nan"))
    low, high = bootstrap_interval(right)
    spread = seed_summary(right.mean(axis=1)).deviation
    return {"accuracy": float(right.mean()), "low": low, "high": high, "spread": spread}
