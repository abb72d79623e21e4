"""Figures of trainings and of searches."""

from collections.abc import Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, COLOURS, GRID, LINES, MUTED, SECOND, WIDTH


def learning_curves(histories: dict[str, pd.DataFrame]) -> Figure:
    """Loss and accuracy by epoch: Training dashed (mean while the epoch ran, with dropout), PublicTest solid.

    Args:
        histories: a run's name to its history.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    palette = (ACCENT, SECOND, *COLOURS.values())
    for (name, history), colour in zip(histories.items(), palette, strict=False):
        for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
            factor = 100 if column == "accuracy" else 1
            ax.plot(
                history["epoch"], factor * history[column], "--", color=colour, alpha=0.7, label=f"{name}, Training"
            )
            ax.plot(
                history["epoch"],
                factor * history[f"val_{column}"],
                color=colour,
                marker="o",
                ms=4,
                label=f"{name}, PublicTest",
            )
    axes[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy, nats")
    axes[1].set(title="Accuracy", xlabel="epoch", ylabel="top-1 accuracy, %")
    for ax in axes:
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        ax.grid(axis="y", color=GRID, linewidth=0.8)
    axes[1].legend(loc="best", fontsize=9)
    return figure


def accuracy_by_epoch(histories: dict[str, pd.DataFrame]) -> Figure:
    """PublicTest accuracy of several runs by epoch, each line named at its end.

    Args:
        histories: a run's name to its history.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    # Many lines take the colours in turn, each with its name.
    palette = cycle(LINES)
    ends = {name: 100 * history["val_accuracy"].iloc[-1] for name, history in histories.items()}
    reach = max(100 * history["val_accuracy"].max() for history in histories.values())
    # Names are moved apart where lines end close to each other, upwards from the lowest.
    gap, place = 0.055 * reach, -np.inf
    places = {}
    for name in sorted(ends, key=ends.get):
        place = places[name] = max(ends[name], place + gap)
    longest = max(len(history) for history in histories.values())
    for (name, history), colour in zip(histories.items(), palette, strict=False):
        ax.plot(history["epoch"], 100 * history["val_accuracy"], color=colour)
        ax.annotate(
            name,
            (len(history), ends[name]),
            (longest * 1.02, places[name]),
            va="center",
            color=colour,
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.8},
        )
    ax.set(xlabel="epoch", ylabel="PublicTest accuracy, %", xlim=(0.5, longest * 1.3))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    return figure


def trials(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """Each trial's score against each hyperparameter, the best one marked, and the best so far by trial."""
    done = ledger[ledger["status"] == "completed"].sort_values("trial")
    panels = ["trial", *hyperparameters]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    best = done.loc[done["val_accuracy"].idxmax()]
    for ax, column in zip(axes, panels, strict=True):
        ax.scatter(done[column], 100 * done["val_accuracy"], color=ACCENT, s=26, alpha=0.8, zorder=2)
        ax.scatter(best[column], 100 * best["val_accuracy"], color=SECOND, s=90, marker="*", zorder=3, label="best")
        ax.set_xlabel(column.replace("_", " "))
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        if column == "learning_rate":
            ax.set_xscale("log")
            # A search's range may hold no power of ten, which is all that is labelled otherwise.
            ax.set_xticks(np.geomspace(done[column].min(), done[column].max(), 3))
            ax.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:.2g}"))
            ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes[0].step(
        done["trial"],
        100 * done["val_accuracy"].cummax(),
        where="post",
        color=MUTED,
        linewidth=1.2,
        zorder=1,
        label="best so far",
    )
    axes[0].xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes[0].set_ylabel("PublicTest accuracy, %")
    axes[0].legend(loc="lower right", fontsize=8.5)
    return figure
