"""What each ingredient of a recipe brings: the recipe without it, or with one more, all at one budget."""

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
from fer_utils.networks import options_of
from fer_utils.training.fit import fit
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import Run

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
    "dropout": {"dropout": 0.0},
    "stochastic depth": {"drop_path": 0.0},
    "mixup": {"mixup": 0.0},
    "CutMix": {"cutmix": 0.0},
    "sharpness-aware minimisation": {"sam": 0.0},
    "moving average of weights": {"ema": 0.0},
    "the L2-SVM's loss": {"loss": "cross_entropy"},
}
"""What leaves an ingredient out. Without the cosine schedule the learning rate stays; without SGD it is Adam, at a rate
that suits it."""

ADDED: dict[str, dict[str, Any]] = {
    "random resized crop": {"crop": 0.6},
    "stochastic depth": {"drop_path": 0.1},
    "mixup": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
    "sharpness-aware minimisation": {"sam": 0.05},
    "moving average of weights": {"ema": 0.999},
    "the L2-SVM's loss": {"loss": "squared_hinge", "label_smoothing": 0.0},
}
"""What adds one that the recipe does not have, at the strength that its authors use; but for the crop, whose authors'
least share of 8 % would leave a nose of a face that fills its image."""


def variants(base: Recipe) -> dict[str, Recipe]:
    """The recipe as it is ("all of it"), without each ingredient that it has, and with each that it has not.

    Changes that the rest of the recipe does not allow are passed over: the squared hinge mixes no images.

    Recipes are named after the base and the change, so that runs tell them apart.
    """
    known = {**dataclasses.asdict(base), **options_of(base.network), **base.options}
    found = {"all of it": base}
    for sign, word, ingredients in (("-", "without", LEFT_OUT), ("+", "with", ADDED)):
        for name, changes in ingredients.items():
            # The first change says whether it is there; the others go with it.
            field, absent = next(iter(LEFT_OUT[name].items()))
            if field in known and (known[field] != absent) == (sign == "-"):
                slug = re.sub(r"\W+", "-", name).lower()
                with contextlib.suppress(StudyError):  # what the rest of the recipe does not allow
                    found[f"{sign} {name}"] = base.but(name=f"{base.name}-{word}-{slug}", **changes)
    return found


def ablate(
    base: Recipe,
    faces: Faces,
    seeds: Sequence[int],
    store: Path,
    *,
    names: Sequence[str] = (),
    progress: bool = True,
) -> pd.DataFrame:
    """Train each variant with each seed, or load it, and score it on PublicTest.

    Seeds go round the variants in turn, so that an ablation that is interrupted has whole rounds.

    Args:
        base: the recipe; its epochs are the budget of each variant.
        faces: Training and PublicTest; never PrivateTest.
        seeds: of each variant.
        store: folder of runs, as `training.fit` takes it: finished runs are loaded, interrupted ones go on.
        names: which variants beside the base, of `variants`; none stands for all.
        progress: show a bar for each training.

    Returns:
        One row a variant: variant, seeds (how many), accuracy (mean), spread (standard deviation between seeds), low,
        high (95 % bootstrap interval over images and seeds), difference from the base in accuracy, difference_low,
        difference_high (95 % paired bootstrap), minutes (mean of a run). The base comes first, then by difference.

    Raises:
        StudyError: the faces hold PrivateTest, there is no seed, or a name is unknown.
    """
    if PRIVATE in faces.usage:
        raise StudyError(
            "ablate: expected faces without PrivateTest, found some with it. Choices are made on PublicTest: pass "
            "faces.without_private()."
        )
    if not seeds:
        raise StudyError("seeds: expected one or more, found none.")
    every = variants(base)
    first = next(iter(every))
    if unknown := sorted(set(names) - set(every)):
        raise StudyError(f"variants: expected of {', '.join(every)}, found {', '.join(unknown)}.")
    chosen = {
        name: recipe for name, recipe in every.items() if not names or name in (first, *names)
    }
    runs: dict[str, list[Run]] = {name: [] for name in chosen}
    for seed in seeds:
        for name, recipe in chosen.items():
            runs[name].append(fit(recipe, faces, seed, store, progress=progress))
    public = faces.of(PUBLIC)
    correct = {
        name: np.stack([run.logits(public).argmax(axis=1) == public.emotion for run in each])
        for name, each in runs.items()
    }
    rows: list[dict] = []
    for name, answers in correct.items():
        low, high = bootstrap_interval(answers)
        summary = seed_summary(answers.mean(axis=1))
        difference_low, difference_high = (
            (0.0, 0.0) if name == first else paired_bootstrap(answers, correct[first])
        )
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
                "minutes": sum(run.info.seconds for run in runs[name]) / len(seeds) / 60,
            }
        )
    table = pd.DataFrame(rows)
    return pd.concat(
        [table[:1], table[1:].sort_values("difference", kind="stable")], ignore_index=True
    )


def ablation_finding(table: pd.DataFrame) -> str:
    """What a table of `ablate` says, in one sentence or two."""
    rows = table[1:]
    apart = rows[(rows["difference_low"] > 0) | (rows["difference_high"] < 0)]
    seeds = f"{table['seeds'][0]} seed{'s' if table['seeds'][0] > 1 else ''} each"
    if apart.empty:
        return f"None of the {len(rows)} changes tried is told from chance ({seeds}, PublicTest)."
    most = apart.loc[apart["difference"].abs().idxmax()]
    what = f"{'leaving out' if most['variant'][0] == '-' else 'adding'} {most['variant'][2:]}"
    return (
        f"{len(apart)} of {len(rows)} changes {'is' if len(apart) == 1 else 'are'} told from chance ({seeds}, "
        f"PublicTest), most of all {what}: {100 * most['difference']:+.1f} points "
        f"({100 * most['difference_low']:+.1f} to {100 * most['difference_high']:+.1f}). Of {len(rows)} changes that "
        f"do nothing {0.05 * len(rows):.1f} would be, on average."
    )
