"""Ablation: a recipe without each of its components, and with one more, all with one budget."""

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import bootstrap_interval, paired_bootstrap, seed_summary
from fer_utils.evaluation.wording import interval, points
from fer_utils.networks import options_of
from fer_utils.training.fit_many import fit_many
from fer_utils.training.recipe import Recipe

LEFT_OUT: dict[str, dict[str, Any]] = {
    "mirroring": {"flip": False},
    "turning, shifting, scaling": {"rotation": 0.0, "translation": 0.0, "zoom": 0.0},
    "random resized crop": {"crop": 0.0},
    "erasing": {"erase": 0.0},
    "label smoothing": {"label_smoothing": 0.0},
    "weight decay": {"weight_decay": 0.0},
    "warm-up": {"warmup": 0.0},
    "cosine schedule": {"schedule": "plateau", "warmup": 0.0, "plateau_patience": 0},
    "SGD": {"optimizer": "adam", "learning_rate": 1e-3},
    "Muon": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-3},
    "dropout": {"dropout": 0.0},
    "stochastic depth": {"drop_path": 0.0},
    "mixup": {"mixup": 0.0},
    "CutMix": {"cutmix": 0.0},
    "sharpness-aware minimisation": {"sam": 0.0},
    "moving average of weights": {"ema": 0.0},
    "the L2-SVM's loss": {"loss": "cross_entropy"},
}
"""The changes that leave a component out.

The first change of each is the component's own field. Without the cosine schedule the learning rate
is constant. SGD is replaced by Adam, and Muon by SGD, with a learning rate that suits it. The
components' names are also in params.yaml, in the evidence and in the names of runs."""

_OPTIMIZERS = {"SGD": "sgd", "Muon": "muon"}

ADDED: dict[str, dict[str, Any]] = {
    "random resized crop": {"crop": 0.6},
    "stochastic depth": {"drop_path": 0.1},
    "mixup": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
    "sharpness-aware minimisation": {"sam": 0.05},
    "moving average of weights": {"ema": 0.999},
    "the L2-SVM's loss": {"loss": "squared_hinge", "label_smoothing": 0.0},
    "Muon": {"optimizer": "muon", "learning_rate": 0.03, "weight_decay": 0.02},
}
"""The changes that add a component which the recipe lacks, at the strength used by its authors.

The crop is an exception: its authors' smallest share of 8 % would leave only a nose, because faces
fill their images."""


def variants(base: Recipe) -> dict[str, Recipe]:
    """The recipe itself ("all of it"), without each component it has, and with each it lacks.

    Changes that the rest of the recipe does not allow are left out. For example, the squared hinge
    does not allow mixup. A variant's recipe is named after the base and the change, which keeps
    the runs of variants apart.
    """
    present = {**dataclasses.asdict(base), **options_of(base.network), **base.options}
    recipes = {"all of it": base}
    for sign, word, components in (("-", "without", LEFT_OUT), ("+", "with", ADDED)):
        for name, changes in components.items():
            field, absent = next(iter(LEFT_OUT[name].items()))
            has_component = field in present and present[field] != absent
            if name in _OPTIMIZERS:
                has_component = base.optimizer == _OPTIMIZERS[name]
            if field not in present or has_component != (sign == "-"):
                continue
            slug = re.sub(r"\W+", "-", name).lower()
            # A StudyError here means that the rest of the recipe does not allow the change.
            with contextlib.suppress(StudyError):
                recipes[f"{sign} {name}"] = base.but(name=f"{base.name}-{word}-{slug}", **changes)
    return recipes


def ablate(
    base: Recipe,
    faces: Faces,
    seeds: Sequence[int],
    store: Path,
    *,
    names: Sequence[str] = (),
    progress: bool = True,
) -> pd.DataFrame:
    """Train each variant with each seed, and score it on PublicTest.

    The trainings start seed by seed, so an interrupted ablation has complete rounds. Finished runs
    are loaded, and interrupted ones are continued.

    Args:
        base: the recipe; its epochs are the budget of each variant.
        faces: with Training and PublicTest, without PrivateTest.
        seeds: seeds of each variant.
        store: folder of runs.
        names: names of `variants` to train besides the base; none stands for all.
        progress: show a progress bar.

    Returns:
        One row per variant: variant; seeds (their number); accuracy (mean); spread (standard
        deviation over seeds); low, high (95 % bootstrap interval over images and seeds);
        difference (accuracy minus that of the base); difference_low, difference_high (95 % paired
        bootstrap interval); minutes (mean of a run). The base is the first row; the others are
        sorted by difference.

    Raises:
        StudyError: the faces contain PrivateTest, there is no seed, or a name is unknown.
    """
    if PRIVATE in faces.usage:
        raise StudyError(
            "ablate: expected faces without PrivateTest, found some of it. Choices are made on "
            "PublicTest. Pass faces.without_private()."
        )
    if not seeds:
        raise StudyError("seeds: expected one or more, found none.")
    recipes = variants(base)
    first = next(iter(recipes))
    if unknown := sorted(set(names) - set(recipes)):
        raise StudyError(
            f"variants: expected names among {', '.join(recipes)}, found {', '.join(unknown)}."
        )
    if names:
        recipes = {name: each for name, each in recipes.items() if name in (first, *names)}
    trainings = [(recipe, seed) for seed in seeds for recipe in recipes.values()]
    in_rounds = fit_many(trainings, faces, store, progress=progress)
    runs = {name: in_rounds[i :: len(recipes)] for i, name in enumerate(recipes)}
    public = faces.of(PUBLIC)
    correct = {}
    for name, of_variant in runs.items():
        predicted = np.stack([run.logits(public).argmax(axis=1) for run in of_variant])
        correct[name] = predicted == public.emotion
    rows: list[dict] = []
    for name, of_variant in correct.items():
        low, high = bootstrap_interval(of_variant)
        summary = seed_summary(of_variant.mean(axis=1))
        difference_low, difference_high = 0.0, 0.0
        if name != first:
            difference_low, difference_high = paired_bootstrap(of_variant, correct[first])
        rows.append(
            {
                "variant": name,
                "seeds": len(seeds),
                "accuracy": summary.mean,
                "spread": summary.deviation,
                "low": low,
                "high": high,
                "difference": summary.mean - rows[0]["accuracy"] if rows else 0.0,
                "difference_low": difference_low,
                "difference_high": difference_high,
                "minutes": sum(run.info.seconds or 0.0 for run in runs[name]) / len(seeds) / 60,
            }
        )
    table = pd.DataFrame(rows)
    return pd.concat(
        [table[:1], table[1:].sort_values("difference", kind="stable")], ignore_index=True
    )


def ablation_finding(table: pd.DataFrame) -> str:
    """State in one to three sentences which changes of a table of `ablate` are significant."""
    rows = table[1:]
    significant = rows[(rows["difference_low"] > 0) | (rows["difference_high"] < 0)]
    seeds = f"{table['seeds'][0]} seed{'s' if table['seeds'][0] > 1 else ''} each"
    if significant.empty:
        return (
            f"None of the {len(rows)} changes makes a statistically significant difference on "
            f"PublicTest ({seeds})."
        )
    largest = significant.loc[significant["difference"].abs().idxmax()]
    verb = "leaving out" if largest["variant"][0] == "-" else "adding"
    return (
        f"{len(significant)} of {len(rows)} changes {'makes' if len(significant) == 1 else 'make'} "
        f"a statistically significant difference on PublicTest ({seeds}). The largest is {verb} "
        f"{largest['variant'][2:]}: {points(largest['difference'], sign=True)} "
        f"({interval(largest['difference_low'], largest['difference_high'])}). If "
        f"no change had an effect, {0.05 * len(rows):.1f} would be expected by chance."
    )
