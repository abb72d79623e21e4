"""Costs of predictions, without and with TTA, and of trainings."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.emotions import SIDE
from fer_utils.evaluation.wording import points
from fer_utils.training.augmentation import tta_transforms
from fer_utils.training.recipe import Recipe

ROUNDS = 50


def answer_costs(recipes: Mapping[str, Recipe], rounds: int = ROUNDS) -> pd.DataFrame:
    """Measure the time of each network for one face on one thread.

    The networks alternate. With TTA, all transforms of a face are one batch. Snapshots multiply
    both costs.

    Args:
        recipes: by the network's name. The weights change no cost, so random ones are timed.
        rounds: number of timings; the first call is not counted. 0 times nothing.

    Returns:
        One row per network, and another one if its recipe has TTA: model, tta, answers (forward
        passes for a face), parameters, multiply_adds (for a face), milliseconds (the minimum of all
        rounds, because other work on the machine only adds to it; NaN without rounds).
    """
    from fer_utils.networks import build, parts
    from fer_utils.networks.costs import multiply_adds
    from fer_utils.recognition.recognizer import open_model
    from fer_utils.release.export import write_onnx

    rows, calls = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, recipe) in enumerate(recipes.items()):
            model, file = build(recipe.network, **recipe.options), Path(folder) / f"{number}.onnx"
            session = None
            if rounds:
                write_onnx(model, file)
                session = open_model(file, threads=1)
            for tta in recipe.kinds:
                seen = len(tta_transforms(recipe.tta, SIDE)) if tta and recipe.tta else 1
                answers = seen * (recipe.snapshots if tta else 1)
                row = {"model": name, "tta": recipe.tta_label if tta else "", "answers": answers}
                row |= {
                    "parameters": parts(model)[1].count_params(),
                    "multiply_adds": answers * multiply_adds(model),
                }
                rows.append(row)
                calls.append(
                    (session, np.zeros((seen, SIDE, SIDE, 1), np.float32), answers // seen)
                )
        if not rounds:
            return pd.DataFrame(rows).assign(milliseconds=np.nan)
        seconds = [[_seconds(*call) for call in calls] for _ in range(rounds + 1)][1:]
    return pd.DataFrame(rows).assign(
        milliseconds=[1000 * min(times) for times in zip(*seconds, strict=True)]
    )


def with_costs(
    table: pd.DataFrame, costs: pd.DataFrame, ensembles: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Join scores and costs.

    Args:
        table: as `results.summarise` returns it.
        costs: as `answer_costs` returns it, under the models' names.
        ensembles: the models of an ensemble's members by its name; their costs are added.

    Returns:
        The rows of `table` that have costs, with multiply_adds and milliseconds.
    """
    known = costs.set_index(["model", "tta"])[["multiply_adds", "milliseconds"]]
    of_model = known.groupby("model").max()  # with TTA if the model has it
    sums = {
        name: of_model.loc[list(members)].sum(min_count=1)  # NaN if nothing was timed
        for name, members in (ensembles or {}).items()
    }
    added = pd.DataFrame(sums).T
    single = table.join(known, on=["model", "tta"], how="inner")
    together = (
        table[table["model"].isin(added.index)].join(added, on="model") if len(added) else table[:0]
    )
    return pd.concat([single, together]).sort_index()


def tta_finding(table: pd.DataFrame) -> str:
    """Gain and cost of TTA for each model of a table of `with_costs`, as one sentence each."""
    plain, with_tta = (table[(table["tta"] != "") == tta] for tta in (False, True))
    both = with_tta.merge(plain, on="model", suffixes=("", "_plain"))
    if both.empty:
        return "No network here has test-time augmentation."
    sentences = []
    for row in both.to_dict("records"):
        gain = row["private_accuracy"] - row["private_accuracy_plain"]
        cost = "multiply_adds" if np.isnan(row["milliseconds"]) else "milliseconds"
        factor = row[cost] / row[f"{cost}_plain"]
        sentences.append(
            f"TTA changes the PrivateTest accuracy of {row['model']} by {points(gain, sign=True)}, "
            f"for {factor:.1f} times the {cost.replace('_', '-')}."
        )
    return " ".join(sentences)


def _seconds(session, pixels: np.ndarray, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        session.run(None, {"pixels": pixels})
    return time.perf_counter() - started
