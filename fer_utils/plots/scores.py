"""Figures of scores: accuracies of models, and scores by emotion."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_utils.plots.style import ACCENT, COLOURS, GRID, MUTED, SECOND, WIDTH, interval_row

KINDS = {
    "ours": (ACCENT, "o", "this run"),
    "measured": (SECOND, "o", "this study's runs on FER-2013"),
    "published": (MUTED, "D", "published"),
}


def plot_accuracies(table: pd.DataFrame) -> Figure:
    """Plot accuracies with their 95 % intervals on one axis.

    Args:
        table: columns label, accuracy, low, high (0 to 1; low and high may be NaN) and kind, a key
            of `KINDS`.
    """
    figure = Figure(figsize=(WIDTH, 0.7 + 0.42 * len(table)), layout="constrained")
    ax = figure.subplots()
    for y, row in enumerate(table.to_dict("records")):
        colour, mark, _ = KINDS[row["kind"]]
        text = f"{100 * row['accuracy']:.1f}"
        interval_row(ax, y, row["accuracy"], row["low"], row["high"], colour, mark, text)
    ax.set_yticks(range(len(table)), table["label"])
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.set_xlabel(
        "Accuracy (%), 95 % intervals\non PrivateTest, unless the name states another split"
    )
    shown = [KINDS[kind] for kind in KINDS if kind in set(table["kind"])]
    marks = [
        Line2D([], [], color=colour, marker=mark, linestyle="", label=label)
        for colour, mark, label in shown
    ]
    figure.legend(handles=marks, loc="outside upper left", ncols=len(marks))
    ax.margins(x=0.08)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def plot_scores_by_emotion(table: pd.DataFrame) -> Figure:
    """Plot precision, recall and F1 by emotion with their 95 % intervals, one panel each.

    Args:
        table: as returned by `evaluation.per_emotion`.
    """
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, name in zip(axes, ("precision", "recall", "F1"), strict=True):
        for y, (emotion, row) in enumerate(table.iterrows()):
            interval_row(
                ax, y, row[name], row[f"{name}_low"], row[f"{name}_high"], COLOURS[emotion]
            )
        ax.set(
            title="F1 score" if name == "F1" else name.capitalize(),
            xlim=(-3, 103),
            xlabel="Score (%), 95 % intervals",
        )
        ax.grid(axis="x", color=GRID, linewidth=0.8)
    names = [
        f"{emotion} ({images:,})"
        for emotion, images in zip(table.index, table["images"], strict=True)
    ]
    axes[0].set_yticks(range(len(table)), names)
    axes[0].invert_yaxis()
    return figure
