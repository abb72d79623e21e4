"""What an answer costs: multiply-adds, and milliseconds through ONNX Runtime, plain and with test-time averaging."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_utils.emotions import SIDE
from fer_utils.training.augmentation import tta_transforms
from fer_utils.training.runs import Run

ROUNDS = 50


def answer_costs(folders: Mapping[str, Path], rounds: int = ROUNDS) -> pd.DataFrame:
    """Measure how long each network takes to answer for one face on one thread, all of them in turn.

    A network that averages over views is given all views of a face at once. Snapshots multiply both costs.

    Args:
        folders: of a run, finished or published, for each network, by name.
        rounds: how often each is timed; the first call of each is left out.

    Returns:
        A row a network, and another with its averaging where its recipe has that: model, averaging ("" or in words),
        answers (forward passes for a face), parameters, multiply_adds (for a face), milliseconds (the least of all
        rounds: what else the machine does only adds to them).
    """
    from fer_utils.networks import parts
    from fer_utils.networks.costs import multiply_adds
    from fer_utils.recognition.recognizer import open_model
    from fer_utils.release.export import write_onnx

    rows, calls = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, run) in enumerate(folders.items()):
            recipe = Run(run).recipe
            model, file = Run(run).model(), Path(folder) / f"{number}.onnx"
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
        seconds = [[_seconds(*call) for call in calls] for _ in range(rounds + 1)][1:]
    return pd.DataFrame(rows).assign(
        milliseconds=[1000 * min(times) for times in zip(*seconds, strict=True)]
    )


def with_costs(
    table: pd.DataFrame, costs: pd.DataFrame, ensembles: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Scores and costs side by side.

    Args:
        table: as `results.summarise` gives it.
        costs: as `answer_costs` gives it, under the models' names.
        ensembles: by the name that the table has, the model of each member, whose costs add up.

    Returns:
        The rows of `table` whose costs are known, with multiply_adds and milliseconds.
    """
    known = costs.set_index(["model", "tta"])[["multiply_adds", "milliseconds"]]
    dearest = known.groupby("model").max()
    added = pd.DataFrame(
        {name: dearest.loc[list(members)].sum() for name, members in (ensembles or {}).items()}
    ).T
    single = table.join(known, on=["model", "tta"], how="inner")
    together = (
        table[table["model"].isin(added.index)].join(added, on="model") if len(added) else table[:0]
    )
    return pd.concat([single, together]).sort_index()


def tta_finding(table: pd.DataFrame) -> str:
    """What a table of `with_costs` says of test-time averaging, in one sentence."""
    plain, many = (table[(table["tta"] != "") == tta] for tta in (False, True))
    both = many.merge(plain, on="model", suffixes=("", "_plain"))
    if both.empty:
        return "No network here averages over views."
    said = [
        f"{row['model']} {100 * (row['private_accuracy'] - row['private_accuracy_plain']):+.1f} points for "
        f"{row['milliseconds'] / row['milliseconds_plain']:.1f} times the milliseconds"
        for row in both.to_dict("records")
    ]
    return f"Test-time averaging, on PrivateTest: {'; '.join(said)}."


def _seconds(session, pixels: np.ndarray, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        session.run(None, {"pixels": pixels})
    return time.perf_counter() - started
