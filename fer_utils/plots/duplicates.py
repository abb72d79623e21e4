"""Figures of copies: where they are, and how alike near copies are."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, SECOND, WIDTH

SHADES = ("#ffffff", ACCENT)


def duplicates_matrix(equal: pd.DataFrame, near: pd.DataFrame, images: pd.Series) -> Figure:
    """Images with a copy, by their own usage and the copy's: number, and share of their usage as the shade.

    Args:
        equal: images with a copy equal in every pixel, by usage (rows) and the copy's (columns), as
            `duplicates_by_usage` gives it.
        near: the same for near copies, as `near_duplicates_by_usage` gives it.
        images: number of images by usage.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shares = [
        100 * table.div(images.reindex(table.index).clip(lower=1), axis=0)
        for table in (equal, near)
    ]
    reach = max(float(np.nanmax(share.to_numpy())) for share in shares) or 1.0
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    shades = LinearSegmentedColormap.from_list("shares", SHADES)
    titles = ("Equal in every pixel", "Near copies")
    for ax, table, share, title in zip(axes, (equal, near), shares, titles, strict=True):
        shown = ax.imshow(share, cmap=shades, vmin=0, vmax=reach, aspect="auto")
        for row in range(len(table)):
            for column in range(len(table.columns)):
                part = share.iloc[row, column]
                ax.text(
                    column,
                    row,
                    f"{table.iloc[row, column]:,}\n{part:.1f} %",
                    ha="center",
                    va="center",
                    color="white" if part > 0.65 * reach else INK,
                )
        ax.set_xticks(range(len(table.columns)), table.columns)
        ax.set_yticks(range(len(table)), [f"{usage}\n({images[usage]:,})" for usage in table.index])
        ax.set(title=title, xlabel="has a copy in")
        ax.tick_params(length=0)
    axes[0].set_ylabel("images of (number)")
    figure.colorbar(shown, ax=axes, shrink=0.9, pad=0.01).set_label("share of the row's images, %")
    return figure


def similarities(pairs: pd.DataFrame, threshold: float) -> Figure:
    """Numbers of pairs by similarity, plain and flipped, with the threshold from which pairs count as copies.

    Mirrored pairs show what chance gives, since few copies are flipped.

    Args:
        pairs: as `near_duplicates` gives them with a lower limit than the threshold, such as 0.6.
        threshold: of similarity, 0 to 1.
    """
    lowest = min(threshold, float(pairs["similarity"].min())) if len(pairs) else threshold
    edges = np.arange(np.floor(lowest * 50) / 50, 1.0201, 0.02)
    figure = Figure(figsize=(WIDTH * 0.72, 3.4), layout="constrained")
    ax = figure.subplots()
    # A similarity of 1 may be rounded to a little more.
    similarity = pairs["similarity"].clip(upper=1)
    for flipped, colour, label in (
        (False, ACCENT, "plain"),
        (True, SECOND, "flipped: what chance gives"),
    ):
        numbers = np.histogram(similarity[pairs["flipped"] == flipped], edges)[0]
        # Pairs of 0 have no place on a logarithmic axis.
        ax.stairs(
            np.where(numbers > 0, numbers, 0.5),
            edges,
            baseline=0.5,
            color=colour,
            linewidth=2,
            label=label,
        )
    ax.axvline(threshold, color=MUTED, linestyle="--", linewidth=1.2)
    ax.annotate(
        f"copies from {threshold:g} on",
        (threshold, 1),
        xytext=(6, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        color=MUTED,
    )
    ax.set(
        yscale="log",
        xlabel="similarity (correlation of the filtered, aligned images)",
        xlim=(edges[0], 1.0),
    )
    ax.set_ylabel("pairs per 0.02 of similarity")
    ax.set_ylim(bottom=0.7, top=max(10, ax.get_ylim()[1] * 1.6))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
