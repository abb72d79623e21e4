"""Figures of the labels show the table's numbers and can be drawn of any table."""

import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fer_utils.audits.labels import SHOWN
from fer_utils.emotions import EMOTIONS
from fer_utils.plots.labels import ceilings, label_votes

TABLE = pd.DataFrame(
    np.arange(77).reshape(7, 11),
    index=EMOTIONS,
    columns=[*EMOTIONS, *SHOWN.values(), "no majority"],
)
CEILING = pd.DataFrame(
    [
        ("planted faults", "truth", 0.93, np.nan, np.nan, 3500),
        ("one FER+ tagger", "estimate", 0.55, 0.54, 0.57, 3500),
        ("people", "people", 0.65, 0.6, 0.7, pd.NA),
    ],
    columns=["estimate", "kind", "value", "low", "high", "images"],
).astype({"images": "Int64"})


def rendered(figure: Figure) -> Figure:
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_label_votes_shows_shares_and_counts():
    figure = rendered(label_votes(TABLE))
    ax = figure.axes[0]
    np.testing.assert_allclose(
        ax.images[0].get_array()[2], 100 * TABLE.iloc[2] / TABLE.iloc[2].sum()
    )
    said = [text.get_text() for text in ax.texts]
    assert (
        len(said) == 77 and said[0] == "0 %\n0" and said[-1].endswith("\n76") and "2 %\n1" in said
    )
    assert ax.get_yticklabels()[0].get_text() == "angry (55)"


def test_label_votes_says_that_a_small_share_is_not_none():
    table = TABLE * 0
    table.iloc[0, :2] = 999, 1
    said = [text.get_text() for text in rendered(label_votes(table)).axes[0].texts]
    assert said[:3] == ["100 %\n999", "<1 %\n1", "0 %\n0"] and said[11:] == ["0 %\n0"] * 66


def test_ceilings_draws_each_estimate_with_its_interval_on_the_band_of_people():
    figure = rendered(ceilings(CEILING))
    ax = figure.axes[0]
    np.testing.assert_allclose(
        [dots.get_offsets()[0] for dots in ax.collections], [(93, 0), (55, 1)]
    )
    bars = [line.get_xdata().tolist() for line in ax.lines if len(set(line.get_ydata())) == 1]
    np.testing.assert_allclose(bars, [[54, 57]])
    band = ax.patches[0]
    np.testing.assert_allclose([band.get_x(), band.get_x() + band.get_width()], [60, 70])
    said = [text.get_text() for text in ax.texts]
    assert said == ["people, 65%", "93.0", "55.0"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "planted faults (3,500)",
        "one FER+ tagger (3,500)",
    ]


def test_ceilings_without_an_estimate():
    rendered(ceilings(CEILING[CEILING["kind"] == "people"]))
