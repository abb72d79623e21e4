"""Figures of the labels show the values of their tables, also for unusual tables."""

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.audits.labels import SHOWN
from fer_utils.emotions import EMOTIONS
from fer_utils.plots.labels import plot_ceilings, plot_label_votes

TABLE = pd.DataFrame(
    np.arange(77).reshape(7, 11),
    index=EMOTIONS,
    columns=[*EMOTIONS, *SHOWN.values(), "no majority"],
)
CEILING = pd.DataFrame(
    [
        ("planted faults", "truth", 0.93, np.nan, np.nan, 3500),
        ("one FER+ tagger", "estimate", 0.55, 0.54, 0.57, 3500),
        ("human accuracy", "people", 0.65, 0.6, 0.7, pd.NA),
    ],
    columns=["estimate", "kind", "value", "low", "high", "images"],
).astype({"images": "Int64"})


def rendered(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_label_votes_show_shares_and_counts():
    figure = rendered(plot_label_votes(TABLE))
    ax = figure.axes[0]
    np.testing.assert_allclose(
        ax.images[0].get_array()[2], 100 * TABLE.iloc[2] / TABLE.iloc[2].sum()
    )
    cells = [text.get_text() for text in ax.texts]
    assert len(cells) == 77 and cells[0] == "0 %\n0" and cells[-1].endswith("\n76")
    assert "2 %\n1" in cells
    assert ax.get_yticklabels()[0].get_text() == "angry (55)"


def test_label_votes_distinguish_small_shares_from_0():
    table = TABLE * 0
    table.iloc[0, :2] = 999, 1
    cells = [text.get_text() for text in rendered(plot_label_votes(table)).axes[0].texts]
    assert cells[:3] == ["100 %\n999", "<1 %\n1", "0 %\n0"] and cells[11:] == ["0 %\n0"] * 66


def test_ceilings_show_estimates_with_intervals_and_human_accuracy():
    figure = rendered(plot_ceilings(CEILING))
    ax = figure.axes[0]
    np.testing.assert_allclose(
        [dots.get_offsets()[0] for dots in ax.collections], [(93, 0), (55, 1)]
    )
    bars = [line.get_xdata().tolist() for line in ax.lines if len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(bars, [[54, 57]])
    band = ax.patches[0]
    np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], [60, 70])
    assert [text.get_text() for text in ax.texts] == ["human accuracy, 65 %", "93.0", "55.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "planted faults (3,500)",
        "one FER+ tagger (3,500)",
    ]


def test_ceilings_without_an_estimate():
    rendered(plot_ceilings(CEILING[CEILING["kind"] == "people"]))
