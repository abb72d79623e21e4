"""Figures of calibration: reliability before and after a temperature, and coverage when the uncertain are rejected."""

from collections.abc import Mapping
from itertools import cycle, product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, INK, LINES, MUTED, WIDTH

FEWEST = 20
"""Answers that a coverage curve begins at: the accuracy of fewer is mostly chance."""


def reliability(
    tables: Mapping[str, pd.DataFrame], notes: Mapping[str, str] | None = None
) -> Figure:
    """Reliability diagrams, one below each title, over the number of images in each bin.

    Bars show how often answers of a probability are right, with 95 % intervals; the line what calibrated ones would be.

    Args:
        tables: by title, as `reliability.reliability` gives them.
        notes: by title, what to write into the diagram, such as its calibration error.
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
        lower.set_xlabel("probability of the answer, %")
        if notes and title in notes:
            upper.text(0.04, 0.95, notes[title], transform=upper.transAxes, va="top", fontsize=9)
        for ax in (upper, lower):
            ax.grid(axis="y", color=GRID, linewidth=0.8)
            ax.set_axisbelow(True)
    axes[0, 0].set_ylabel("right answers, %; 95 % intervals")
    axes[1, 0].set_ylabel("images")
    figure.align_ylabels()
    return figure


def coverage(curves: Mapping[str, pd.DataFrame], thresholds: pd.DataFrame | None = None) -> Figure:
    """Accuracy of the answers kept against their share, as fewer and fewer of the uncertain are rejected.

    It begins at `FEWEST` answers. Intervals, 95 %, are drawn for up to two curves.

    Args:
        curves: by name, as `coverage.coverage_curve` gives them.
        thresholds: for the first, as `coverage.threshold_table` gives them: aims and what came of them, with both
            intervals.
    """
    figure = Figure(figsize=(WIDTH * 0.86, 4.3), layout="constrained")
    ax = figure.subplots()
    # So many lines as there are colours are solid, the next ones dashed, then dotted.
    looks = cycle(product(("-", "--", ":"), LINES))
    for (name, curve), (dashes, colour) in zip(curves.items(), looks, strict=False):
        curve = curve[curve["images"] >= min(FEWEST, curve["images"].max())]
        x = 100 * curve["coverage"]
        if len(curves) <= 2:
            ax.fill_between(
                x, 100 * curve["low"], 100 * curve["high"], color=colour, alpha=0.16, linewidth=0
            )
        ax.plot(
            x,
            100 * curve["accuracy"],
            color=colour,
            linestyle=dashes,
            linewidth=1.7,
            label=name if len(curves) > 2 else f"{name}, 95 % interval",
        )
    kept = [] if thresholds is None else thresholds[thresholds["images"] > 0].to_dict("records")
    for number, row in enumerate(kept):
        x, y = 100 * row["coverage"], 100 * row["accuracy"]
        ends = 100 * np.array(
            [[row["coverage_low"], row["coverage_high"]], [row["low"], row["high"]]]
        )
        across, up = np.abs(ends - [[x], [y]])[:, :, None]
        ax.axhline(100 * row["target"], color=INK, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        note = "threshold chosen on other images, for the accuracy dashed" if not number else None
        ax.errorbar(
            x,
            y,
            up,
            across,
            fmt="D",
            color=INK,
            ms=5.5,
            elinewidth=1.2,
            capsize=2,
            zorder=4,
            label=note,
        )
        ax.annotate(
            f"p ≥ {row['probability']:.2f}",
            (x, y),
            (8, 8),
            textcoords="offset points",
            fontsize=9,
            zorder=5,
        )
    ax.set(xlabel="answers kept, % (coverage)", ylabel="right of those kept, %", xlim=(0, 101))
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=1 if len(curves) < 3 else 3,
    )
    return figure
