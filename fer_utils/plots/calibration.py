"""Figures of calibration: reliability diagrams, and accuracy against coverage."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, WIDTH

FEWEST = 20
"""Number of predictions that a coverage curve starts at: the accuracy of fewer is mostly noise."""


def plot_reliability(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Plot reliability diagrams side by side, with the number of images per bin below each.

    Bars are the accuracy of the predictions in a bin of confidence. Points have 95 % intervals. The
    dashed line is perfect calibration.

    Args:
        tables: by title, as returned by `reliability.reliability`.
    """
    figure = Figure(figsize=(WIDTH if len(tables) > 1 else WIDTH / 1.8, 4.6), layout="constrained")
    axes = figure.subplots(
        2, len(tables), sharex=True, sharey="row", squeeze=False, height_ratios=[3.2, 1]
    )
    for (upper, lower), (title, table) in zip(axes.T, tables.items(), strict=True):
        middle, width = 50 * (table["low"] + table["high"]), 100 * (table["high"] - table["low"])
        full = table.dropna(subset="accuracy")
        upper.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        upper.bar(middle, 100 * table["accuracy"], 0.94 * width, color=ACCENT, alpha=0.28, zorder=0)
        ends = np.abs(
            100 * full[["accuracy_low", "accuracy_high"]].to_numpy().T
            - 100 * full["accuracy"].to_numpy()
        )
        upper.errorbar(
            100 * full["confidence"],
            100 * full["accuracy"],
            ends,
            fmt="o",
            color=ACCENT,
            ms=4.5,
            elinewidth=1.3,
            capsize=2,
            zorder=2,
        )
        upper.set(title=title, xlim=(0, 100), ylim=(0, 103))
        lower.bar(middle, table["images"], 0.94 * width, color=MUTED)
        lower.set_xlabel("Confidence (%)")
        for ax in (upper, lower):
            ax.grid(axis="y", color=GRID, linewidth=0.8)
            ax.set_axisbelow(True)
    axes[0, 0].set_ylabel("Accuracy (%), 95 % intervals")
    axes[1, 0].set_ylabel("Images")
    figure.align_ylabels()
    return figure


def plot_coverage(model: str, curve: pd.DataFrame, thresholds: pd.DataFrame) -> Figure:
    """Plot the accuracy of the kept predictions against coverage, their share.

    The least confident predictions are rejected first. The curve starts at `FEWEST` predictions
    and has a 95 % band.

    Args:
        model: name of the model, for the legend.
        curve: as returned by `coverage.coverage_curve`.
        thresholds: as returned by `coverage.threshold_table`: targets and the results on this
            split, with intervals of coverage and accuracy.
    """
    figure = Figure(figsize=(WIDTH * 0.86, 4.3), layout="constrained")
    ax = figure.subplots()
    curve = curve[curve["images"] >= min(FEWEST, curve["images"].max())]
    percent = 100 * curve[["coverage", "accuracy", "low", "high"]]
    ax.fill_between(
        percent["coverage"],
        percent["low"],
        percent["high"],
        color=ACCENT,
        alpha=0.16,
        linewidth=0,
    )
    name = f"{model}, 95 % interval"
    ax.plot(percent["coverage"], percent["accuracy"], color=ACCENT, linewidth=1.7, label=name)
    note: str | None = "threshold fitted on PublicTest for the dashed accuracy"
    for row in thresholds[thresholds["images"] > 0].to_dict("records"):
        x, y = 100 * row["coverage"], 100 * row["accuracy"]
        across = [[x - 100 * row["coverage_low"]], [100 * row["coverage_high"] - x]]
        up = [[y - 100 * row["low"]], [100 * row["high"] - y]]
        ax.axhline(100 * row["target"], color=INK, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        ax.errorbar(
            x,
            y,
            np.abs(up),
            np.abs(across),
            fmt="D",
            color=INK,
            ms=5.5,
            elinewidth=1.2,
            capsize=2,
            zorder=4,
            label=note,
        )
        note = None  # one entry in the legend
        ax.annotate(
            f"p ≥ {row['probability']:.2f}",
            (x, y),
            (8, 8),
            textcoords="offset points",
            fontsize=9,
            zorder=5,
        )
    ax.set(
        xlabel="Coverage: predictions kept (%)",
        ylabel="Accuracy of the predictions kept (%)",
        xlim=(0, 101),
    )
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    return figure
