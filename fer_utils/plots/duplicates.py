"""Figures of duplicates: their numbers by split, and the similarity of near-duplicates."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, SECOND, WIDTH

SHADES = ("#ffffff", ACCENT)


def plot_duplicates(equal: pd.DataFrame, near: pd.DataFrame, images: pd.Series) -> Figure:
    """Plot the images with a duplicate, by their split (rows) and the duplicate's (columns).

    Cells have the number of images and their share of the row's split.

    Args:
        equal: counts of images with an exact duplicate, as returned by `duplicates_by_usage`.
        near: the same for near-duplicates, as returned by `near_duplicates_by_usage`.
        images: number of images by split.
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
    titles = ("Exact duplicates", "Near-duplicates")
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
        ax.set(title=title, xlabel="Split of the duplicate")
        ax.tick_params(length=0)
    axes[0].set_ylabel("Split of the image (images)")
    bar = figure.colorbar(shown, ax=axes, shrink=0.9, pad=0.01)
    bar.set_label("Share of the row's images (%)")
    return figure


def plot_similarities(pairs: pd.DataFrame, threshold: float) -> Figure:
    """Plot the number of pairs by similarity, for plain and for horizontally flipped images.

    Few duplicates are flipped, so flipped pairs show the number expected by chance.

    Args:
        pairs: as returned by `near_duplicates` with a limit below the threshold, such as 0.6.
        threshold: similarity, 0 to 1, from which pairs count as near-duplicates.
    """
    lowest = min(threshold, float(pairs["similarity"].min())) if len(pairs) else threshold
    edges = np.arange(np.floor(lowest * 50) / 50, 1.0201, 0.02)
    figure = Figure(figsize=(WIDTH * 0.72, 3.4), layout="constrained")
    ax = figure.subplots()
    # Rounding can leave a similarity slightly above 1.
    similarity = pairs["similarity"].clip(upper=1)
    for flipped, colour, label in (
        (False, ACCENT, "plain"),
        (True, SECOND, "flipped (expected by chance)"),
    ):
        numbers = np.histogram(similarity[pairs["flipped"] == flipped], edges)[0]
        # A logarithmic axis has no 0: empty bins are drawn at 0.5, below its lower end.
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
        f"near-duplicates: {threshold:g} or more",
        (threshold, 1),
        xytext=(6, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        color=MUTED,
    )
    ax.set(
        yscale="log",
        xlabel="Similarity (correlation of the filtered, aligned images)",
        xlim=(edges[0], 1.0),
    )
    ax.set_ylabel("Pairs per 0.02 of similarity")
    ax.set_ylim(bottom=0.7, top=max(10, ax.get_ylim()[1] * 1.6))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=2)
    return figure
