"""Figures of scores: accuracies of models, and scores by emotion."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, MUTED, SECOND, WIDTH


def accuracies(table: pd.DataFrame) -> Figure:
    """Accuracies with their intervals on one axis.

    Args:
        table: columns label, accuracy, low, high (fractions; low and high may be missing) and kind: "ours", "measured"
            (committed runs on FER-2013) or "published".
    """
    figure = Figure(figsize=(WIDTH, 0.7 + 0.42 * len(table)), layout="constrained")
    ax = figure.subplots()
    for y, row in enumerate(table.to_dict("records")):
        colour, mark = {"ours": (ACCENT, "o"), "measured": (SECOND, "o"), "published": (MUTED, "D")}[row["kind"]]
        if not np.isnan(row["low"]):
            ax.plot(
                [100 * row["low"], 100 * row["high"]],
                [y, y],
                color=colour,
                linewidth=3,
                alpha=0.45,
                solid_capstyle="round",
            )
        ax.plot(100 * row["accuracy"], y, mark, color=colour, ms=7)
        ax.annotate(
            f"{100 * row['accuracy']:.1f}",
            (100 * row["accuracy"], y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    ax.set_yticks(range(len(table)), table["label"])
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.set_xlabel("top-1 accuracy, %; bars are 95 % intervals")
    ax.margins(x=0.08)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def scores_by_emotion(table: pd.DataFrame) -> Figure:
    """Precision, recall and F1 by emotion, as points on one line each."""
    figure = Figure(figsize=(WIDTH * 0.75, 3.1), layout="constrained")
    ax = figure.subplots()
    marks = {"precision": ("<", MUTED), "recall": (">", ACCENT), "F1": ("o", SECOND)}
    for y, row in enumerate(table.itertuples()):
        values = [100 * getattr(row, name) for name in marks]
        ax.plot([min(values), max(values)], [y, y], color="#cbd2d9", linewidth=2, zorder=1)
        for value, (mark, colour) in zip(values, marks.values(), strict=True):
            ax.scatter(value, y, marker=mark, color=colour, s=46, zorder=2)
    for name, (mark, colour) in marks.items():
        ax.scatter([], [], marker=mark, color=colour, label=name)
    ax.set_yticks(range(len(table)), [f"{e} ({n:,})" for e, n in zip(table.index, table["images"], strict=True)])
    ax.invert_yaxis()
    ax.set(xlabel="%", xlim=(-3, 103))
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
