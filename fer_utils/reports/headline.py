"""The figure at the top of README, from the committed evidence."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from fer_utils.evaluation.published import PUBLISHED, read_results, row_label
from fer_utils.plots.scores import plot_headline
from fer_utils.plots.style import use_style
from fer_utils.results.aggregates import read_confusion
from fer_utils.results.documents import headline_rows
from fer_utils.storage import atomic_file

FIGURE = "docs/results.svg"

COMPARED = (
    *("Ensemble of 8 CNNs", "VGG19 of EmoClass2019", "Tang, CNN with L2-SVM"),
    *("Baseline project’s CNN", "Human accuracy"),
)
"""Published accuracies in the figure: from scratch, and not chosen on PrivateTest."""


def write_headline(root: Path) -> None:
    """Draw the figure, as SVG. Equal evidence gives equal bytes.

    Args:
        root: the study's folder.
    """
    evidence = root / "reports" / "evidence"
    with mpl.rc_context():
        use_style()
        figure = plot_headline(headline_table(read_results(evidence)), read_confusion(evidence))
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    text = "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"
    with atomic_file(root / FIGURE) as target:
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
