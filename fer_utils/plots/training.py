"""Figures of trainings."""

from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, COLOURS, GRID, LINES, SECOND, WIDTH


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
    axes[0].set(
        title="Loss (of PublicTest cross-entropy, nats)", xlabel="epoch", ylabel="mean loss"
    )
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
    ax.set(xlabel="epoch", ylabel="PublicTest accuracy, %", xlim=(0.5, longest * 1.3))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    return figure
