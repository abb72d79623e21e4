"""Tables of results, computed from the saved logits of runs: this machine's, published copies, or the evidence."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.audits.duplicates import leaked
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import (
    bootstrap_interval,
    mcnemar,
    mean_prediction,
    paired_bootstrap,
    seed_summary,
)
from fer_utils.results.ensembles import answer, member_logits
from fer_utils.training.recipe import recipe_from_dict
from fer_utils.training.runs import VOTES, learned_from_votes, logits_of

SPLITS = {"public": PUBLIC, "private": PRIVATE}


def summarise(
    abouts: Mapping[Path, dict],
    faces: Faces,
    ensembles: Mapping[str, Mapping[Path, int]] | None = None,
) -> pd.DataFrame:
    """One row a model, its seeds averaged, one more with test-time averaging where its recipe has that, and ensembles.

    A seed whose recipe has folds is the ensemble of its folds. Columns: model, parameters, data, epochs, seeds,
    averaging ("" or the recipe's views and snapshots); for `public` and `private` each `_accuracy` (mean over seeds),
    `_low` and `_high` (95 % bootstrap interval over images, and over seeds where there are several) and `_spread`
    (standard deviation between seeds); the same as `unleaked`, on the PrivateTest images that
    have no pixel-identical copy in Training; minutes (mean of a seed) and machine, where they are known.

    Runs that learned from FER+'s votes say so in `data`: they are another track.

    An ensemble's members answer with their test-time averages, where they have them; its parameters, epochs and
    minutes are those of all members together.

    Args:
        abouts: what is known about each run (recipe, seed, parameters and so on), by the folder with its logits.
        faces: those the logits are of, with all three usages.
        ensembles: by name, how often each of the runs counts.

    Raises:
        StudyError: logits are missing, or runs of one model differ in their recipe.
    """
    seeds = _by_seed(abouts)
    for model, its_seeds in groupby(seeds, key=lambda each: each[0]):
        # Through Recipe: what an older run does not name has its default.
        recipes = [
            recipe_from_dict(about["recipe"]).but(fold=0)
            for _, _, members in its_seeds
            for about in members.values()
        ]
        if any(recipe != recipes[0] for recipe in recipes):
            raise StudyError(
                f"{model}: expected one recipe for all its seeds, found others in "
                f"{', '.join(sorted(str(folder) for folder in abouts if abouts[folder]['recipe']['name'] == model))}."
                " Train one of them under another name (--set name=...), or all by the same recipe."
            )
    rows, clean = [], ~leaked(faces, PRIVATE)
    data = "drawn faces" if faces.drawn else "FER-2013" if faces.canonical else faces.source
    for model, its_seeds in groupby(seeds, key=lambda each: each[0]):
        group = list(its_seeds)
        runs = [list(members.values()) for _, _, members in group]
        recipe = recipe_from_dict(runs[0][0]["recipe"])
        for tta in recipe.kinds:
            row = {"model": model, "parameters": runs[0][0]["parameters"], "epochs": recipe.epochs}
            row["data"] = f"{data}, {VOTES}" if learned_from_votes(runs[0][0]) else data
            row |= {
                "seeds": _listed(seed for _, seed, _ in group),
                "tta": recipe.tta_label if tta else "",
            }
            logits = {
                split: _logits(group, faces.of(usage), tta) for split, usage in SPLITS.items()
            }
            rows.append(row | _all_scores(logits, faces, clean) | _effort(runs))
    for name, counts in (ensembles or {}).items():
        used = {folder: abouts[folder] for folder in counts}
        members, recipes = (
            list(used.values()),
            [recipe_from_dict(about["recipe"]) for about in used.values()],
        )
        row = {
            "model": f"{name} ({len(members)} network{'s' * (len(members) > 1)})",
            "parameters": sum(each["parameters"] for each in members),
        }
        row |= {"data": data, "epochs": sum(recipe.epochs for recipe in recipes)}
        row["seeds"] = _listed(sorted({each["seed"] for each in members}))
        row["tta"] = _listed(sorted({recipe.tta_label for recipe in recipes if recipe.tta_label}))
        logits = {
            split: answer(counts, member_logits(used, faces.of(usage)))[None]
            for split, usage in SPLITS.items()
        }
        rows.append(row | _all_scores(logits, faces, clean) | _effort([members]))
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `summarise`, in words: what people read, in per cent, "mean ± spread (low–high)"."""
    rows = []
    for row in table.to_dict("records"):
        tta = f", TTA ({row['tta']})" if row["tta"] else ""
        votes = f", taught by {VOTES}" if row.get("data", "").endswith(VOTES) else ""
        cells = {
            "model": f"{row['model']}{votes}{tta}",
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
            said = (
                f"{mean:.2f}{'' if np.isnan(spread) else f' ± {spread:.2f}'} ({low:.1f}–{high:.1f})"
            )
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
            raise StudyError(
                f"compare: expected runs of {name}, found {', '.join(sorted({s[0] for s in seeds}))}."
            )
    private = faces.of(PRIVATE)
    labels = [
        recipe_from_dict(next(iter(group[0][2].values()))["recipe"]).tta_label
        for group in groups.values()
    ]
    rows = []
    for with_tta in (False, True) if all(labels) else (False,):
        a, b = (_correct(group, private, with_tta) for group in groups.values())
        numbers = [[seed for _, seed, _ in group] for group in groups.values()]
        pairs = [
            (seed, a[numbers[0].index(seed)], b[numbers[1].index(seed)])
            for seed in numbers[0]
            if seed in numbers[1]
        ]
        for seed, one, another in pairs:
            test = mcnemar(one, another)
            low, high = paired_bootstrap(one, another)
            found = {"only_model": test.only_a, "only_other": test.only_b, "p": test.p}
            rows.append(
                {
                    "seeds": str(seed),
                    **found,
                    "difference": test.difference,
                    "low": low,
                    "high": high,
                }
            )
        if len(a) + len(b) > 2 or not pairs:
            low, high = paired_bootstrap(a, b)
            every = f"{len(a)} and {len(b)}" if len(a) != len(b) or not pairs else f"all {len(a)}"
            rows.append(
                {"seeds": every, "difference": a.mean() - b.mean(), "low": low, "high": high}
            )
        for row in rows:
            row.setdefault("tta", labels[0] if with_tta else "")
    columns = ["tta", "seeds", "only_model", "only_other", "p", "difference", "low", "high"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _by_seed(abouts: Mapping[Path, dict]) -> list[tuple[str, int, dict[Path, dict]]]:
    """Model, seed, and the runs of each, in the order in which the models come."""
    models = list(dict.fromkeys(about["recipe"]["name"] for about in abouts.values()))

    def key(folder: Path) -> tuple[int, int]:
        return models.index(abouts[folder]["recipe"]["name"]), abouts[folder]["seed"]

    return [
        (models[model], seed, {folder: abouts[folder] for folder in folders})
        for (model, seed), folders in groupby(sorted(abouts, key=key), key=key)
    ]


def _logits(group: list[tuple[str, int, dict[Path, dict]]], part: Faces, tta: bool) -> np.ndarray:
    """What each seed answers, float32 (seeds, n, 7)."""
    seeds = []
    for _, _, members in group:
        logits = [logits_of(folder, part, tta=tta) for folder in members]
        # One member's own logits: taking logarithms could make or break a tie.
        seeds.append(mean_prediction(logits) if len(logits) > 1 else logits[0])
    return np.stack(seeds)


def _correct(group: list[tuple[str, int, dict[Path, dict]]], part: Faces, tta: bool) -> np.ndarray:
    """Whether each seed's answer is right, bool (seeds, n)."""
    return _logits(group, part, tta).argmax(axis=2) == part.emotion


def _all_scores(
    logits: Mapping[str, np.ndarray], faces: Faces, clean: np.ndarray
) -> dict[str, float]:
    """The scores on each split, and on the `clean` part of PrivateTest, from each split's logits (seeds, n, 7)."""
    correct = {
        split: logits[split].argmax(axis=2) == faces.of(usage).emotion
        for split, usage in SPLITS.items()
    }
    correct["unleaked"] = correct["private"][:, clean]
    return {
        f"{split}_{key}": value
        for split, each in correct.items()
        for key, value in _scores(each).items()
    }


def _scores(correct: np.ndarray) -> dict[str, float]:
    """Accuracy, its interval and its spread, of bool (seeds, n); without an image, not a number."""
    if not correct.size:
        return dict.fromkeys(("accuracy", "low", "high", "spread"), float("nan"))
    low, high = bootstrap_interval(correct)
    spread = seed_summary(correct.mean(axis=1)).deviation
    return {"accuracy": float(correct.mean()), "low": low, "high": high, "spread": spread}


def _effort(runs: list[list[dict]]) -> dict:
    """Minutes, mean over seeds, and machines, of the runs of each seed; nothing where they are not known."""
    if not all("seconds" in about for each in runs for about in each):
        return {}
    minutes = float(np.mean([sum(about["seconds"] for about in each) for each in runs])) / 60
    return {
        "minutes": minutes,
        "machine": "; ".join(sorted({about["machine"] for each in runs for about in each})),
    }


def _listed(values: Iterable) -> str:
    return ", ".join(map(str, values))
