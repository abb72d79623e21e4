"""Figures of calibration: what is in the tables is on them."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fer_utils.analysis.coverage import coverage_curve, threshold_table
from fer_utils.analysis.reliability import reliability
from fer_utils.evaluation import probabilities
from fer_utils.plots import calibration as plots


@pytest.fixture(scope="module")
def answers():
    generator = np.random.default_rng(5)
    emotion = generator.integers(0, 7, 400)
    return probabilities(generator.normal(size=(400, 7)) + 1.5 * np.eye(7)[emotion]), emotion


def drawn(figure) -> Figure:
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def texts(figure) -> str:
    return "\n".join(
        text.get_text() for ax in figure.axes for text in [*ax.texts, ax.title, ax.xaxis.label]
    )


def test_reliability_shows_accuracy_with_its_interval_over_counts(answers):
    table = reliability(*answers)
    figure = drawn(
        plots.reliability({"before": table, "after": table.iloc[::-1]}, {"before": "ECE 3%"})
    )
    upper, _, lower, _ = figure.axes
    full = table.dropna()
    (points,) = [line for line in upper.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), 100 * full[["confidence", "accuracy"]])
    ends = np.array([each[:, 1] for each in upper.collections[0].get_segments()])
    np.testing.assert_allclose(ends, 100 * full[["accuracy_low", "accuracy_high"]])
    assert [bar.get_height() for bar in lower.patches] == table["images"].tolist()
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:2]] == [
        "before",
        "after",
    ]
    assert "ECE 3%" in texts(figure)
    assert len(drawn(plots.reliability({"only": table})).axes) == 2


def test_coverage_shows_the_curve_and_what_thresholds_keep(answers):
    shares, emotion = answers
    curve = coverage_curve(shares, emotion)
    thresholds = threshold_table((shares[:200], emotion[:200]), (shares, emotion), (0.7, 0.9))
    figure = drawn(plots.coverage({"model": curve}, thresholds))
    (ax,) = figure.axes
    shown = curve[curve["images"] >= plots.FEWEST]
    np.testing.assert_allclose(ax.lines[0].get_xydata(), 100 * shown[["coverage", "accuracy"]])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * shown["high"].max())
    assert band[:, 1].min() == pytest.approx(100 * shown["low"].min())
    marks = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(marks, 100 * thresholds[["coverage", "accuracy"]])
    assert all(f"p ≥ {each:.2f}" in texts(figure) for each in thresholds["probability"])


def test_coverage_of_many_curves_and_of_few_answers(answers):
    shares, emotion = answers
    curve = coverage_curve(shares, emotion)
    figure = drawn(plots.coverage({f"model {number}": curve for number in range(8)}))
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 8 and not figure.axes[0].collections
    few = drawn(plots.coverage({"a": coverage_curve(shares[:5], emotion[:5])}))
    assert few.axes[0].lines[0].get_xdata().tolist() == [100]


def test_a_threshold_that_nothing_reaches_is_not_shown(answers):
    shares, emotion = answers
    none = threshold_table((shares, (shares.argmax(axis=1) + 1) % 7), (shares, emotion), (0.9,))
    figure = drawn(plots.coverage({"model": coverage_curve(shares, emotion)}, pd.DataFrame(none)))
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "D"]
