"""Figures of robustness: accuracy by strength of corruption, and examples of corruptions."""

from itertools import cycle
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.analysis.robustness import CLEAN
from fer_utils.plots.style import GRID, LINES, MUTED, WIDTH, draw_face

_COLUMNS = 4


def plot_corruption_curves(table: pd.DataFrame, floor: float) -> Figure:
    """Plot accuracy by strength, one panel per corruption and one line per model, with 95 % bands.

    The dotted line is the model's accuracy on clean images. The dashed line is the accuracy of
    always predicting the majority class.

    Args:
        table: `table` of a `robustness.Robustness`.
        floor: its `floor`, 0 to 1.
    """
    names = list(CORRUPTIONS)
    rows = len(names) // _COLUMNS + 1  # leaves at least one panel for the legend
    figure = Figure(figsize=(WIDTH, 2.25 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, sharey=True).ravel()
    for number, (ax, name) in enumerate(zip(axes, names, strict=False)):
        for (model, of_model), colour in zip(
            table.groupby("model", sort=False), cycle(LINES), strict=False
        ):
            line = of_model[of_model["corruption"].isin([CLEAN, name])].sort_values("strength")
            percent = 100 * line[["accuracy", "low", "high"]]
            ax.axhline(percent["accuracy"].iloc[0], color=colour, linewidth=1, linestyle=":")
            ax.fill_between(
                line["strength"],
                percent["low"],
                percent["high"],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
            ax.plot(
                line["strength"], percent["accuracy"], color=colour, marker="o", ms=3.5, label=model
            )
        ax.axhline(100 * floor, color=MUTED, linewidth=1, linestyle="--", label="majority class")
        ax.set_title(name, fontsize=10)
        ax.set_xticks(
            [0, *STRENGTHS],
            [CLEAN, *(f"{value:g}" for value in CORRUPTIONS[name].values)],
            fontsize=8,
        )
        ax.set_xlabel(CORRUPTIONS[name].unit, fontsize=9)
        ax.tick_params(axis="y", labelsize=8)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        if number % _COLUMNS == 0:
            ax.set_ylabel("Accuracy (%)", fontsize=9)
    axes[0].set_ylim(bottom=0)
    for ax in axes[len(names) :]:
        ax.axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    handles.insert(-1, axes[0].plot([], [], ":", color=MUTED, linewidth=1)[0])
    labels.insert(-1, "clean images")
    axes[-1].legend(handles, labels, loc="center", fontsize=9)
    return figure


def plot_corruption_strip(image: np.ndarray, seed: int) -> Figure:
    """Show an image under each corruption (columns) at each strength (rows).

    Args:
        image: uint8 (48, 48).
        seed: seed of `corrupt`.
    """
    figure = Figure(figsize=(WIDTH, 6.3), layout="constrained")
    axes = figure.subplots(1 + len(STRENGTHS), len(CORRUPTIONS))
    for column, (name, (unit, values)) in enumerate(CORRUPTIONS.items()):
        draw_face(axes[0, column], image)
        axes[0, column].set_title(
            name.replace(" ", "\n"), loc="center", fontsize=8.5, fontweight="normal"
        )
        for strength in STRENGTHS:
            ax = axes[strength, column]
            draw_face(ax, corrupt(image[None], name, strength, seed)[0])
            ax.set_xlabel(f"{values[strength - 1]:g}", fontsize=8, labelpad=1.5)
        ax.set_xlabel(
            f"{values[-1]:g}\n{fill(unit, 11)}", fontsize=8, labelpad=1.5, linespacing=1.25
        )
    for ax, label in zip(axes[:, 0], (CLEAN, *STRENGTHS), strict=True):
        ax.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    return figure
