"""The study's figures, in one style. Each function returns a Figure and shows nothing."""

from collections.abc import Sequence
from itertools import cycle

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fer_utils.emotions import EMOTIONS, SIDE, USAGES
from fer_utils.evaluation import probabilities
from fer_utils.faces import Faces

INK, MUTED, ACCENT, SECOND = "#1f2933", "#7b8794", "#0b6e99", "#d9730d"
# Okabe & Ito's colours ("Color Universal Design", 2008), which colour-blind readers tell apart.
COLOURS = dict(
    zip(EMOTIONS, ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#56b4e9", "#7b8794"), strict=True)
)
WIDTH = 9.0
"""Width of a figure, inches."""


def use_style() -> None:
    """Set the study's style for all figures that follow."""
    sns.set_theme(
        style="ticks",
        rc={
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.grid": False,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": False,
            "image.cmap": "gray",
            # Same results, same bytes.
            "svg.hashsalt": "fer-study",
        },
    )


def counts(faces: Faces) -> Figure:
    """Share of each emotion in each usage, as bars with the number of images."""
    table = faces.counts().loc[list(USAGES), list(EMOTIONS)]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, usage in zip(axes, USAGES, strict=True):
        numbers = table.loc[usage]
        share = 100 * numbers / max(1, numbers.sum())
        bars = ax.barh(EMOTIONS, share, color=[COLOURS[e] for e in EMOTIONS])
        ax.bar_label(bars, [f"{n:,}" for n in numbers], padding=3, color=MUTED, fontsize=9)
        ax.set(title=f"{usage} ({numbers.sum():,})", xlabel="share of images, %")
        ax.margins(x=0.22)
    axes[0].invert_yaxis()
    return figure


def examples(faces: Faces, per_emotion: int = 8, seed: int = 0) -> Figure:
    """Some images of each emotion, a row an emotion, drawn at random by `seed`."""
    generator = np.random.default_rng(seed)
    figure = Figure(figsize=(WIDTH, WIDTH * len(EMOTIONS) / per_emotion * 0.88), layout="constrained")
    axes = figure.subplots(len(EMOTIONS), per_emotion, squeeze=False)
    for number, emotion in enumerate(EMOTIONS):
        there = np.flatnonzero(faces.emotion == number)
        chosen = generator.permutation(there)[:per_emotion]
        for ax, index in zip(axes[number], [*chosen, *[None] * per_emotion], strict=False):
            _face(ax, None if index is None else faces.images[index])
        axes[number, 0].set_ylabel(emotion, rotation=0, ha="right", va="center", labelpad=8)
    return figure


def mean_faces(faces: Faces) -> Figure:
    """The mean image of each emotion, and below it how it differs from the mean of all (blue darker, red lighter)."""
    everyone = faces.images.mean(axis=0)
    means = [_mean(faces.images[faces.emotion == number], everyone) for number in range(len(EMOTIONS))]
    reach = max(float(np.abs(mean - everyone).max()) for mean in means) or 1.0
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(2, len(EMOTIONS))
    for column, (emotion, mean) in enumerate(zip(EMOTIONS, means, strict=True)):
        _face(axes[0, column], mean)
        axes[0, column].set_title(emotion, loc="center", fontweight="normal", fontsize=10)
        shown = _face(axes[1, column], mean - everyone, cmap="RdBu_r", vmin=-reach, vmax=reach)
    bar = figure.colorbar(shown, ax=axes[1, :], location="right", shrink=0.9, pad=0.01)
    bar.set_label("grey levels")
    axes[0, 0].set_ylabel("mean", rotation=0, ha="right", va="center")
    axes[1, 0].set_ylabel("minus\noverall\nmean", rotation=0, ha="right", va="center")
    return figure


def brightness_and_contrast(faces: Faces) -> Figure:
    """Distributions of each image's mean and standard deviation by emotion, in grey levels."""
    table = pd.DataFrame(
        {
            "emotion": np.array(EMOTIONS)[faces.emotion],
            "brightness (mean grey level)": faces.images.mean(axis=(1, 2)),
            "contrast (standard deviation of grey levels)": faces.images.std(axis=(1, 2)),
        }
    )
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, column in zip(axes, table.columns[1:], strict=True):
        sns.boxplot(
            table,
            x=column,
            y="emotion",
            hue="emotion",
            order=EMOTIONS,
            palette=COLOURS,
            ax=ax,
            width=0.6,
            fliersize=1.5,
            linewidth=1,
            legend=False,
        )
        ax.set(ylabel="")
    return figure


def vote_agreement(agreement: pd.Series) -> Figure:
    """Share of images whose FER+ majority is FER-2013's label, by emotion; `agreement` fractions, by emotion."""
    figure = Figure(figsize=(WIDTH * 0.6, 2.8), layout="constrained")
    ax = figure.subplots()
    bars = ax.barh(agreement.index, 100 * agreement, color=[COLOURS[e] for e in agreement.index])
    ax.bar_label(bars, fmt="%.0f", padding=3, color=MUTED)
    ax.invert_yaxis()
    ax.set(xlabel="images whose FER+ majority is the FER-2013 label, %", xlim=(0, 108))
    return figure


def network(model) -> Figure:
    """A diagram of a sequential Keras model: a box for each layer with weights, and what follows it inside.

    Height stands for the side of the feature maps, width for the number of channels (square root).
    """
    stages = _stages(model)
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    ax = figure.subplots()
    x, previous = 0.0, None
    for stage in stages:
        tall = 0.35 + 2.0 * stage["side"] / SIDE
        wide = 0.16 + 0.035 * np.sqrt(stage["units"])
        colour = ACCENT if stage["side"] > 1 else SECOND
        box = FancyBboxPatch(
            (x, -tall / 2), wide, tall, boxstyle="round,pad=0,rounding_size=0.05", fc=colour, ec="none", alpha=0.85
        )
        ax.add_patch(box)
        middle = x + wide / 2
        ax.text(middle, 1.42, stage["title"], ha="center", va="bottom", fontsize=9, fontweight="bold")
        ax.text(middle, -1.35, stage["shape"], ha="center", va="top", fontsize=8.5)
        ax.text(middle, -1.62, stage["follows"], ha="center", va="top", fontsize=7.5, color=MUTED, linespacing=1.35)
        if previous is not None:
            ax.add_patch(
                FancyArrowPatch((previous + 0.06, 0), (x - 0.06, 0), arrowstyle="-|>", mutation_scale=9, color=MUTED)
            )
        previous = x + wide
        x = previous + max(0.55, 1.28 - wide)
    ax.set(xlim=(-0.45, previous + 0.45), ylim=(-2.7, 1.85))
    ax.axis("off")
    return figure


def learning_curves(histories: dict[str, pd.DataFrame]) -> Figure:
    """Loss and accuracy by epoch: Training dashed (mean while the epoch ran, with dropout), PublicTest solid.

    Args:
        histories: a run's name to its history.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots(1, 2)
    palette = (ACCENT, SECOND, *COLOURS.values())
    for (name, history), colour in zip(histories.items(), palette, strict=False):
        for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
            factor = 100 if column == "accuracy" else 1
            ax.plot(
                history["epoch"], factor * history[column], "--", color=colour, alpha=0.7, label=f"{name}, Training"
            )
            ax.plot(
                history["epoch"],
                factor * history[f"val_{column}"],
                color=colour,
                marker="o",
                ms=4,
                label=f"{name}, PublicTest",
            )
    axes[0].set(title="Loss", xlabel="epoch", ylabel="cross-entropy, nats")
    axes[1].set(title="Accuracy", xlabel="epoch", ylabel="top-1 accuracy, %")
    for ax in axes:
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
        ax.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes[1].legend(loc="best", fontsize=9)
    return figure


def accuracy_by_epoch(histories: dict[str, pd.DataFrame]) -> Figure:
    """PublicTest accuracy of several runs by epoch, each line named at its end.

    Args:
        histories: a run's name to its history.
    """
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    ax = figure.subplots()
    # Colours that are told apart from each other; many lines take them in turn, each with its name.
    palette = cycle((ACCENT, SECOND, *(COLOURS[emotion] for emotion in ("disgust", "fear", "surprise", "neutral"))))
    ends = {name: 100 * history["val_accuracy"].iloc[-1] for name, history in histories.items()}
    reach = max(100 * history["val_accuracy"].max() for history in histories.values())
    # Names are moved apart where lines end close to each other, upwards from the lowest.
    gap, place = 0.055 * reach, -np.inf
    places = {}
    for name in sorted(ends, key=ends.get):
        place = places[name] = max(ends[name], place + gap)
    longest = max(len(history) for history in histories.values())
    for (name, history), colour in zip(histories.items(), palette, strict=False):
        ax.plot(history["epoch"], 100 * history["val_accuracy"], color=colour)
        ax.annotate(
            name,
            (len(history), ends[name]),
            (longest * 1.02, places[name]),
            va="center",
            color=colour,
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": colour, "alpha": 0.4, "linewidth": 0.8},
        )
    ax.set(xlabel="epoch", ylabel="PublicTest accuracy, %", xlim=(0.5, longest * 1.3))
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    return figure


def accuracies(table: pd.DataFrame) -> Figure:
    """Accuracies with their intervals on one axis.

    Args:
        table: columns label, accuracy, low, high (fractions; low and high may be missing) and kind: "ours", "measured"
            (committed runs on FER-2013) or "published".
    """
    figure = Figure(figsize=(WIDTH, 0.7 + 0.42 * len(table)), layout="constrained")
    ax = figure.subplots()
    for y, row in enumerate(table.to_dict("records")):
        colour, mark = {"ours": (ACCENT, "o"), "measured": (SECOND, "o"), "published": (MUTED, "D")}[row["kind"]]
        if not np.isnan(row["low"]):
            ax.plot(
                [100 * row["low"], 100 * row["high"]],
                [y, y],
                color=colour,
                linewidth=3,
                alpha=0.45,
                solid_capstyle="round",
            )
        ax.plot(100 * row["accuracy"], y, mark, color=colour, ms=7)
        ax.annotate(
            f"{100 * row['accuracy']:.1f}",
            (100 * row["accuracy"], y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    ax.set_yticks(range(len(table)), table["label"])
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.set_xlabel("top-1 accuracy, %; bars are 95 % intervals")
    ax.margins(x=0.08)
    ax.grid(axis="x", color="#e4e7eb", linewidth=0.8)
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
        _face(ax, faces.images[index])
        best = int(shares[index].argmax())
        right = best == faces.emotion[index]
        colour = COLOURS["disgust"] if right else COLOURS["angry"]
        ax.set_title(EMOTIONS[faces.emotion[index]], loc="center", fontsize=9, fontweight="normal", pad=3)
        ax.set_xlabel(
            f"{EMOTIONS[best]} {shares[index, best]:.0%}", color=colour, fontsize=9, fontweight="bold", labelpad=2
        )
        ax.axis("on")
    return figure


def trials(ledger: pd.DataFrame, hyperparameters: Sequence[str]) -> Figure:
    """Each trial's score against each hyperparameter, the best one marked, and the best so far by trial."""
    done = ledger[ledger["status"] == "completed"].sort_values("trial")
    panels = ["trial", *hyperparameters]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    best = done.loc[done["val_accuracy"].idxmax()]
    for ax, column in zip(axes, panels, strict=True):
        ax.scatter(done[column], 100 * done["val_accuracy"], color=ACCENT, s=26, alpha=0.8, zorder=2)
        ax.scatter(best[column], 100 * best["val_accuracy"], color=SECOND, s=90, marker="*", zorder=3, label="best")
        ax.set_xlabel(column.replace("_", " "))
        ax.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        if column == "learning_rate":
            ax.set_xscale("log")
            # A search's range may hold no power of ten, which is all that is labelled otherwise.
            ax.set_xticks(np.geomspace(done[column].min(), done[column].max(), 3))
            ax.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:.2g}"))
            ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes[0].step(
        done["trial"],
        100 * done["val_accuracy"].cummax(),
        where="post",
        color=MUTED,
        linewidth=1.2,
        zorder=1,
        label="best so far",
    )
    axes[0].xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes[0].set_ylabel("PublicTest accuracy, %")
    axes[0].legend(loc="lower right", fontsize=8.5)
    return figure


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


def scores_by_emotion(table: pd.DataFrame) -> Figure:
    """Precision, recall and F1 by emotion, as points on one line each."""
    figure = Figure(figsize=(WIDTH * 0.75, 3.1), layout="constrained")
    ax = figure.subplots()
    marks = {"precision": ("<", MUTED), "recall": (">", ACCENT), "F1": ("o", SECOND)}
    for y, row in enumerate(table.itertuples()):
        values = [100 * getattr(row, name) for name in marks]
        ax.plot([min(values), max(values)], [y, y], color="#cbd2d9", linewidth=2, zorder=1)
        for value, (mark, colour) in zip(values, marks.values(), strict=True):
            ax.scatter(value, y, marker=mark, color=colour, s=46, zorder=2)
    for name, (mark, colour) in marks.items():
        ax.scatter([], [], marker=mark, color=colour, label=name)
    ax.set_yticks(range(len(table)), [f"{e} ({n:,})" for e, n in zip(table.index, table["images"], strict=True)])
    ax.invert_yaxis()
    ax.set(xlabel="%", xlim=(-3, 103))
    ax.grid(axis="x", color="#e4e7eb", linewidth=0.8)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _mean(images: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return images.mean(axis=0) if len(images) else otherwise


def _face(ax, image: np.ndarray | None, **options):
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if image is None:
        return None
    return ax.imshow(image, **({"vmin": 0, "vmax": 255, "cmap": "gray"} | options))


def _stages(model) -> list[dict]:
    """One entry for the input and each layer with a kernel: its title, output size and the layers that follow it."""
    stages = [{"title": "input", "units": 1, "side": SIDE, "follows": "", "shape": f"{SIDE}×{SIDE}×1"}]
    short = {
        "BatchNormalization": "batch norm",
        "Activation": "ReLU",
        "MaxPooling2D": "max-pool 2",
        "Dropout": "dropout",
        "Rescaling": "÷255",
        "Flatten": "flatten",
    }
    for layer in model.layers[1:]:
        shape = layer.output.shape[1:]
        kind = type(layer).__name__
        if kind in ("Conv2D", "Dense"):
            title = "conv " + "×".join(map(str, layer.kernel_size)) if kind == "Conv2D" else "dense"
            stages.append({"title": title, "units": shape[-1], "side": 1, "follows": "", "shape": ""})
        elif kind in short:
            stages[-1]["follows"] += ("\n" if stages[-1]["follows"] else "") + short[kind]
        stages[-1]["shape"] = "×".join(map(str, shape))
        stages[-1]["side"] = shape[0] if len(shape) == 3 else 1
        if len(shape) == 1 and kind == "Flatten":
            stages[-1]["side"] = model.layers[model.layers.index(layer) - 1].output.shape[1]
            stages[-1]["shape"] = "×".join(map(str, model.layers[model.layers.index(layer) - 1].output.shape[1:]))
    return stages
