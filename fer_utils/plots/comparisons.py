"""Figures that compare models: every pair of them, and scores on variants of a split."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fer_utils.evaluation.wording import number
from fer_utils.plots.style import ACCENT, GRID, LINES, MANY, MUTED, WIDTH

MARKS = ("o", "s", "D", "^", "v", "P", "X", "<", ">")
"""Markers of models: nine models can be distinguished without colours."""


def plot_pairwise(table: pd.DataFrame) -> Figure:
    """Plot the difference in accuracy of each pair of models, the better one in the row.

    Models are sorted, best first. A cell has the difference and, up to `MANY` models, its interval.
    Significant differences, after Holm's correction, are bold on a fill that is darker for larger
    differences. The other cells are hatched.

    Args:
        table: as returned by `evaluation.compare_all`: model, other, difference, low, high (0 to
            1), significant.
    """
    names = _best_first(table)
    cells = len(names) - 1
    many = len(names) > MANY
    height = 1.7 + (0.36 if many else 0.6) * cells
    figure = Figure(figsize=(min(WIDTH, 4.2 + 0.85 * cells), height), layout="constrained")
    ax = figure.subplots()
    most = max(table["difference"].abs().max(), 1e-9)
    for row in table.to_dict("records"):
        y, x = names.index(row["model"]), names.index(row["other"])
        difference, low, high = (100 * row[key] for key in ("difference", "low", "high"))
        if y > x:
            # The table has the worse model first: swap them.
            y, x, difference, low, high = x, y, -difference, -high, -low
        options: dict[str, Any] = {
            "facecolor": "white",
            "edgecolor": GRID,
            "hatch": "////",
            "linewidth": 0,
        }
        if row["significant"]:
            options = {"facecolor": _tint(0.12 + 0.43 * abs(row["difference"]) / most)}
        ax.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, **options))
        weight = "bold" if row["significant"] else "normal"
        style: dict[str, Any] = {"ha": "center", "va": "center"}
        text = number(difference, sign=True)
        if many:
            ax.text(x, y, text, size=7.5, weight=weight, **style)
        else:
            ax.text(x, y - 0.15, text, size=10, weight=weight, **style)
            ax.text(x, y + 0.22, f"{number(low)} to {number(high)}", size=7.5, **style)
    ax.set(xlim=(0.5, cells + 0.5), ylim=(cells - 0.5, -0.5))
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    turned = 55 if many else 20
    ax.set_xticks(
        range(1, cells + 1), names[1:], rotation=turned, ha="left", rotation_mode="anchor"
    )
    ax.set_yticks(range(cells), names[:-1])
    ax.tick_params(length=0)
    ax.set_ylabel("Better model")
    unit = "difference in points" if many else "difference in points, 95 % interval"
    ax.set_xlabel(f"Worse model\n({unit})", labelpad=8)
    for spine in ax.spines.values():
        spine.set_visible(False)
    figure.legend(
        handles=[
            Rectangle(
                (0, 0), 1, 1, facecolor=_tint(0.4), label="significant after Holm's correction"
            ),
            Rectangle(
                (0, 0),
                1,
                1,
                facecolor="white",
                edgecolor=MUTED,
                hatch="////",
                label="not significant",
            ),
        ],
        loc="outside lower center",
        ncols=2 if cells > 2 else 1,
    )
    return figure


def plot_variants(table: pd.DataFrame) -> Figure:
    """Plot accuracy and macro F1 of every model on each variant of a split, with 95 % intervals.

    Args:
        table: as returned by `variants.side_by_side`: model, variant, images, accuracy, low, high,
            macro_f1, macro_f1_low, macro_f1_high (0 to 1; NaN for a variant without images).
    """
    variants, models = (list(dict.fromkeys(table[key])) for key in ("variant", "model"))
    figure = Figure(
        figsize=(WIDTH, 1.2 + len(variants) * (0.3 + 0.13 * len(models))), layout="constrained"
    )
    axes = figure.subplots(1, 2, sharey=True)
    shift = 0.72 * ((np.arange(len(models)) + 0.5) / len(models) - 0.5)
    scores = {
        "Accuracy": ("accuracy", "low", "high"),
        "Macro F1": ("macro_f1", "macro_f1_low", "macro_f1_high"),
    }
    for ax, (title, columns) in zip(axes, scores.items(), strict=True):
        for y in range(0, len(variants), 2):
            ax.axhspan(y - 0.5, y + 0.5, color=GRID, alpha=0.35, linewidth=0)
        for place, model in enumerate(models):
            chosen = table[table["model"] == model]
            value, low, high = (100 * chosen[column].to_numpy(np.float64) for column in columns)
            ax.errorbar(
                value,
                [variants.index(variant) + shift[place] for variant in chosen["variant"]],
                xerr=[value - low, high - value],
                fmt=MARKS[place % len(MARKS)],
                color=LINES[place % len(LINES)],
                ms=5,
                elinewidth=1.6,
                label=model,
            )
        ax.set_xlabel(f"{title} (%), 95 % intervals")
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        ax.set_ylim(len(variants) - 0.5, -0.5)
    images = table.drop_duplicates("variant")["images"]
    axes[0].set_yticks(
        range(len(variants)), [f"{v}\n{n:,} images" for v, n in zip(variants, images, strict=True)]
    )
    for ax in axes:
        ax.tick_params(axis="y", length=0)
    if len(models) > 1:
        # As many columns as fit, at about 0.1 inch per letter; then rows of similar length.
        fit = max(1, int(WIDTH / (0.7 + 0.1 * max(map(len, models)))))
        across = -(-len(models) // -(-len(models) // fit))
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=across
        )
    return figure


def _best_first(table: pd.DataFrame) -> list[str]:
    """Sort models by the sum of their differences to the others, best first."""
    ahead = (
        table.groupby("model")["difference"]
        .sum()
        .sub(table.groupby("other")["difference"].sum(), fill_value=0)
    )
    return ahead.sort_values(ascending=False, kind="stable").index.tolist()


def _tint(share: float) -> tuple[float, ...]:
    """Mix white with a share, 0 to 1, of the accent colour."""
    return tuple(1 - share * (1 - part) for part in to_rgb(ACCENT))
