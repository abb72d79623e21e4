"""Figures of the labels: agreement with FER+ votes, and the highest possible accuracy."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.evaluation.wording import percent
from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, SECOND, WIDTH


def plot_label_votes(table: pd.DataFrame) -> Figure:
    """Plot FER-2013's labels (rows) against the FER+ majority (columns): shares and numbers.

    Args:
        table: counts as returned by `audits.labels.disagreement`; the first seven columns are the
            emotions.
    """
    counts = table.to_numpy()
    totals = counts.sum(axis=1)
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    figure = Figure(figsize=(WIDTH, 4.3), layout="constrained")
    ax = figure.subplots()
    # The scale always ends at 100 %, so that figures can be compared.
    shown = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        colour = INK if counts[row, column] else MUTED
        if share > 55:
            colour = "white"
        ax.text(
            column,
            row,
            f"{_percent(share)}\n{counts[row, column]:,}",
            ha="center",
            va="center",
            color=colour,
            fontsize=8,
            fontweight="bold" if row == column else "normal",
            linespacing=1.25,
        )
    ax.axvline(len(table) - 0.5, color="white", linewidth=5)
    ax.set_xticks(range(table.shape[1]), [_two_lines(name) for name in table.columns], fontsize=8.5)
    ax.set_yticks(
        range(len(table)), [f"{name} ({n:,})" for name, n in zip(table.index, totals, strict=True)]
    )
    ax.tick_params(length=0)
    ax.set(xlabel="FER+ category with the most votes", ylabel="FER-2013 label (images)")
    for spine in ax.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(shown, ax=ax, shrink=0.9, pad=0.01)
    bar.set_label("Share of the label's images (%)")
    bar.outline.set_visible(False)
    return figure


def plot_ceilings(table: pd.DataFrame) -> Figure:
    """Plot estimates of a perfect model's accuracy, with 95 % intervals, and human accuracy.

    Args:
        table: as returned by `audits.ceiling.ceiling`.
    """
    human = table[table["kind"] == "people"]
    rows = table[table["kind"] != "people"].reset_index(drop=True)
    figure = Figure(figsize=(WIDTH, 1.3 + 0.32 * len(rows)), layout="constrained")
    ax = figure.subplots()
    for row in human.to_dict("records"):
        ax.axvspan(100 * row["low"], 100 * row["high"], color=GRID, zorder=0)
        ax.axvline(100 * row["value"], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        ax.annotate(
            f"{row['estimate']}, {percent(row['value'], 0)}",
            (100 * row["low"], 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="left",
            va="bottom",
            color=MUTED,
            fontsize=9,
        )
    for y, row in enumerate(rows.to_dict("records")):
        colour, mark = (SECOND, "D") if row["kind"] == "truth" else (ACCENT, "o")
        if not np.isnan(row["low"]):
            ax.plot(
                [100 * row["low"], 100 * row["high"]],
                [y, y],
                color=colour,
                linewidth=2,
                alpha=0.6,
                zorder=2,
            )
        ax.scatter(100 * row["value"], y, color=colour, marker=mark, s=36, zorder=3)
        right = 100 * (row["value"] if np.isnan(row["low"]) else row["high"])
        ax.annotate(
            f"{100 * row['value']:.1f}",
            (right, y),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )
    ax.set_yticks(
        range(len(rows)),
        [f"{r['estimate']} ({r['images']:,})" for r in rows.to_dict("records")],
        fontsize=9,
    )
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set(xlabel="Accuracy against the labels (%), 95 % intervals")
    ax.set_xlim(right=105)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    return figure


def _percent(share: float) -> str:
    """Format a share in percent; a positive one that rounds to 0 becomes "<1 %"."""
    return "<1 %" if 0 < share < 0.5 else f"{share:.0f} %"


def _two_lines(name: str) -> str:
    """Break a name before its last word."""
    first, _, rest = name.rpartition(" ")
    return f"{first}\n{rest}" if first else name
