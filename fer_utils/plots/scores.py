"""Figures of scores: accuracies of models, and scores by emotion."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fer_utils.plots.style import (
    ACCENT,
    COLOURS,
    GRID,
    INK,
    MUTED,
    SECOND,
    WIDTH,
    interval_row,
)

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


def plot_headline(table: pd.DataFrame, confusion: pd.DataFrame) -> Figure:
    """Plot the study's accuracies beside published ones, and the released model's confusions.

    Args:
        table: columns label, accuracy, low, high, unleaked, unleaked_low, unleaked_high (0 to 1;
            NaN where unknown) and kind ("measured" or "published").
        confusion: counts as returned by `mistakes.confusion`.
    """
    figure = Figure(figsize=(11.5, 5.0), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    for y, row in enumerate(table.to_dict("records")):
        colour, mark, _ = KINDS[row["kind"]]
        text = f"{100 * row['accuracy']:.1f}"
        interval_row(left, y, row["accuracy"], row["low"], row["high"], colour, mark, text)
        if not np.isnan(row["unleaked"]):
            left.plot(100 * row["unleaked"], y, "o", mfc="white", mec=colour, ms=7)
    left.set_yticks(range(len(table)), table["label"], fontsize=9)
    left.set_ylim(len(table) - 0.5, -0.7)
    left.set_xlabel("Accuracy (%), 95 % intervals")
    left.set_title("Accuracy on PrivateTest")
    left.grid(axis="x", color=GRID, linewidth=0.8)
    marks = [
        Line2D([], [], color=SECOND, marker="o", linestyle="", label="this study"),
        Line2D(
            [], [], mec=SECOND, mfc="white", marker="o", linestyle="", label="without leaked images"
        ),
        Line2D([], [], color=MUTED, marker="D", linestyle="", label="published"),
    ]
    left.legend(handles=marks, loc="lower right", fontsize=8.5)

    rates = 100 * confusion.div(confusion.sum(axis=1), axis=0).to_numpy()
    right.imshow(rates, cmap="Blues", vmin=0, vmax=100)
    for (row, column), rate in np.ndenumerate(rates):
        colour = "white" if rate > 55 else INK
        right.text(column, row, f"{rate:.0f}", ha="center", va="center", color=colour, fontsize=8.5)
    names = list(confusion.index)
    right.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    right.set_yticks(range(len(names)), names)
    right.tick_params(length=0)
    right.set(xlabel="Predicted emotion", ylabel="True emotion")
    right.set_title("Released model: % of each true emotion")
    right.spines[:].set_visible(False)
    return figure
