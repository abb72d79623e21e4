"""Figures of trainings: loss and accuracy by epoch."""

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, COLOURS, GRID, LINES, SECOND, WIDTH


def plot_learning_curves(histories: dict[str, pd.DataFrame]) -> Figure:
    """Plot loss and accuracy by epoch: Training dashed, PublicTest solid.

    Training values are means over the epoch, with dropout.

    Args:
        histories: by name of the run.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    palette = (ACCENT, SECOND, *COLOURS.values())
    for (name, history), colour in zip(histories.items(), palette, strict=False):
        for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
            factor = 100 if column == "accuracy" else 1
            ax.plot(
                history["epoch"],
                factor * history[column],
                "--",
                color=colour,
                alpha=0.7,
                label=f"{name}, Training",
            )
            ax.plot(
                history["epoch"],
                factor * history[f"val_{column}"],
                color=colour,
                marker="o",
                ms=4,
                label=f"{name}, PublicTest",
            )
    axes[0].set(title="Loss", xlabel="Epoch", ylabel="Mean loss (PublicTest: cross-entropy, nats)")
    axes[1].set(title="Accuracy", xlabel="Epoch", ylabel="Accuracy (%)")
    for ax in axes:
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        ax.grid(axis="y", color=GRID, linewidth=0.8)
    axes[1].legend(loc="best", fontsize=9)
    return figure


def plot_accuracy_by_epoch(histories: dict[str, pd.DataFrame]) -> Figure:
    """Plot the PublicTest accuracy of several runs by epoch, each line named at its end.

    Args:
        histories: by name of the run.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    palette = cycle(LINES)
    ends = {name: 100 * history["val_accuracy"].iloc[-1] for name, history in histories.items()}
    reach = max(100 * history["val_accuracy"].max() for history in histories.values())
    # Names of lines that end close to each other are moved apart, upwards from the lowest.
    gap, place = 0.055 * reach, -np.inf
    places = {}
    for name in sorted(ends, key=ends.__getitem__):
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
    ax.set(xlabel="Epoch", ylabel="Accuracy on PublicTest (%)", xlim=(0.5, longest * 1.3))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    return figure
