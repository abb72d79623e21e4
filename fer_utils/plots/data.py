"""Figures of the data: counts, examples, mean faces, brightness and contrast."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, USAGES
from fer_utils.plots.style import COLOURS, MUTED, WIDTH, draw_face


def plot_counts(faces: Faces) -> Figure:
    """Plot the share of each emotion in each split, with the number of images."""
    table = faces.counts().loc[list(USAGES), list(EMOTIONS)]
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, usage in zip(axes, USAGES, strict=True):
        numbers = table.loc[usage]
        share = 100 * numbers / max(1, numbers.sum())
        bars = ax.barh(EMOTIONS, share, color=[COLOURS[e] for e in EMOTIONS])
        ax.bar_label(bars, [f"{n:,}" for n in numbers], padding=3, color=MUTED, fontsize=9)
        ax.set(title=f"{usage} ({numbers.sum():,})", xlabel="Share of images (%)")
        ax.margins(x=0.22)
    axes[0].invert_yaxis()
    return figure


def plot_examples(faces: Faces, per_emotion: int, seed: int) -> Figure:
    """Show random images of each emotion, one row per emotion.

    Args:
        faces: the faces to choose from.
        per_emotion: number of images per emotion.
        seed: seed of the choice.
    """
    generator = np.random.default_rng(seed)
    figure = Figure(
        figsize=(WIDTH, WIDTH * len(EMOTIONS) / per_emotion * 0.88), layout="constrained"
    )
    axes = figure.subplots(len(EMOTIONS), per_emotion, squeeze=False)
    for number, emotion in enumerate(EMOTIONS):
        candidates = np.flatnonzero(faces.emotion == number)
        chosen = generator.permutation(candidates)[:per_emotion]
        for ax, index in zip(axes[number], [*chosen, *[None] * per_emotion], strict=False):
            draw_face(ax, None if index is None else faces.images[index])
        axes[number, 0].set_ylabel(emotion, rotation=0, ha="right", va="center", labelpad=8)
    return figure


def plot_mean_faces(faces: Faces) -> Figure:
    """Show the mean image of each emotion and, below, its difference from the mean of all images.

    In the differences, blue is darker and red is lighter.
    """
    everyone = faces.images.mean(axis=0)
    means = [
        _mean(faces.images[faces.emotion == number], everyone) for number in range(len(EMOTIONS))
    ]
    reach = max(float(np.abs(mean - everyone).max()) for mean in means) or 1.0
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    axes = figure.subplots(2, len(EMOTIONS))
    for column, (emotion, mean) in enumerate(zip(EMOTIONS, means, strict=True)):
        draw_face(axes[0, column], mean)
        axes[0, column].set_title(emotion, loc="center", fontweight="normal", fontsize=10)
        shown = draw_face(axes[1, column], mean - everyone, cmap="RdBu_r", vmin=-reach, vmax=reach)
    bar = figure.colorbar(shown, ax=axes[1, :], location="right", shrink=0.9, pad=0.01)
    bar.set_label("Grey levels")
    axes[0, 0].set_ylabel("mean", rotation=0, ha="right", va="center")
    axes[1, 0].set_ylabel("mean minus\noverall mean", rotation=0, ha="right", va="center")
    return figure


def plot_brightness_and_contrast(faces: Faces) -> Figure:
    """Plot the distributions of brightness and contrast by emotion, in grey levels.

    Brightness is the mean of an image's pixels, contrast their standard deviation.
    """
    table = pd.DataFrame(
        {
            "emotion": np.array(EMOTIONS)[faces.emotion],
            "Brightness (mean grey level)": faces.images.mean(axis=(1, 2)),
            "Contrast (standard deviation of grey levels)": faces.images.std(axis=(1, 2)),
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


def _mean(images: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Return the mean image, or `otherwise` if there is no image."""
    return images.mean(axis=0) if len(images) else otherwise
