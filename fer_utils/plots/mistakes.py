"""Figures of mistakes: what is confused with what, single answers, people's confusions, agreement of models."""

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
from fer_utils.plots.style import ACCENT, COLOURS, GRID, INK, MUTED, SECOND, WIDTH, draw_face


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


def predictions(
    faces: Faces, logits: np.ndarray, chosen: Sequence[int], columns: int = 8
) -> Figure:
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
        correct = best == faces.emotion[index]
        colour = COLOURS["disgust"] if correct else COLOURS["angry"]
        ax.set_title(
            EMOTIONS[faces.emotion[index]], loc="center", fontsize=9, fontweight="normal", pad=3
        )
        ax.set_xlabel(
            f"{EMOTIONS[best]} {shares[index, best]:.0%}",
            color=colour,
            fontsize=9,
            fontweight="bold",
            labelpad=2,
        )
        ax.axis("on")
    return figure


def confusions_of_people(pairs: pd.DataFrame, named: int = 10) -> Figure:
    """How often the model takes one emotion for another, against how many of FER+'s votes are for the other.

    A point a pair of emotions, in the colour of the label, with its 95 % interval; the pairs that are confused most
    have their names.

    Args:
        pairs: as `mistakes.confused_pairs` gives them, of faces with votes.
        named: how many have a name.
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
    ax.set_xlabel("FER+ votes for the other emotion, % (mean over the label's images)")
    ax.set_ylabel("label's images that the model takes for it, %; 95 % intervals")
    ax.grid(color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    handles, labels = ax.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda each: EMOTIONS.index(labels[each]))
    ax.legend(
        [handles[k] for k in order],
        [labels[k] for k in order],
        title="label",
        loc="upper left",
        bbox_to_anchor=(1, 1),
    )
    top = pairs.sort_values("share", ascending=False).head(named)
    top = top[top["images"] > 0]
    names = [f"{row.emotion} → {row.answer}" for row in top.itertuples()]
    _place(ax, names, 100 * top["tagger_rate"].to_numpy(), 100 * top["share"].to_numpy())
    return figure


def model_agreement(pairs: pd.DataFrame) -> Figure:
    """Two matrices over the models: the same answers, and the same wrong answer where both are wrong, in %.

    Args:
        pairs: as `agreement.model_agreement` gives them, of two models at least.
    """
    names = list(dict.fromkeys([*pairs["model"], *pairs["other"]]))
    side = 1.5 + 0.42 * len(names)
    figure = Figure(figsize=(WIDTH, min(side, WIDTH * 0.62)), layout="constrained")
    axes = figure.subplots(1, 2)
    titles = {"same": "same answer", "same_wrong": "same answer, both wrong"}
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
            cbar=ax is axes[-1],
            cbar_kws={"label": "% of the images", "shrink": 0.7},
            ax=ax,
        )
        ax.set(title=title, xlabel="", ylabel="")
        ax.tick_params(length=0)
        ax.set_xticks(
            ax.get_xticks(), ax.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor"
        )
        ax.set_yticks(
            ax.get_yticks(),
            ax.get_yticklabels() if ax is axes[0] else [""] * (len(names) - 1),
            rotation=0,
        )
    return figure


def solved_by(table: pd.DataFrame) -> Figure:
    """Images by how many models have them right, with 95 % intervals, beside what independent errors would give.

    Args:
        table: as `agreement.solved_by` gives it.
    """
    figure = Figure(figsize=(WIDTH * 0.72, 3.0), layout="constrained")
    ax = figure.subplots()
    total = int(table["images"].sum())
    share = 100 * table["share"]
    ends = 100 * np.array([accuracy_interval(each, total) for each in table["share"]]).T
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
    ax.set_xticks(table["models"])
    ax.set(xlabel=f"models that are right, of {len(table) - 1}", ylabel="images, %; 95 % intervals")
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _place(ax, names: Sequence[str], x: np.ndarray, y: np.ndarray) -> None:
    """Write names beside points (n,), the first ones first; one that would hide a point or another name is left out."""
    FigureCanvasAgg(ax.figure)
    ax.figure.draw_without_rendering()
    scale = ax.figure.dpi / 72
    points = np.concatenate(
        [np.column_stack(line.get_data()) for line in ax.lines if line.get_marker() == "o"]
    )
    taken = [Bbox.from_bounds(px - 4, py - 4, 8, 8) for px, py in ax.transData.transform(points)]
    intervals = [each for bars in ax.collections for each in bars.get_segments()]
    taken += [Bbox(ax.transData.transform(each)).padded(1) for each in intervals]
    for name, at in zip(names, np.column_stack([x, y]), strict=True):
        text = ax.annotate(name, at, (0, 0), textcoords="offset points", fontsize=8.5)
        # Placing names must not move the axes that they are placed by.
        text.set_in_layout(False)
        box = text.get_window_extent()
        places = (
            (away, to_x, to_y)
            for away in (8, 14, 22, 32, 44, 58)
            for to_x, to_y in (
                *(
                    (side, height)
                    for height in (0, 7, -7, 16, -16, 28, -28, 42)
                    for side in (away, -away - box.width / scale)
                ),
                *((-box.width / scale / 2, height) for height in (away + 3, -away - 3)),
            )
        )
        for away, to_x, to_y in places:
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


def _lead(ax, point: np.ndarray, name: Bbox, colour: str) -> None:
    """A thin line from a point to the nearest end of its name."""
    x, y = ax.transData.transform(point)
    end = ax.transData.inverted().transform(
        (np.clip(x, name.x0, name.x1), np.clip(y, name.y0, name.y1))
    )
    ax.plot(*zip(point, end, strict=True), color=colour, linewidth=0.8, zorder=0)
