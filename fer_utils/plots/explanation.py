"""Figures of where networks look: mean occlusion maps on mean faces, and shares of the regions."""

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
"""Seaborn's diverging map: perceptually uniform, and blue and red are told apart by colour-blind readers."""

_OPACITY = 0.72


def importance_maps(
    faces: np.ndarray, trained: np.ndarray, untrained: np.ndarray, images: np.ndarray
) -> Figure:
    """Mean faces with the regions' boxes, and the mean maps of a trained and of a random network over them.

    Each network has a scale of its own, in nats: a random network's answers hardly move, and on the trained one's
    scale its maps would be blank, whatever they look like. The scale ends where 2 % of the values lie beyond.

    Args:
        faces: mean image of each emotion, float (7, 48, 48), grey levels 0 to 255; NaN where there is none.
        trained: its mean map, float (7, 48, 48), nats; NaN where there is none.
        untrained: the random network's.
        images: how many each mean is of, int (7,).
    """
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    axes = figure.subplots(3, len(EMOTIONS))
    for column, emotion in enumerate(EMOTIONS):
        there = bool(images[column])
        axes[0, column].set_title(
            f"{emotion}\n({images[column]:,})", loc="center", fontweight="normal", fontsize=10
        )
        # The mean of few images has more contrast than that of many; stretched, all are seen alike.
        draw_face(axes[0, column], faces[column] if there else None, vmin=None, vmax=None)
        for top, bottom, left, right in REGIONS.values() if there else ():
            # Pixel centres are at whole numbers.
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
        bar.set_label("drop in log-prob-\nability, nats", fontsize=8.5)
        bar.ax.tick_params(labelsize=8.5)
    for ax in axes.ravel():
        ax.set_aspect("equal")  # the empty ones too
    for ax, name in zip(axes[:, 0], ("mean face", "trained", "random\nweights"), strict=True):
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def region_shares(table: pd.DataFrame, untrained: pd.DataFrame | None = None) -> Figure:
    """Each region's share of an emotion's evidence with its interval; dashed, what an even spread would give it.

    Args:
        table: as `explanation.region_table` gives it.
        untrained: the same of a random network, drawn hollow below each.
    """
    regions = list(table["region"].unique())
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, len(regions), sharex=True, sharey=True)
    for ax, region in zip(axes, regions, strict=True):
        rows = table[table["region"] == region]
        ax.axvline(100 * rows["area"].iloc[0], color=MUTED, linestyle="--", linewidth=1, zorder=1)
        _dots(ax, rows, 0.0 if untrained is None else -0.16, hollow=False)
        if untrained is not None:
            _dots(ax, untrained[untrained["region"] == region], 0.2, hollow=True)
        ax.set_title(region, fontsize=10)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
    axes[0].set_yticks(range(len(EMOTIONS)), EMOTIONS)
    axes[0].set_ylim(len(EMOTIONS) - 0.5, -0.5)
    axes[0].set_xlim(left=0)
    figure.supxlabel("share of the evidence for the emotion, %", fontsize=10, color=INK)
    said = [("o", INK, "trained")] + [("o", "none", "random weights")] * (untrained is not None)
    for mark, face, label in said:
        axes[-1].plot([], [], mark, markerfacecolor=face, markeredgecolor=INK, label=label)
    axes[-1].plot([], [], "--", color=MUTED, linewidth=1, label="share of the area")
    figure.legend(
        *axes[-1].get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=9
    )
    return figure


def _dots(ax, rows: pd.DataFrame, offset: float, *, hollow: bool) -> None:
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
