"""The figures in README and docs/results.md, from the committed evidence."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.evaluation.published import PUBLISHED, read_results, row_label
from fer_utils.plots.final_model import plot_accuracy_against_training
from fer_utils.plots.scores import plot_headline
from fer_utils.plots.style import use_style
from fer_utils.results.aggregates import read_confusion
from fer_utils.results.documents import headline_rows
from fer_utils.results.training_costs import training_costs
from fer_utils.storage import atomic_file
from fer_utils.training.runs import read_run_infos

ACCURACIES, COSTS = "docs/results.svg", "docs/training_cost.svg"

COMPARED = (
    *("Ensemble of 8 CNNs", "VGG19 of EmoClass2019", "Tang, CNN with L2-SVM"),
    *("Baseline project’s CNN", "Human accuracy"),
)
"""Published accuracies in the first figure: from scratch, and not chosen on PrivateTest."""


def write_figures(root: Path) -> None:
    """Draw the figures, as SVG. Equal evidence gives equal bytes.

    Args:
        root: the study's folder.
    """
    evidence = root / "reports" / "evidence"
    results = read_results(evidence)
    recipes = {info.recipe.name: info.recipe for info in read_run_infos(evidence).values()}
    with mpl.rc_context():
        use_style()
        table = headline_table(results)
        _write(plot_headline(table, read_confusion(evidence)), root / ACCURACIES)
        costs = training_costs(results, recipes)
        _write(plot_accuracy_against_training(costs), root / COSTS)


def _write(figure: Figure, file: Path) -> None:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    text = "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"
    with atomic_file(file) as target:
        target.write_text(text, encoding="utf-8")


def headline_table(results: pd.DataFrame) -> pd.DataFrame:
    """The accuracies in the figure, highest first, as `plot_headline` needs them.

    Args:
        results: the committed table, as `read_results` returns it.
    """
    rows = []
    for row in headline_rows(results).to_dict("records"):
        scores = {name: row[f"private_{name}"] for name in ("accuracy", "low", "high")}
        label = row_label(row)
        scores["unleaked"] = row["unleaked_accuracy"]
        rows.append({"label": label, **scores, "kind": "measured"})
    for known in PUBLISHED:
        if known.name in COMPARED:
            low, high = known.interval
            scores = {"accuracy": known.accuracy, "low": low, "high": high, "unleaked": np.nan}
            # The images get a line of their own.
            label = known.label.replace(f", {known.images}", f",\n{known.images}")
            rows.append({"label": label, **scores, "kind": "published"})
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, ignore_index=True)
