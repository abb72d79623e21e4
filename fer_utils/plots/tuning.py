"""Figures of searches for hyperparameters."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, SECOND, WIDTH

LOGARITHMIC = ("learning_rate", "weight_decay")


def trials(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """Each trial's score against each hyperparameter, the best one marked, and the best so far by trial."""
    done = ledger[ledger["status"] == "completed"].sort_values("trial")
    panels = ["trial", *hyperparameters]
    across = len(panels) if len(panels) <= 5 else 4
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.4 * down), layout="constrained")
    axes = figure.subplots(down, across, sharey=True, squeeze=False)
    for spare in axes.flat[len(panels) :]:
        spare.remove()
    best = done.loc[done["val_accuracy"].idxmax()]
    for ax, column in zip(axes.flat, panels, strict=False):
        # What means nothing beside the others has no place on the axis.
        some = done[done[column].notna()]
        values, found = some[column], best[column]
        if not pd.api.types.is_numeric_dtype(values):
            words = sorted(set(values))
            ax.set(xticks=range(len(words)), xlim=(-0.6, len(words) - 0.4))
            ax.set_xticklabels([word.replace("_", "\n") for word in words])
            values, found = (
                values.map(words.index),
                words.index(found) if found in words else np.nan,
            )
        ax.scatter(values, 100 * some["val_accuracy"], color=ACCENT, s=26, alpha=0.8, zorder=2)
        ax.scatter(
            found,
            100 * best["val_accuracy"],
            color=SECOND,
            s=90,
            marker="*",
            zorder=3,
            label="best",
        )
        ax.set_xlabel(column.replace("_", " "))
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.tick_params(axis="x", labelsize=8)
        if (
            column != "trial"
            and pd.api.types.is_numeric_dtype(some[column])
            and values.nunique() <= 4
        ):
            few = sorted(set(values))
            # Values that were chosen from are marked; where a search came close to one twice, labels would overlap.
            if len(few) == 1 or min(np.diff(few)) > 0.2 * np.ptp(few):
                ax.set_xticks(few)
        if column in LOGARITHMIC:
            ax.set_xscale("log")
            # A search's range may hold no power of ten, which is all that is labelled otherwise.
            ax.set_xticks(np.geomspace(values.min(), values.max(), 3))
            ax.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:.2g}"))
            ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    first = axes[0, 0]
    first.step(
        done["trial"],
        100 * done["val_accuracy"].cummax(),
        where="post",
        color=MUTED,
        linewidth=1.2,
        zorder=1,
        label="best so far",
    )
    first.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    for ax in axes[:, 0]:
        ax.set_ylabel("PublicTest accuracy, %")
    first.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def parallel_coordinates(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """A line a trial through its hyperparameters to its score, lighter the lower that is; the best is orange.

    A line is broken where a hyperparameter means nothing beside the others. Failed trials are dotted, and end before
    the score.
    """
    columns = [*hyperparameters, "val_accuracy"]
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    ax = figure.subplots()
    places, ends = {}, []
    for column in columns:
        places[column], low, high = placed(ledger[column], column)
        ends.append((low, high))
    scores = ledger["val_accuracy"].rank(pct=True)
    for index in ledger.sort_values("val_accuracy", na_position="first").index:
        line = [places[column][index] for column in columns]
        best = index == ledger["val_accuracy"].idxmax()
        failed = ledger.loc[index, "status"] != "completed"
        style: dict[str, Any] = {"color": ACCENT, "linewidth": 1.3}
        if failed:
            style = {"color": MUTED, "linestyle": ":", "linewidth": 1.2}
        if best:
            style = {"color": SECOND, "linewidth": 2.6, "zorder": 4}
        alpha = 0.9 if best or failed else 0.12 + 0.7 * scores[index]
        ax.plot(range(len(columns)), line, marker="o", ms=3, alpha=alpha, **style)
    for x, (column, (low, high)) in enumerate(zip(columns, ends, strict=True)):
        ax.plot([x, x], [0, 1], color=INK, linewidth=0.8, zorder=0)
        for y, text, side in ((0, low, "top"), (1, high, "bottom")):
            ax.annotate(
                text,
                (x, y),
                (0, 5 if y else -5),
                textcoords="offset points",
                ha="center",
                va=side,
                fontsize=7.5,
                color=MUTED,
            )
        words = (
            sorted(set(ledger[column].dropna()))
            if not pd.api.types.is_numeric_dtype(ledger[column])
            else []
        )
        for y, word in zip(np.linspace(0, 1, len(words))[1:-1], words[1:-1], strict=True):
            ax.annotate(
                word,
                (x, y),
                (4, 0),
                textcoords="offset points",
                fontsize=7.5,
                color=MUTED,
                va="center",
            )
    names = [*(name.replace("_", "\n") for name in hyperparameters), "PublicTest\naccuracy"]
    ax.set(
        xticks=range(len(columns)), yticks=[], xlim=(-0.4, len(columns) - 0.6), ylim=(-0.14, 1.14)
    )
    ax.set_xticklabels(names, fontsize=8.5)
    ax.tick_params(axis="x", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure


def placed(column: pd.Series, name: str) -> tuple[pd.Series, str, str]:
    """Where values lie between 0 and 1 on their axis, and what stands at its ends."""
    if not pd.api.types.is_numeric_dtype(column):
        words = sorted(set(column.dropna()))
        numbers = column.map(words.index, na_action="ignore").astype(float)
        low, high = words[0].replace("_", "\n"), words[-1].replace("_", "\n")
    else:
        numbers = (np.log10(column) if name in LOGARITHMIC else column).astype(float)
        form = "{:.1%}" if name == "val_accuracy" else "{:.3g}"
        low, high = form.format(column.min()), form.format(column.max())
    span = numbers.max() - numbers.min()
    if not span > 0:  # all alike
        return numbers * 0 + 0.5, "", high
    return (numbers - numbers.min()) / span, low, high


def importance(table: pd.DataFrame) -> Figure:
    """How much each hyperparameter adds to what can be predicted of a trial's score, with its deviation over folds.

    Args:
        table: as `tuning.importance` gives it.
    """
    figure = Figure(figsize=(WIDTH, 1.4 + 0.3 * len(table)), layout="constrained")
    ax = figure.subplots()
    names = [name.replace("_", " ") for name in table["hyperparameter"]]
    ax.barh(
        names,
        100 * table["importance"],
        xerr=100 * table["deviation"],
        color=ACCENT,
        ecolor=MUTED,
        height=0.6,
    )
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.invert_yaxis()
    explained = table["explained"].iloc[0] if len(table) else float("nan")
    ax.set_xlabel(
        "error gained when it is shuffled, points of PublicTest accuracy (mean and deviation over folds)"
    )
    said = "none of it can be trusted" if explained <= 0 else "of the scores of trials left out"
    ax.set_title(f"Explained variance {explained:.0%}, {said}")
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def against_random(table: pd.DataFrame, name: str = "search") -> Figure:
    """A search's best so far against its compute, over the band that a random search's best lies in.

    Args:
        table: as `tuning.against_random` gives it.
        name: the search's, for the legend.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    epochs = table["epochs"]
    ax.fill_between(
        epochs,
        100 * table["random_low"],
        100 * table["random_high"],
        step="post",
        color=MUTED,
        alpha=0.22,
        linewidth=0,
        label="random search, 9 of 10 cases",
    )
    ax.step(
        epochs, 100 * table["random_mean"], where="post", color=MUTED, label="random search, mean"
    )
    ax.step(epochs, 100 * table["best"], where="post", color=ACCENT, linewidth=2, label=name)
    ax.plot(epochs, 100 * table["best"], "o", color=ACCENT, ms=4)
    ax.set(
        xlabel="epochs trained, all trials together", ylabel="best PublicTest accuracy so far, %"
    )
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.legend(loc="lower right", fontsize=9)
    return figure


def retrained(table: pd.DataFrame) -> Figure:
    """What a search said of its winners, and what they are over other seeds.

    Args:
        table: as `tuning.retrained_table` gives it.
    """
    figure = Figure(figsize=(WIDTH, 1.2 + 0.5 * len(table)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(table))
    share = 100 * table[["mean", "low", "high", "search_accuracy"]]
    spread = [share["mean"] - share["low"], share["high"] - share["mean"]]
    ax.errorbar(
        share["mean"],
        rows,
        xerr=spread,
        fmt="o",
        color=ACCENT,
        capsize=4,
        label=f"mean of {table['runs'].iloc[0]} other seeds, 95 % interval",
    )
    ax.scatter(
        share["search_accuracy"], rows, marker="D", color=SECOND, zorder=3, label="in the search"
    )
    ax.set(yticks=rows, xlabel="PublicTest accuracy, %", ylim=(len(table) - 0.4, -0.6))
    ax.set_yticklabels(table["model"])
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncols=2, fontsize=9)
    return figure
