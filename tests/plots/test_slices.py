"""The figure of slices shows the accuracy of each group; small groups are hollow."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fer_utils.analysis.slices import slice_table
from fer_utils.plots.slices import plot_slices
from fer_utils.plots.style import ACCENT, MUTED


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(4)
    hard = generator.choice(["a", "b"], 500)
    correct = generator.random(500) < np.where(hard == "a", 0.4, 0.8)
    return slice_table(correct, {"hard": hard, "rare": np.repeat(["no", "yes"], [490, 10])})


def test_each_group_has_its_point_interval_and_number(table):
    figure = plot_slices(table)
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    (ax,) = figure.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([point.get_xdata()[0] for point in points], 100 * table["accuracy"])
    ends = [bars.get_segments()[0][:, 0] for bars in ax.collections]
    np.testing.assert_allclose(ends, 100 * table[["low", "high"]])
    assert (
        [label.get_text() for label in ax.get_yticklabels()]
        == table["group"].tolist()
        == ["a", "b", "no", "yes"]
    )
    hollow = [point.get_markerfacecolor() == "white" for point in points]
    assert hollow == table["small"].tolist() == [False, False, False, True]
    assert "hollow" in ax.get_xlabel()
    assert [point.get_color() for point in points] == [ACCENT, ACCENT, MUTED, MUTED]
    texts = [text.get_text() for text in ax.texts]
    assert "p < 0.001" in texts and {f"{number:,}" for number in table["images"]} <= set(texts)
    dashed = ax.lines[0].get_xdata()[0]
    of_first = table.iloc[:2]
    assert dashed == pytest.approx(100 * (of_first["accuracy"] * of_first["images"]).sum() / 500)


def test_texts_do_not_overlap(table):
    figure = plot_slices(table)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_hollow_markers_are_explained_only_with_small_groups(table):
    figure = plot_slices(table[~table["small"]])
    assert "hollow" not in figure.axes[0].get_xlabel()
