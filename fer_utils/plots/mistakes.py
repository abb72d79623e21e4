"""Figures of mistakes: what is confused with what, single answers, people's confusions, agreement of models."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import probabilities
from fer_utils.faces import Faces
from fer_utils.plots.style import COLOURS, WIDTH, draw_face


def confusion(table: pd.DataFrame) -> Figure:
    """Confusion matrix: share of each true emotion's images (row) given each prediction, with counts."""
    rates = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    text = [
        [f"{100 * rate:.0f}\n{count:,}" for rate, count in zip(rate_row, count_row, strict=True)]
        for rate_row, count_row in zip(rates.to_numpy(), table.to_numpy(), strict=True)
    ]
    figure = Figure(figsize=(WIDTH * 0.72, WIDTH * 0.6), layout="constrained")
    ax = figure.subplots()
    sns.heatmap(
        100 * rates,
        annot=text,
        fmt="",
        cmap="Blues",
        vmin=0,
        vmax=100,
        square=True,
        linewidths=1,
        annot_kws={"fontsize": 8.5},
        cbar_kws={"label": "% of the true emotion's images", "shrink": 0.8},
        ax=ax,
    )
    ax.tick_params(length=0)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    return figure


def predictions(faces: Faces, logits: np.ndarray, chosen: Sequence[int], columns: int = 8) -> Figure:
    """Faces with their label and, below it, the prediction and its probability; green right, orange wrong.

    Args:
        faces: n faces.
        logits: (n, 7).
        chosen: indices of those shown.
    """
    shares = probabilities(logits)
    rows = max(1, -(-len(chosen) // columns))
    figure = Figure(figsize=(WIDTH, 1.72 * rows * 8 / columns), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, index in zip(axes, chosen, strict=False):
        draw_face(ax, faces.images[index])
        best = int(shares[index].argmax())
        right = best == faces.emotion[index]
        colour = COLOURS["disgust"] if right else COLOURS["angry"]
        ax.set_title(EMOTIONS[faces.emotion[index]], loc="center", fontsize=9, fontweight="normal", pad=3)
        ax.set_xlabel(
            f"{EMOTIONS[best]} {shares[index, best]:.0%}", color=colour, fontsize=9, fontweight="bold", labelpad=2
        )
        ax.axis("on")
    return figure
