"""Figures of explanations: mean occlusion maps on mean faces, and evidence by region."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fer_utils.analysis.explanation import REGIONS
from fer_utils.emotions import EMOTIONS
from fer_utils.plots.style import COLOURS, GRID, INK, MUTED, WIDTH, draw_face

_MAP = "vlag"
"""Seaborn's diverging map: perceptually uniform and suitable for colour-blind readers."""

_OPACITY = 0.72


def plot_occlusion_maps(
    faces: np.ndarray, trained: np.ndarray, untrained: np.ndarray, images: np.ndarray
) -> Figure:
    """Show mean faces with the regions, and the mean maps of a trained and a random network.

    Each network has its own scale in nats. The logits of a random network hardly change, so its
    maps would be blank on the trained network's scale. 2 % of the values lie beyond the scale.

    Args:
        faces: mean image of each emotion, float (7, 48, 48), grey levels 0 to 255; NaN without
            images.
        trained: mean map of each emotion, float (7, 48, 48), nats; NaN without images.
        untrained: the same for the random network.
        images: number of images of each emotion, int (7,).
    """
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    axes = figure.subplots(3, len(EMOTIONS))
    for column, emotion in enumerate(EMOTIONS):
        there = bool(images[column])
        axes[0, column].set_title(
            f"{emotion}\n({images[column]:,})", loc="center", fontweight="normal", fontsize=10
        )
        # The mean of few images has more contrast. Each is stretched to the full grey scale.
        draw_face(axes[0, column], faces[column] if there else None, vmin=None, vmax=None)
        for top, bottom, left, right in REGIONS.values() if there else ():
            # Pixel centres are at whole numbers, so boxes start half a pixel earlier.
            box = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False)
            box.set(edgecolor=COLOURS["happy"], linewidth=1)
            axes[0, column].add_patch(box)
    for row, maps in enumerate((trained, untrained), start=1):
        reach = float(np.nanquantile(np.abs(maps), 0.98) if np.any(images) else 0) or 1.0
        for column, (face, one) in enumerate(zip(faces, maps, strict=True)):
            there = bool(images[column])
            draw_face(axes[row, column], face if there else None, vmin=None, vmax=None)
            if there:
                axes[row, column].imshow(one, cmap=_MAP, vmin=-reach, vmax=reach, alpha=_OPACITY)
        shown = ScalarMappable(Normalize(-reach, reach), sns.color_palette(_MAP, as_cmap=True))
        options: dict[str, Any] = {
            "location": "right",
            "shrink": 0.95,
            "pad": 0.01,
            "aspect": 12,
            "extend": "both",
        }
        bar = figure.colorbar(shown, ax=axes[row, :], **options)
        bar.set_label("Drop in log-prob-\nability (nats)", fontsize=8.5)
        bar.ax.tick_params(labelsize=8.5)
    for ax in axes.ravel():
        ax.set_aspect("equal")  # the empty ones too
    for ax, name in zip(axes[:, 0], ("mean face", "trained", "random\nweights"), strict=True):
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def plot_region_shares(table: pd.DataFrame, untrained: pd.DataFrame) -> Figure:
    """Plot the share of each region in the evidence for each emotion, with 95 % intervals.

    The dashed line is the region's share of the area.

    Args:
        table: as returned by `explanation.region_table`.
        untrained: the same for a random network, with hollow markers.
    """
    regions = list(table["region"].unique())
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, len(regions), sharex=True, sharey=True)
    for ax, region in zip(axes, regions, strict=True):
        rows = table[table["region"] == region]
        ax.axvline(100 * rows["area"].iloc[0], color=MUTED, linestyle="--", linewidth=1, zorder=1)
        _dots(ax, rows, -0.16, hollow=False)
        _dots(ax, untrained[untrained["region"] == region], 0.2, hollow=True)
        ax.set_title(region, fontsize=10)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
    axes[0].set_yticks(range(len(EMOTIONS)), EMOTIONS)
    axes[0].set_ylim(len(EMOTIONS) - 0.5, -0.5)
    axes[0].set_xlim(left=0)
    figure.supxlabel("Share of the evidence for the emotion (%)", fontsize=10, color=INK)
    for fill, label in ((INK, "trained"), ("none", "random weights")):
        axes[-1].plot([], [], "o", markerfacecolor=fill, markeredgecolor=INK, label=label)
    axes[-1].plot([], [], "--", color=MUTED, linewidth=1, label="share of the area")
    figure.legend(
        *axes[-1].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=9
    )
    return figure


def _dots(ax, rows: pd.DataFrame, offset: float, *, hollow: bool) -> None:
    """Draw the shares of one region with their intervals, one row per emotion."""
    for row in rows.itertuples():
        y, colour = EMOTIONS.index(row.emotion) + offset, COLOURS[row.emotion]
        ax.plot(
            [100 * row.low, 100 * row.high],
            [y, y],
            color=colour,
            linewidth=1.2 if hollow else 2,
            zorder=2,
        )
        ax.plot(
            100 * row.share,
            y,
            "o",
            markersize=5,
            markeredgecolor=colour,
            markerfacecolor="white" if hollow else colour,
            zorder=3,
        )
