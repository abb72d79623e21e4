"""Figures of robustness show the values of their tables and the corrupted images."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.data.drawing import draw_face
from fer_utils.plots.robustness import plot_corruption_curves, plot_corruption_strip


def table_of(*models: str) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for model in models:
        conditions = [
            ("clean", 0),
            *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS),
        ]
        for corruption, strength in conditions:
            accuracy = generator.uniform(0.2, 0.7)
            rows.append((model, corruption, strength, accuracy, accuracy - 0.03, accuracy + 0.02))
    return pd.DataFrame(
        rows, columns=["model", "corruption", "strength", "accuracy", "low", "high"]
    )


@pytest.mark.parametrize("models", [("one",), ("one", "other", *"abcdef")])
def test_curves_match_the_table(models):
    table = table_of(*models)
    # The order of a model's rows must not matter.
    shuffled = table.iloc[::-1].sort_values("model", kind="stable")
    figure = plot_corruption_curves(shuffled, floor=0.245)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    panels = figure.axes[: len(CORRUPTIONS)]
    assert [ax.get_title() or ax.get_title(loc="left") for ax in panels] == list(CORRUPTIONS)
    for ax, (name, (unit, values)) in zip(panels, CORRUPTIONS.items(), strict=True):
        assert ax.get_xlabel() == unit
        assert [label.get_text() for label in ax.get_xticklabels()] == [
            "clean",
            *(f"{value:g}" for value in values),
        ]
        lines = {
            line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")
        }
        assert set(lines) == {*models, "majority class"}
        assert set(lines["majority class"].get_ydata()) == {24.5}
        bands = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
        for model, band in zip(sorted(models), bands, strict=True):
            rows = table[(table["model"] == model) & table["corruption"].isin(["clean", name])]
            assert lines[model].get_xdata().tolist() == [0, *STRENGTHS]
            assert lines[model].get_ydata().tolist() == pytest.approx(
                (100 * rows["accuracy"]).tolist()
            )
            assert band.min() == pytest.approx(100 * rows["low"].min())
            assert band.max() == pytest.approx(100 * rows["high"].max())
            dotted = [
                line for line in ax.lines if line.get_linestyle() == ":" and len(line.get_ydata())
            ]
            assert 100 * rows["accuracy"].iloc[0] in [
                pytest.approx(line.get_ydata()[0]) for line in dotted
            ]
    legend = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert sorted(legend) == sorted([*models, "clean images", "majority class"])


def test_strip_shows_the_corrupted_face():
    face = draw_face("happy", seed=3)
    figure = plot_corruption_strip(face, seed=2)
    figure.canvas.draw()
    axes = np.array(figure.axes).reshape(6, len(CORRUPTIONS))
    for column, (name, (unit, values)) in enumerate(CORRUPTIONS.items()):
        assert axes[0, column].get_title().replace("\n", " ") == name
        assert np.array_equal(axes[0, column].images[0].get_array(), face)
        for strength in STRENGTHS:
            ax = axes[strength, column]
            assert ax.get_xlabel().split()[0] == f"{values[strength - 1]:g}"
            assert np.array_equal(
                ax.images[0].get_array(), corrupt(face[None], name, strength, seed=2)[0]
            )
        # The last row has the unit.
        assert ax.get_xlabel().split() == [f"{values[-1]:g}", *unit.split()]
