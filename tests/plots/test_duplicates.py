"""Figures of duplicates show the values of their tables."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import USAGES
from fer_utils.plots.duplicates import plot_duplicates, plot_similarities


@pytest.fixture
def pairs():
    similarity = np.array([0.61, 0.61, 0.63, 0.83, 0.95, 1.0000001], np.float32)
    return pd.DataFrame(
        {"similarity": similarity, "flipped": [False, False, True, False, True, False]}
    )


def test_the_matrix_has_numbers_and_shares():
    equal = pd.DataFrame([[5, 1, 0], [2, 0, 0], [3, 0, 4]], index=USAGES, columns=USAGES)
    near = equal * 1000
    figure = plot_duplicates(equal, near, pd.Series([40000, 8000, 16000], index=USAGES))
    first, second = (axes for axes in figure.axes[:2])
    assert [text.get_text() for text in first.texts][:3] == ["5\n0.0 %", "1\n0.0 %", "0\n0.0 %"]
    assert [text.get_text() for text in second.texts][3:9:3] == ["2,000\n25.0 %", "3,000\n18.8 %"]
    assert second.images[0].get_array().max() == second.images[0].get_clim()[1] == 25
    assert [label.get_text() for label in first.get_yticklabels()][1] == "PublicTest\n(8,000)"


def test_matrix_without_duplicates_can_be_drawn():
    none = pd.DataFrame(0, index=USAGES, columns=USAGES)
    figure = plot_duplicates(none, none, pd.Series(0, index=USAGES))
    figure.canvas.draw()
    assert {text.get_text() for text in figure.axes[0].texts} == {"0\n0.0 %"}


def test_similarities_are_counted_plain_and_flipped(pairs):
    ax = plot_similarities(pairs, 0.82).axes[0]
    plain, flipped = (patch.get_data().values for patch in ax.patches)
    assert plain[plain >= 1].tolist() == [2, 1, 1]
    assert flipped[flipped >= 1].tolist() == [1, 1]
    assert ax.lines[0].get_xdata()[0] == 0.82


def test_similarities_without_pairs_can_be_drawn(pairs):
    figure = plot_similarities(pairs.iloc[:0], 0.82)
    figure.canvas.draw()
    assert len(figure.axes[0].patches) == 2
