"""Figures of calibration show the values of their tables."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fer_utils.analysis.coverage import coverage_curve, threshold_table
from fer_utils.analysis.reliability import reliability
from fer_utils.evaluation import probabilities
from fer_utils.plots.calibration import FEWEST, plot_coverage, plot_reliability


@pytest.fixture(scope="module")
def predictions():
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


def test_reliability_shows_accuracy_with_its_interval_over_counts(predictions):
    table = reliability(*predictions)
    figure = drawn(plot_reliability({"before": table, "after": table.iloc[::-1]}))
    upper, _, lower, _ = figure.axes
    full = table.dropna()
    (points,) = [line for line in upper.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points.get_xydata(), 100 * full[["confidence", "accuracy"]])
    ends = np.array([segment[:, 1] for segment in upper.collections[0].get_segments()])
    np.testing.assert_allclose(ends, 100 * full[["accuracy_low", "accuracy_high"]])
    assert [bar.get_height() for bar in lower.patches] == table["images"].tolist()
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes[:2]] == [
        "before",
        "after",
    ]
    assert len(drawn(plot_reliability({"only": table})).axes) == 2


def test_coverage_shows_the_curve_and_the_thresholds(predictions):
    shares, emotion = predictions
    curve = coverage_curve(shares, emotion)
    thresholds = threshold_table((shares[:200], emotion[:200]), (shares, emotion))
    figure = drawn(plot_coverage("model", curve, thresholds))
    (ax,) = figure.axes
    shown = curve[curve["images"] >= FEWEST]
    np.testing.assert_allclose(ax.lines[0].get_xydata(), 100 * shown[["coverage", "accuracy"]])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * shown["high"].max())
    assert band[:, 1].min() == pytest.approx(100 * shown["low"].min())
    marks = [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(marks, 100 * thresholds[["coverage", "accuracy"]])
    assert all(f"p ≥ {value:.2f}" in texts(figure) for value in thresholds["probability"])


def test_coverage_of_few_predictions_and_unreached_thresholds(predictions):
    shares, emotion = predictions
    none = threshold_table((shares, (shares.argmax(axis=1) + 1) % 7), (shares, emotion))
    figure = drawn(plot_coverage("model", coverage_curve(shares[:5], emotion[:5]), none))
    assert figure.axes[0].lines[0].get_xdata().tolist() == [100]
    assert not [line for line in figure.axes[0].lines if line.get_marker() == "D"]
