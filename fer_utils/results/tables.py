"""Tables of results, computed from the saved logits of runs: own runs, published ones or
evidence."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

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
from fer_utils.results.ensembles import Ensemble
from fer_utils.training.runs import VOTES, RunInfo, logits_of

SPLITS = {"public": PUBLIC, "private": PRIVATE}


class _Seed(NamedTuple):
    """The runs of one model and seed: one, or one for each of its folds."""

    model: str
    seed: int
    runs: dict[Path, RunInfo]


def summarise(
    runs: Mapping[Path, RunInfo],
    faces: Faces,
    ensembles: Mapping[str, Ensemble] | None = None,
) -> pd.DataFrame:
    """Scores of each model over its seeds, without and with TTA, and of ensembles.

    A seed whose recipe has folds is the ensemble of its folds. The members of an ensemble use TTA
    if their recipes have it; its parameters, epochs and minutes are sums over its members. Epochs
    and minutes include those of the run whose weights a training started from.

    Args:
        runs: the record of each run, by the folder with its logits.
        faces: the faces that the logits belong to, with all three splits.
        ensembles: ensembles of the runs, by name.

    Returns:
        One row per model, another one if its recipe has TTA, and one per ensemble. Columns:
        model, parameters, epochs;
        data, which names FER+ votes if the model learned from them;
        seeds;
        tta: "", or the TTA and snapshots of the recipe;
        for `public`, `private` and `unleaked` each: `_accuracy` (mean over seeds), `_low` and
        `_high` (95 % bootstrap interval over images, and over seeds if there are several) and
        `_spread` (standard deviation between seeds);
        minutes (mean of a seed) and machine, if they are known.
        `unleaked` are the PrivateTest images without an exact duplicate in Training.

    Raises:
        StudyError: logits are missing, or runs of one model differ in their recipe.
    """
    models = [list(group) for _, group in groupby(_by_seed(runs), key=lambda each: each.model)]
    for group in models:
        _expect_one_recipe(group)
    data = "drawn faces" if faces.drawn else "FER-2013" if faces.canonical else faces.source
    unleaked = ~leaked(faces, PRIVATE)
    rows = []
    for group in models:
        infos = [list(each.runs.values()) for each in group]
        first = infos[0][0]
        for tta in first.recipe.kinds:
            logits = {name: _logits(group, faces.of(split), tta) for name, split in SPLITS.items()}
            row = {
                "model": group[0].model,
                "parameters": first.parameters,
                "epochs": sum(each.recipe.epochs for each in _lineage([first], runs)),
                "data": f"{data}, {VOTES}" if first.learned_from_votes else data,
                "seeds": _joined(each.seed for each in group),
                "tta": first.recipe.tta_label if tta else "",
            }
            trained = [_lineage(each, runs) for each in infos]
            rows.append(row | _all_scores(logits, faces, unleaked) | _effort(trained))
    for name, ensemble in (ensembles or {}).items():
        members = [runs[folder] for folder in ensemble.counts]
        logits = {
            key: ensemble.predict(runs, faces.of(split))[None] for key, split in SPLITS.items()
        }
        labels = {each.recipe.tta_label for each in members if ensemble.tta}
        row = {
            "model": f"{name} ({len(members)} network{'s' * (len(members) > 1)})",
            "parameters": sum(each.parameters for each in members),
            "epochs": sum(each.recipe.epochs for each in _lineage(members, runs)),
            "data": data,
            "seeds": _joined(sorted({each.seed for each in members})),
            "tta": _joined(sorted(labels - {""})),
        }
        rows.append(row | _all_scores(logits, faces, unleaked) | _effort([_lineage(members, runs)]))
    return pd.DataFrame(rows)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `summarise` for readers: per cent, as "mean ± spread (low–high)".

    Fractions are first rounded to six digits, as in the committed table, so that both show the same
    digits.
    """
    titles = {
        "public": "PublicTest, %",
        "private": "PrivateTest, %",
        "unleaked": "PrivateTest without leaks, %",
    }
    rows = []
    for row in table.round(6).to_dict("records"):
        tta = f", TTA ({row['tta']})" if row["tta"] else ""
        votes = f", distilled from {VOTES}" if row.get("data", "").endswith(VOTES) else ""
        cells = {
            "model": f"{row['model']}{votes}{tta}",
            "parameters": f"{row['parameters']:,}",
            "epochs": str(row["epochs"]),
            "seeds": str(row["seeds"]),
        }
        for split, title in titles.items():
            mean, low, high = (100 * row[f"{split}_{key}"] for key in ("accuracy", "low", "high"))
            spread = 100 * row[f"{split}_spread"]
            spread_text = "" if np.isnan(spread) else f" ± {spread:.2f}"
            scored = f"{mean:.2f}{spread_text} ({low:.1f}–{high:.1f})"
            cells[title] = "–" if np.isnan(mean) else scored
        rows.append(cells)
    return pd.DataFrame(rows)


def compare(runs: Mapping[Path, RunInfo], faces: Faces, model: str, other: str) -> pd.DataFrame:
    """Compare two models on PrivateTest: each seed that both have, then all their seeds.

    Args:
        runs: as in `summarise`.
        faces: the same.
        model: the name of a recipe.
        other: the name of another recipe.

    Returns:
        Columns tta, seeds, only_model, only_other, p, difference, low, high. only_model and
        only_other are the images that just one of the two classifies correctly, and p is that of
        the exact McNemar test on them (for one seed each). difference is the accuracy of model
        minus that of other, with its 95 % paired bootstrap interval. There are rows with TTA if
        both have it.

    Raises:
        StudyError: there is no run of one of them, or logits are missing.
    """
    seeds = _by_seed(runs)
    groups = {name: [each for each in seeds if each.model == name] for name in (model, other)}
    for name, group in groups.items():
        if not group:
            names = ", ".join(sorted({each.model for each in seeds}))
            raise StudyError(f"compare: expected runs of {name}, found {names}.")
    private = faces.of(PRIVATE)
    ours, theirs = groups.values()
    labels = [next(iter(group[0].runs.values())).recipe.tta_label for group in (ours, theirs)]
    rows = []
    for tta in (False, True) if all(labels) else (False,):
        a = {each.seed: row for each, row in zip(ours, _correct(ours, private, tta), strict=True)}
        b = {
            each.seed: row for each, row in zip(theirs, _correct(theirs, private, tta), strict=True)
        }
        paired = [seed for seed in a if seed in b]
        label = {"tta": labels[0] if tta else ""}
        for seed in paired:
            test = mcnemar(a[seed], b[seed])
            low, high = paired_bootstrap(a[seed], b[seed])
            found = {"only_model": test.only_a, "only_other": test.only_b, "p": test.p}
            found |= {"difference": test.difference, "low": low, "high": high}
            rows.append(label | {"seeds": str(seed)} | found)
        if len(a) + len(b) > 2 or not paired:
            one, another = np.stack(list(a.values())), np.stack(list(b.values()))
            low, high = paired_bootstrap(one, another)
            same = len(a) == len(b) and paired
            found = {"difference": one.mean() - another.mean(), "low": low, "high": high}
            all_seeds = f"all {len(a)}" if same else f"{len(a)} and {len(b)}"
            rows.append(label | {"seeds": all_seeds} | found)
    columns = ["tta", "seeds", "only_model", "only_other", "p", "difference", "low", "high"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _by_seed(runs: Mapping[Path, RunInfo]) -> list[_Seed]:
    """The runs of each model and seed, in the order in which the models first occur."""
    models = list(dict.fromkeys(info.recipe.name for info in runs.values()))

    def key(folder: Path) -> tuple[int, int]:
        return models.index(runs[folder].recipe.name), runs[folder].seed

    return [
        _Seed(models[model], seed, {folder: runs[folder] for folder in folders})
        for (model, seed), folders in groupby(sorted(runs, key=key), key=key)
    ]


def _lineage(infos: list[RunInfo], runs: Mapping[Path, RunInfo]) -> list[RunInfo]:
    """These runs, and those of `runs` that they started from, directly or not; each once."""
    by_name = {info.name: info for info in runs.values()}
    found: dict[str, RunInfo] = {}
    waiting = list(infos)
    while waiting:
        info = waiting.pop()
        if info.name not in found:
            found[info.name] = info
            first = info.recipe.initial_weights
            waiting += [by_name[first]] if first in by_name else []
    return list(found.values())


def _expect_one_recipe(group: list[_Seed]) -> None:
    recipes = [info.recipe.but(fold=0) for each in group for info in each.runs.values()]
    if any(recipe != recipes[0] for recipe in recipes):
        folders = ", ".join(sorted(str(folder) for each in group for folder in each.runs))
        raise StudyError(
            f"{group[0].model}: expected one recipe for all its seeds, found others in {folders}. "
            "Train one of them under another name (--set name=...), or all with the same recipe."
        )


def _logits(group: list[_Seed], part: Faces, tta: bool) -> np.ndarray:
    """The logits of each seed, float32 (seeds, n, 7)."""
    seeds = []
    for each in group:
        logits = [logits_of(folder, part, tta=tta) for folder in each.runs]
        # One member keeps its own logits: taking logarithms could make or break a tie.
        seeds.append(mean_prediction(logits) if len(logits) > 1 else logits[0])
    return np.stack(seeds)


def _correct(group: list[_Seed], part: Faces, tta: bool) -> np.ndarray:
    """The images that each seed classifies correctly, bool (seeds, n)."""
    return _logits(group, part, tta).argmax(axis=2) == part.emotion


def _all_scores(
    logits: Mapping[str, np.ndarray], faces: Faces, unleaked: np.ndarray
) -> dict[str, float]:
    """Scores on each split and on the unleaked images, from each split's logits (seeds, n, 7)."""
    correct = {}
    for name, split in SPLITS.items():
        correct[name] = logits[name].argmax(axis=2) == faces.of(split).emotion
    correct["unleaked"] = correct["private"][:, unleaked]
    scores: dict[str, float] = {}
    for name, each in correct.items():
        scores |= {f"{name}_{key}": value for key, value in _scores(each).items()}
    return scores


def _scores(correct: np.ndarray) -> dict[str, float]:
    """Accuracy, its interval and its spread, from bool (seeds, n); NaN if there is no image."""
    if not correct.size:
        return dict.fromkeys(("accuracy", "low", "high", "spread"), float("nan"))
    low, high = bootstrap_interval(correct)
    spread = seed_summary(correct.mean(axis=1)).deviation
    return {"accuracy": float(correct.mean()), "low": low, "high": high, "spread": spread}


def _effort(infos: list[list[RunInfo]]) -> dict:
    """Mean minutes of a seed, and machines, from the runs of each seed; empty if unknown."""
    seconds = [[info.seconds or 0.0 for info in each] for each in infos]
    if any(info.seconds is None for each in infos for info in each):
        return {}
    machines = {info.machine or "" for each in infos for info in each}
    return {
        "minutes": float(np.mean([sum(each) for each in seconds])) / 60,
        "machine": "; ".join(sorted(machines)),
    }


def _joined(values: Iterable) -> str:
    return ", ".join(map(str, values))
