"""Figure of slices: accuracy by groups of images."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.analysis.slices import LEVEL, SMALL
from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, WIDTH


def plot_slices(table: pd.DataFrame) -> Figure:
    """Plot the accuracy of each group with its 95 % interval, slice by slice.

    The dashed line is the accuracy on all images. Slices with significant differences between
    their groups are coloured, the others are grey. Small groups have hollow markers.

    Args:
        table: as returned by `slices.slice_table`, with one or more slices.
    """
    names = list(dict.fromkeys(table["slice"]))
    figure = Figure(
        figsize=(WIDTH, 0.9 + 0.27 * (len(table) + 1.25 * len(names))), layout="constrained"
    )
    ax = figure.subplots()
    first = table[table["slice"] == names[0]]
    overall = 100 * (first["accuracy"] * first["images"]).sum() / first["images"].sum()
    ax.axvline(overall, color=MUTED, linewidth=1, linestyle=(0, (4, 4)), zorder=0)
    side = ax.get_yaxis_transform()
    y, heights, groups = 0.0, [], []
    for name in names:
        rows = table[table["slice"] == name]
        p = rows["p"].iloc[0]
        differs = p < LEVEL
        ax.text(
            0.01, y, name, transform=side, va="center", fontweight="bold", fontsize=9.5, color=INK
        )
        text = f"p = {p:.3f}"
        if p < 0.001:
            text = "p < 0.001"
        elif p >= 0.9995:
            text = "p = 1"
        ax.text(
            1.02, y, text, transform=side, va="center", fontsize=9, color=INK if differs else MUTED
        )
        for row in rows.to_dict("records"):
            y += 1
            x, colour = 100 * row["accuracy"], ACCENT if differs else MUTED
            ends = np.abs([[100 * row["low"] - x], [100 * row["high"] - x]])
            fill = "white" if row["small"] else colour
            ax.errorbar(
                x, y, xerr=ends, fmt="o", color=colour, mfc=fill, ms=6.5, elinewidth=2, capsize=0
            )
            ax.text(1.02, y, f"{row['images']:,}", transform=side, va="center", fontsize=9)
            heights.append(y)
            groups.append(row["group"])
        y += 1.25
    ax.set_yticks(heights, groups)
    ax.set_ylim(y - 0.6, -0.8)
    ax.text(1.02, -1.3, "images", transform=side, va="center", fontsize=9, color=MUTED)
    hollow = f"; hollow: fewer than {SMALL} images" if table["small"].any() else ""
    ax.set_xlabel(f"Accuracy (%), 95 % intervals; dashed: all images{hollow}")
    ax.margins(x=0.05)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    return figure
