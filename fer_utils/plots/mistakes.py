"""Figures of errors: confusion matrix, single predictions, human confusions, agreement."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval, probabilities
from fer_utils.evaluation.wording import percent
from fer_utils.plots.style import (
    ACCENT,
    COLOURS,
    GRID,
    INK,
    MANY,
    MUTED,
    SECOND,
    WIDTH,
    draw_face,
)

_COLUMNS = 8
"""Faces per row of `plot_predictions`."""
_NAMED = 10
"""Largest number of named pairs in `plot_human_confusions`."""


def plot_confusion(table: pd.DataFrame) -> Figure:
    """Plot a confusion matrix: shares of the true emotion's images (row), with counts.

    Args:
        table: counts as returned by `mistakes.confusion`.
    """
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
        cbar_kws={"label": "Share of the true emotion's images (%)", "shrink": 0.8},
        ax=ax,
    )
    ax.set(xlabel="Predicted emotion", ylabel="True emotion")
    ax.tick_params(length=0)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    return figure


def plot_predictions(faces: Faces, logits: np.ndarray, chosen: Sequence[int]) -> Figure:
    """Show faces with their label above and the prediction with its probability below.

    Correct predictions are green, wrong ones are orange.

    Args:
        faces: n faces.
        logits: (n, 7).
        chosen: indices of the faces to show.
    """
    shares = probabilities(logits)
    rows = max(1, -(-len(chosen) // _COLUMNS))
    figure = Figure(figsize=(WIDTH, 1.72 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, index in zip(axes, chosen, strict=False):
        draw_face(ax, faces.images[index])
        best = int(shares[index].argmax())
        correct = best == faces.emotion[index]
        colour = COLOURS["disgust"] if correct else COLOURS["angry"]
        ax.set_title(
            EMOTIONS[faces.emotion[index]], loc="center", fontsize=9, fontweight="normal", pad=3
        )
        ax.set_xlabel(
            f"{EMOTIONS[best]} {percent(shares[index, best], 0)}",
            color=colour,
            fontsize=9,
            fontweight="bold",
            labelpad=2,
        )
        ax.axis("on")
    return figure


def plot_human_confusions(pairs: pd.DataFrame) -> Figure:
    """Plot the model's confusion rate of each pair of emotions against the share of FER+ votes.

    Points have the colour of the label and a 95 % interval. The `_NAMED` most confused pairs have
    names, unless there is no space.

    Args:
        pairs: as returned by `mistakes.confused_pairs`, of faces with votes.
    """
    pairs = pairs.dropna(subset=["share", "tagger_rate"])
    figure = Figure(figsize=(WIDTH, WIDTH * 0.6), layout="constrained")
    ax = figure.subplots()
    for emotion, rows in pairs.groupby("emotion", sort=False):
        x, y = 100 * rows["tagger_rate"], 100 * rows["share"]
        ends = np.abs([y - 100 * rows["low"], 100 * rows["high"] - y])
        ax.errorbar(
            x,
            y,
            ends,
            fmt="o",
            color=COLOURS[emotion],
            ms=6,
            elinewidth=1,
            alpha=0.9,
            label=emotion,
        )
    reach = 1.06 * 100 * max(pairs["tagger_rate"].max(), pairs["high"].max(), 0.01)
    ax.plot([0, reach], [0, reach], color=MUTED, linewidth=1, linestyle=(0, (4, 4)), zorder=0)
    ax.set(
        xlim=(-0.02 * reach, reach),
        ylim=(-0.02 * reach, 100 * 1.06 * max(pairs["high"].max(), 0.01)),
    )
    ax.set_xlabel("FER+ votes for the other emotion (%), mean over the label's images")
    ax.set_ylabel("Model's predictions of the other emotion (%), 95 % intervals")
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    handles, labels = ax.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    emotions = [emotion for emotion in EMOTIONS if emotion in by_label]
    ax.legend(
        [by_label[emotion] for emotion in emotions],
        emotions,
        title="Label",
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    top = pairs.sort_values("share", ascending=False).head(_NAMED)
    top = top[top["images"] > 0]
    names = [f"{row.emotion} → {row.answer}" for row in top.itertuples()]
    _place(ax, names, 100 * top["tagger_rate"].to_numpy(), 100 * top["share"].to_numpy())
    return figure


def plot_model_agreement(pairs: pd.DataFrame) -> Figure:
    """Plot two matrices: equal predictions, and equal predictions where both models are wrong.

    Args:
        pairs: as returned by `agreement.model_agreement`, of two or more models.
    """
    names = list(dict.fromkeys([*pairs["model"], *pairs["other"]]))
    side = 1.5 + 0.42 * len(names)
    stacked = len(names) > MANY  # two wide matrices do not fit beside each other
    size = (WIDTH, 2 * side) if stacked else (WIDTH, min(side, WIDTH * 0.62))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    titles = {"same": "Equal predictions", "same_wrong": "Equal predictions, both wrong"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        matrix = pairs.pivot(index="other", columns="model", values=column).reindex(
            index=names[1:], columns=names[:-1]
        )
        sns.heatmap(
            100 * matrix,
            annot=True,
            fmt=".0f",
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            linewidths=1,
            annot_kws={"fontsize": 8.5},
            cbar=stacked or ax is axes[-1],
            cbar_kws={"label": "Share of the images (%)", "shrink": 0.7},
            ax=ax,
        )
        ax.set(title=title, xlabel="", ylabel="")
        ax.tick_params(length=0)
        ax.set_xticks(
            ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor"
        )
        ax.set_yticks(
            ax.get_yticks(),
            ax.get_yticklabels() if stacked or ax is axes[0] else [""] * (len(names) - 1),
            rotation=0,
        )
    return figure


def plot_solved_by(table: pd.DataFrame) -> Figure:
    """Plot the share of images by the number of correct models, with 95 % intervals.

    Orange points are the shares if errors were independent.

    Args:
        table: as returned by `agreement.solved_by`.
    """
    figure = Figure(figsize=(WIDTH * 0.72, 3.0), layout="constrained")
    ax = figure.subplots()
    total = int(table["images"].sum())
    share = 100 * table["share"]
    ends = 100 * np.array([accuracy_interval(value, total) for value in table["share"]]).T
    ax.bar(table["models"], share, color=ACCENT, width=0.72, label="measured", zorder=2)
    ax.errorbar(
        table["models"],
        share,
        np.abs(ends - share.to_numpy()),
        fmt="none",
        ecolor=INK,
        elinewidth=1,
        zorder=3,
    )
    ax.plot(
        table["models"],
        100 * table["expected"],
        "o",
        ms=6,
        color=SECOND,
        label="if errors were independent",
        zorder=4,
    )
    ax.set_xticks(table["models"][:: 2 if len(table) > MANY + 1 else 1])
    ax.set(xlabel=f"Correct models of {len(table) - 1}", ylabel="Images (%), 95 % intervals")
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _place(ax, names: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Write names beside points (n,), in order.

    A name that would cover a point, an interval or another name at every tried place is left out.
    """
    FigureCanvasAgg(ax.figure)
    ax.figure.draw_without_rendering()
    scale = ax.figure.dpi / 72
    points = np.concatenate(
        [np.column_stack(line.get_data()) for line in ax.lines if line.get_marker() == "o"]
    )
    taken = [Bbox.from_bounds(px - 4, py - 4, 8, 8) for px, py in ax.transData.transform(points)]
    intervals = [segment for bars in ax.collections for segment in bars.get_segments()]
    taken += [Bbox(ax.transData.transform(segment)).padded(1) for segment in intervals]
    for name, at in zip(names, np.column_stack([x, y]), strict=True):
        text = ax.annotate(name, at, (0, 0), textcoords="offset points", fontsize=8.5)
        # The layout must not change, because places are computed from it.
        text.set_in_layout(False)
        box = text.get_window_extent()
        for away, to_x, to_y in _places(box.width / scale):
            moved = box.translated(to_x * scale, to_y * scale - box.height / 2)
            within = (
                ax.bbox.x0 < moved.x0
                and moved.x1 < ax.bbox.x1
                and ax.bbox.y0 < moved.y0
                and moved.y1 < ax.bbox.y1
            )
            if within and not any(moved.overlaps(other) for other in taken):
                text.set_position((to_x, to_y - box.height / scale / 2))
                taken.append(moved)
                if away > 8:
                    _lead(ax, at, moved, COLOURS[name.split(" ")[0]])
                break
        else:
            text.remove()


def _places(width: float) -> list[tuple[float, float, float]]:
    """Return the places to try for a name of this width, nearest first, in typographic points.

    Each is a distance and the offset of the name's left end: beside, above and below the point.
    """
    places: list[tuple[float, float, float]] = []
    for away in (8, 14, 22, 32, 44, 58):
        for height in (0, 7, -7, 16, -16, 28, -28, 42):
            places += [(away, away, height), (away, -away - width, height)]
        places += [(away, -width / 2, away + 3), (away, -width / 2, -away - 3)]
    return places


def _lead(ax, point: np.ndarray, name: Bbox, colour: str) -> None:
    """Draw a thin line from a point to the nearest end of its name."""
    x, y = ax.transData.transform(point)
    end = ax.transData.inverted().transform(
        (np.clip(x, name.x0, name.x1), np.clip(y, name.y0, name.y1))
    )
    ax.plot(*zip(point, end, strict=True), color=colour, linewidth=0.8, zorder=0)
