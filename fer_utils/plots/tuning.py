"""Figures of hyperparameter searches."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.evaluation.wording import percent
from fer_utils.plots.style import ACCENT, GRID, INK, MUTED, SECOND, WIDTH

LOGARITHMIC = ("learning_rate", "weight_decay")


def plot_trials(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """Plot PublicTest accuracy against each hyperparameter and against the trial's number.

    A star marks the best trial. The first panel also shows the best accuracy so far.

    Args:
        ledger: one row per trial.
        hyperparameters: columns of the ledger that have a panel.
    """
    done = ledger[ledger["status"] == "completed"].sort_values("trial")
    panels = ["trial", *hyperparameters]
    across = len(panels) if len(panels) <= 5 else 4
    down = -(-len(panels) // across)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.4 * down), layout="constrained")
    axes = figure.subplots(down, across, sharey=True, squeeze=False)
    for unused in axes.flat[len(panels) :]:
        unused.remove()
    best = done.loc[done["val_accuracy"].idxmax()]
    for ax, column in zip(axes.flat, panels, strict=False):
        # Trials to which the hyperparameter does not apply are left out.
        applied = done[done[column].notna()]
        values, of_best = applied[column], best[column]
        if not pd.api.types.is_numeric_dtype(values):
            categories = sorted(set(values))
            ax.set(xticks=range(len(categories)), xlim=(-0.6, len(categories) - 0.4))
            ax.set_xticklabels([category.replace("_", "\n") for category in categories])
            values = values.map(categories.index)
            of_best = categories.index(of_best) if of_best in categories else np.nan
        ax.scatter(values, 100 * applied["val_accuracy"], color=ACCENT, s=26, alpha=0.8, zorder=2)
        ax.scatter(
            of_best,
            100 * best["val_accuracy"],
            color=SECOND,
            s=90,
            marker="*",
            zorder=3,
            label="best",
        )
        ax.set_xlabel(_label(column))
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.tick_params(axis="x", labelsize=8)
        numeric = pd.api.types.is_numeric_dtype(applied[column])
        if column != "trial" and numeric and values.nunique() <= 4:
            few = sorted(set(values))
            # Each value has a tick, unless two are so close that their labels would overlap.
            if len(few) == 1 or min(np.diff(few)) > 0.2 * np.ptp(few):
                ax.set_xticks(few)
        if column in LOGARITHMIC:
            ax.set_xscale("log")
            # Matplotlib labels powers of ten only, and a search's range may have none.
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
        ax.set_ylabel("Accuracy on PublicTest (%)")
    first.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def plot_parallel_coordinates(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """Plot each trial as a line through its hyperparameters to its PublicTest accuracy.

    Less accurate trials are lighter, and the best trial is orange. A line is broken where a
    hyperparameter does not apply. Failed trials are dotted and end before the accuracy.

    Args:
        ledger: one row per trial.
        hyperparameters: columns of the ledger that have an axis.
    """
    columns = [*hyperparameters, "val_accuracy"]
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    ax = figure.subplots()
    places, ends = {}, []
    for column in columns:
        places[column], low, high = placed(ledger[column], column)
        ends.append((low, high))
    ranks = ledger["val_accuracy"].rank(pct=True)
    for index in ledger.sort_values("val_accuracy", na_position="first").index:
        line = [places[column][index] for column in columns]
        style: dict[str, Any] = {"color": ACCENT, "linewidth": 1.3}
        style["alpha"] = 0.12 + 0.7 * ranks[index]
        if ledger.loc[index, "status"] != "completed":
            style = {"color": MUTED, "linestyle": ":", "linewidth": 1.2, "alpha": 0.9}
        if index == ledger["val_accuracy"].idxmax():
            style = {"color": SECOND, "linewidth": 2.6, "zorder": 4, "alpha": 0.9}
        ax.plot(range(len(columns)), line, marker="o", ms=3, **style)
    text: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "color": MUTED}
    for x, (column, (low, high)) in enumerate(zip(columns, ends, strict=True)):
        ax.plot([x, x], [0, 1], color=INK, linewidth=0.8, zorder=0)
        ax.annotate(low, (x, 0), (0, -5), ha="center", va="top", **text)
        ax.annotate(high, (x, 1), (0, 5), ha="center", va="bottom", **text)
        if not pd.api.types.is_numeric_dtype(ledger[column]):
            categories = sorted(set(ledger[column].dropna()))
            heights = np.linspace(0, 1, len(categories))
            for y, category in list(zip(heights, categories, strict=True))[1:-1]:
                ax.annotate(category.replace("_", " "), (x, y), (4, 0), va="center", **text)
    names = [_label(name).replace(" ", "\n") for name in hyperparameters]
    ax.set(
        xticks=range(len(columns)), yticks=[], xlim=(-0.4, len(columns) - 0.6), ylim=(-0.14, 1.14)
    )
    ax.set_xticklabels([*names, "Accuracy on\nPublicTest"], fontsize=8.5)
    ax.tick_params(axis="x", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure


def placed(column: pd.Series, name: str) -> tuple[pd.Series, str, str]:
    """Compute positions of values on an axis.

    Args:
        column: numbers or categories.
        name: its name; some numbers have a logarithmic axis.

    Returns:
        Positions from 0 to 1, NaN for missing values, and the labels of the lower and upper end.
    """
    if not pd.api.types.is_numeric_dtype(column):
        categories = sorted(set(column.dropna()))
        numbers = column.map(categories.index, na_action="ignore").astype(float)
        low, high = categories[0].replace("_", "\n"), categories[-1].replace("_", "\n")
    else:
        numbers = (np.log10(column) if name in LOGARITHMIC else column).astype(float)
        low, high = f"{column.min():.3g}", f"{column.max():.3g}"
        if name == "val_accuracy":
            low, high = percent(column.min()), percent(column.max())
    span = numbers.max() - numbers.min()
    if not span > 0:
        # All values are equal.
        return numbers * 0 + 0.5, "", high
    return (numbers - numbers.min()) / span, low, high


def plot_importance(table: pd.DataFrame) -> Figure:
    """Plot the permutation importance of each hyperparameter.

    Lines are standard deviations over folds.

    Args:
        table: as returned by `tuning.importance`.
    """
    figure = Figure(figsize=(WIDTH, 1.4 + 0.3 * len(table)), layout="constrained")
    ax = figure.subplots()
    ax.barh(
        [_label(name) for name in table["hyperparameter"]],
        100 * table["importance"],
        xerr=100 * table["deviation"],
        color=ACCENT,
        ecolor=MUTED,
        height=0.6,
    )
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.invert_yaxis()
    ax.set_xlabel(
        "Increase of the prediction error when shuffled (points of PublicTest accuracy, mean ± SD)"
    )
    explained = table["explained"].iloc[0] if len(table) else float("nan")
    warning = " (importances not reliable)" if explained <= 0 else ""
    ax.set_title(f"Explained variance of held-out trials: {percent(explained, 0)}{warning}")
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def plot_against_random(table: pd.DataFrame, name: str) -> Figure:
    """Plot the best accuracy so far of a search and of random search, against compute.

    The band contains the best of a random search with a probability of 90 %.

    Args:
        table: as returned by `tuning.against_random`.
        name: name of the search, for the legend.
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
        label="random search, 90 % interval",
    )
    ax.step(
        epochs, 100 * table["random_mean"], where="post", color=MUTED, label="random search, mean"
    )
    ax.step(epochs, 100 * table["best"], where="post", color=ACCENT, linewidth=2, label=name)
    ax.plot(epochs, 100 * table["best"], "o", color=ACCENT, ms=4)
    ax.set(
        xlabel="Epochs trained, all trials together",
        ylabel="Best accuracy on PublicTest so far (%)",
    )
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.legend(loc="lower right", fontsize=9)
    return figure


def plot_retrained(table: pd.DataFrame) -> Figure:
    """Plot the accuracy of recipes in the search and their mean accuracy with other seeds.

    Args:
        table: as returned by `tuning.retrained_table`.
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
    ax.set(yticks=rows, xlabel="Accuracy on PublicTest (%)", ylim=(len(table) - 0.4, -0.6))
    ax.set_yticklabels(table["model"])
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncols=2, fontsize=9)
    return figure


def _label(column: str) -> str:
    """Return the axis label of a hyperparameter: "learning_rate" becomes "Learning rate"."""
    return column.replace("_", " ").capitalize()
