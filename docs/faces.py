"""Draw docs/faces.png, the picture in docs/datasheet.md: `python docs/faces.py`."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fer_utils.data.drawing import ACTION_UNITS, draw_face
from fer_utils.data.sample import draw_sample
from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.plots import COLOURS, INK

# Chosen by eye: a seed of `draw_face`, and two rows of `draw_sample(700)`.
CHOSEN = {
    "angry": (13, 10, 72),
    "disgust": (14, 161, 0),
    "fear": (23, 54, 66),
    "happy": (19, 33, 63),
    "sad": (2, 25, 28),
    "surprise": (22, 52, 69),
    "neutral": (9, 42, 48),
}
# Units of disgust below full strength. At full strength the lower lip bares the teeth too far.
WEAKER = {15: 0.7, 16: 0.24}
CAPTION = (
    "Drawn by this project from facial action units (AU). Small: as its sample data set shows "
    "them, 48 × 48 pixels, with pose, light and noise."
)
# All lengths are pixels of the picture, measured from its top left corner.
WIDTH, HEIGHT, MARGIN = 1600, 572, 56
FACE, GAP = 4 * SIDE + 6, 17
SMALL = 2 * SIDE  # a face of the sample, at twice its size
GREY = "#52606d"


def picture() -> Figure:
    """Draw the card: per emotion a large face, its action units, and two faces of the sample."""
    mpl.rcParams["font.sans-serif"] = ["Liberation Sans", "Arial", "Helvetica", "DejaVu Sans"]
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    box = "round,pad=0,rounding_size=28"
    ax.add_patch(
        FancyBboxPatch((2, 2), WIDTH - 4, HEIGHT - 4, box, fc="white", ec="#d9dee3", lw=1.5)
    )
    sample = draw_sample(700)
    for column, emotion in enumerate(EMOTIONS):
        left = MARGIN + column * (FACE + GAP)
        seed, *rows = CHOSEN[emotion]
        assert all(sample.emotion[rows] == column) and not sample.truth["row"].isin(rows).any()
        units = dict.fromkeys(ACTION_UNITS[emotion], 1)
        if emotion == "disgust":
            units |= WEAKER
        show(ax, draw_face(action_units=units, seed=seed, side=2 * FACE), left, MARGIN, FACE, 16)
        ax.plot(
            [left, left + 36],
            [MARGIN + FACE + 24] * 2,
            color=COLOURS[emotion],
            lw=5,
            solid_capstyle="butt",
        )
        ax.text(left, MARGIN + FACE + 61, emotion, color=INK, size=21, weight="bold")
        named = f"AU {'+'.join(map(str, units))}" if units else "no action units"
        ax.text(left, MARGIN + FACE + 93, named, color=GREY, size=15)
        for row, x in zip(rows, (left, left + FACE - SMALL), strict=True):
            show(ax, sample.images[row], x, MARGIN + FACE + 116, SMALL, 8)
    ax.text(MARGIN, HEIGHT - MARGIN, CAPTION, color=GREY, size=15)
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    return figure


def show(ax: Axes, image: np.ndarray, left: float, top: float, side: int, rounding: float) -> None:
    """Show a grey image as a square with rounded corners. All lengths are pixels."""
    place = (left, left + side, top + side, top)
    shown = ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=place, aspect="auto", zorder=2)
    box = f"round,pad=0,rounding_size={rounding}"
    shown.set_clip_path(FancyBboxPatch((left, top), side, side, box, transform=ax.transData))


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".png")
    picture().savefig(path, transparent=True, metadata={"Software": None})
    print(f"{path}: {path.stat().st_size:,} bytes")
