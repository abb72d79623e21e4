"""Figures of the final model: ablation, ensemble selection, and accuracy against cost."""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from fer_utils.evaluation.wording import number, percent
from fer_utils.plots.comparisons import MARKS
from fer_utils.plots.style import ACCENT, GRID, LINES, MUTED, SECOND, WIDTH, interval_row

_NAME_GAP = 0.85
"""Points of accuracy between two names of networks."""


def plot_ablation(table: pd.DataFrame) -> Figure:
    """Plot the change of accuracy when a component is left out or added, with 95 % intervals.

    Args:
        table: as returned by `ablation.ablate`; the whole recipe is its first row.
    """
    rows = table[1:]
    figure = Figure(figsize=(WIDTH, 1.3 + 0.36 * len(rows)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(0, color=MUTED, linewidth=1)
    for y, row in enumerate(rows.to_dict("records")):
        colour, mark = MUTED, "D"
        if row["difference_low"] > 0:
            colour, mark = ACCENT, "o"
        elif row["difference_high"] < 0:
            colour, mark = SECOND, "o"
        text = number(100 * row["difference"], sign=True)
        interval = row["difference"], row["difference_low"], row["difference_high"]
        interval_row(ax, y, *interval, colour, mark, text)
    names = [("without " if name[0] == "-" else "with ") + name[2:] for name in rows["variant"]]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.5, -0.7)
    base = table.iloc[0]
    ax.set_xlabel(
        f"Change from the whole recipe's PublicTest accuracy of {percent(base['accuracy'])} "
        "(points, 95 % intervals)\ndiamonds: not significant"
    )
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.margins(x=0.08)
    return figure


def plot_accuracy_against_training(table: pd.DataFrame) -> Figure:
    """Plot PrivateTest accuracy against the multiply-adds of the training.

    Published networks have names, and those of this study that are more accurate than all cheaper
    ones, which a line joins. The baseline has a name too. All names would cover each other.

    Args:
        table: as returned by `results.training_costs`.
    """
    figure = Figure(figsize=(WIDTH, 5.0), layout="constrained")
    ax = figure.subplots()
    own = table[~table["published"]].sort_values(["cost", "accuracy"], ascending=[True, False])
    best = own[own["accuracy"] > own["accuracy"].cummax().shift(fill_value=-np.inf)]
    ax.plot(best["cost"] / 1e9, 100 * best["accuracy"], color=ACCENT, linewidth=1, zorder=1)
    for index, row in table.iterrows():
        named = row["published"] or index in best.index
        colour, mark = (SECOND, "D") if row["published"] else (ACCENT if named else MUTED, "o")
        x, y = row["cost"] / 1e9, 100 * row["accuracy"]
        ends = [100 * row["low"], 100 * row["high"]]
        ax.plot([x, x], ends, color=colour, linewidth=3, alpha=0.35, solid_capstyle="round")
        ax.plot(x, y, mark, color=colour, ms=7 if named else 5)
    first = table[table["model"] == "baseline_cnn"]  # what the study starts from
    published = table[table["published"]]
    _name_networks(ax, best, 1 / 1.25, "right", ACCENT)
    _name_networks(ax, first, 1.25, "left", MUTED)
    _name_networks(ax, published, 1.25, "left", SECOND, 100 * published["accuracy"].max())
    ax.set_xscale("log")
    ax.set_xlim(0.3 * table["cost"].min() / 1e9, 15 * table["cost"].max() / 1e9)
    ax.set_xlabel("Multiply-adds of the training: of a forward pass, times epochs (billions)")
    ax.set_ylabel("PrivateTest accuracy (%), 95 % interval")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(color=GRID, linewidth=0.8)
    return figure


def _name_networks(
    ax: Axes,
    named: pd.DataFrame,
    beside: float,
    align: Literal["left", "right"],
    colour: str,
    top: float = np.inf,
) -> None:
    """Write the names of networks beside their marks.

    From right to left, each name moves down until it is below the last one.

    Args:
        ax: of the figure, with the cost in billions.
        named: rows of `results.training_costs`.
        beside: the place of a name, as a multiple of the network's cost.
        align: the side of the name that is there.
        colour: of names and lines.
        top: all names are below this accuracy in percent.
    """
    name_y = top
    for row in named.sort_values("cost", ascending=False).to_dict("records"):
        x, y = row["cost"] / 1e9, 100 * row["accuracy"]
        name_y = min(y, name_y - _NAME_GAP)
        ax.annotate(
            row["model"],
            (x, y),
            (beside * x, name_y),
            ha=align,
            va="center",
            fontsize=8.5,
            color=colour,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.6,
                "relpos": (0 if align == "left" else 1, 0.5),
            },
        )


def plot_ensemble_path(path: pd.DataFrame, size: int) -> Figure:
    """Plot accuracy and cross-entropy on PublicTest as members are added to an ensemble.

    Args:
        path: as returned by `ensembles.select`.
        size: number of members of the selected ensemble, which a ring marks.
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps, added = path["size"], path["added"].str.replace("-seed", ", seed ")
    left.fill_between(
        steps, 100 * path["low"], 100 * path["high"], color=ACCENT, alpha=0.15, linewidth=0
    )
    left.plot(steps, 100 * path["accuracy"], "o-", color=ACCENT)
    right.plot(steps, path["cross_entropy"], "o-", color=SECOND)
    for ax, name in ((left, "accuracy"), (right, "cross_entropy")):
        value = path[name][size - 1] * (100 if name == "accuracy" else 1)
        ax.plot(size, value, "o", ms=13, mfc="none", mec=MUTED, mew=1.5)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_xticks(steps, added, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
        ax.set_xlabel("Member added")
    left.set_ylabel("Accuracy on PublicTest (%),\n95 % interval")
    right.set_ylabel("Cross-entropy on PublicTest (nats)")
    right.set_title("Ring: ensemble with the lowest cross-entropy")
    return figure


def plot_accuracy_against_cost(table: pd.DataFrame) -> Figure:
    """Plot PrivateTest accuracy against multiply-adds and against milliseconds per face.

    Args:
        table: as returned by `latency.with_costs`. Without any milliseconds, the second panel is
            left out.
    """
    costs = [("multiply_adds", "Multiply-adds per face (millions)")]
    if table["milliseconds"].notna().any():
        costs.append(("milliseconds", "Milliseconds per face (one thread)"))
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(table["model"]))
    plain = set(table.loc[table["tta"] == "", "model"])
    for ax, (column, label) in zip(axes, costs, strict=True):
        for row in table.to_dict("records"):
            x = row[column] / (1e6 if column == "multiply_adds" else 1)
            colour = LINES[names.index(row["model"]) % len(LINES)]
            ends = [100 * row["private_low"], 100 * row["private_high"]]
            ax.plot([x, x], ends, color=colour, linewidth=3, alpha=0.35, solid_capstyle="round")
            filled = colour if row["tta"] else "white"
            # Each model has one entry in the legend, the one without TTA if it exists.
            name = None if row["tta"] and row["model"] in plain else row["model"]
            mark = MARKS[names.index(row["model"]) % len(MARKS)]
            ax.plot(
                x,
                100 * row["private_accuracy"],
                mark,
                ms=8,
                mec=colour,
                mfc=filled,
                mew=2,
                label=name,
            )
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel(label)
        ax.margins(x=0.15)
        ax.grid(color=GRID, linewidth=0.8)
    axes[0].set_ylabel("Accuracy on PrivateTest (%),\n95 % intervals")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    axes[0].set_title("Filled: with test-time augmentation")
    return figure
