"""Figure of a network: a diagram of its layers."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fer_utils.emotions import SIDE
from fer_utils.plots.style import ACCENT, MUTED, SECOND, WIDTH


def plot_network(model) -> Figure:
    """Draw a sequential Keras model: a box per layer with weights, and the layers that follow it.

    A box's height is proportional to the side of the feature maps, its width to the square root of
    the number of channels.
    """
    stages = _stages(model)
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    ax = figure.subplots()
    x = previous = 0.0
    for number, stage in enumerate(stages):
        tall = 0.35 + 2.0 * stage["side"] / SIDE
        wide = 0.16 + 0.035 * np.sqrt(stage["units"])
        colour = ACCENT if stage["side"] > 1 else SECOND
        box = FancyBboxPatch(
            (x, -tall / 2),
            wide,
            tall,
            boxstyle="round,pad=0,rounding_size=0.05",
            fc=colour,
            ec="none",
            alpha=0.85,
        )
        ax.add_patch(box)
        middle = x + wide / 2
        ax.text(
            middle, 1.42, stage["title"], ha="center", va="bottom", fontsize=9, fontweight="bold"
        )
        ax.text(middle, -1.35, stage["shape"], ha="center", va="top", fontsize=8.5)
        ax.text(
            middle,
            -1.62,
            stage["follows"],
            ha="center",
            va="top",
            fontsize=7.5,
            color=MUTED,
            linespacing=1.35,
        )
        if number:
            ax.add_patch(
                FancyArrowPatch(
                    (previous + 0.06, 0),
                    (x - 0.06, 0),
                    arrowstyle="-|>",
                    mutation_scale=9,
                    color=MUTED,
                )
            )
        previous = x + wide
        x = previous + max(0.55, 1.28 - wide)
    ax.set(xlim=(-0.45, previous + 0.45), ylim=(-2.7, 1.85))
    ax.axis("off")
    return figure


def _stages(model) -> list[dict]:
    """Return title, output size and following layers of the input and each layer with a kernel."""
    stages: list[dict[str, Any]] = [
        {"title": "input", "units": 1, "side": SIDE, "follows": "", "shape": f"{SIDE}×{SIDE}×1"}
    ]
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
            stages.append(
                {"title": title, "units": shape[-1], "side": 1, "follows": "", "shape": ""}
            )
        elif kind in short:
            stages[-1]["follows"] += ("\n" if stages[-1]["follows"] else "") + short[kind]
        stages[-1]["shape"] = "×".join(map(str, shape))
        stages[-1]["side"] = shape[0] if len(shape) == 3 else 1
        if len(shape) == 1 and kind == "Flatten":
            # The box shows the feature maps before they are flattened.
            maps = model.layers[model.layers.index(layer) - 1].output.shape[1:]
            stages[-1]["side"], stages[-1]["shape"] = maps[0], "×".join(map(str, maps))
    return stages
