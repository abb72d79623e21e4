"""The shared style of all figures: colours, width and fonts; and saving as a vector graphic."""

from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from fer_utils.emotions import EMOTIONS
from fer_utils.storage import atomic_file

INK, MUTED, ACCENT, SECOND, GRID = "#1f2933", "#7b8794", "#0b6e99", "#d9730d", "#e4e7eb"
# Okabe & Ito ("Color Universal Design", 2008): distinguishable for colour-blind readers.
COLOURS = dict(
    zip(
        EMOTIONS,
        ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2", "#56b4e9", "#7b8794"),
        strict=True,
    )
)
LINES = (
    ACCENT,
    SECOND,
    *(COLOURS[emotion] for emotion in ("disgust", "fear", "surprise", "neutral")),
)
"""Colours of lines that are not emotions; the first two are the easiest to distinguish."""
WIDTH = 9.0
"""Width of a figure, inches."""
MANY = 8
"""With more models than these, the cells of a matrix of models are too small for two lines."""

_drawn = False


def use_style(*, drawn: bool = False) -> None:
    """Set the study's style for all later figures.

    Args:
        drawn: `save_figure` and `mark` mark each figure, because the notebook's faces are drawn.
    """
    global _drawn
    _drawn = drawn
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
            # Equal figures give equal bytes.
            "svg.hashsalt": "fer-study",
            # TrueType fonts keep text as text in a PDF.
            "pdf.fonttype": 42,
        },
    )


def mark(figure: Figure, drawn: bool | None = None) -> Figure:
    """Mark a figure of drawn faces, so that nobody takes it for real ones, and return it.

    Args:
        figure: the figure.
        drawn: as for `save_figure`.
    """
    if _drawn if drawn is None else drawn:
        figure.text(1, 1, "drawn faces", ha="right", va="bottom", fontsize=8, color=MUTED)
    return figure


def save_figure(figure: Figure, file: Path, *, drawn: bool | None = None) -> Figure:
    """Save a figure as PDF and return it. Equal figures give equal bytes.

    Args:
        figure: the figure.
        file: the PDF.
        drawn: mark the figure, because it shows drawn faces or scores on them. None is what
            `use_style` was told.
    """
    mark(figure, drawn)
    with atomic_file(Path(file)) as target:
        figure.savefig(target, format="pdf", metadata={"CreationDate": None})
    return figure


def interval_row(
    ax,
    y: float,
    value: float,
    low: float,
    high: float,
    colour: str,
    mark: str = "o",
    text: str = "",
):
    """Draw a share, 0 to 1, with its interval as a row of a figure in percent.

    If low or high is NaN, the interval is left out.
    """
    if not (np.isnan(low) or np.isnan(high)):
        ax.plot(
            [100 * low, 100 * high],
            [y, y],
            color=colour,
            linewidth=3,
            alpha=0.45,
            solid_capstyle="round",
        )
    ax.plot(100 * value, y, mark, color=colour, ms=7)
    if text:
        ax.annotate(
            text, (100 * value, y), (0, 7), textcoords="offset points", ha="center", fontsize=8.5
        )


def draw_face(ax, image: np.ndarray | None, **options):
    """Show a grey image on axes without ticks and frame; None leaves them empty.

    Returns:
        The result of `imshow`, or None.
    """
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    if image is None:
        return None
    return ax.imshow(image, **({"vmin": 0, "vmax": 255, "cmap": "gray"} | options))
