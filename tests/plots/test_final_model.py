"""Figures of the final model show the values of their tables."""

import numpy as np
import pandas as pd
import pytest

from fer_utils.plots import use_style
from fer_utils.plots.final_model import (
    plot_ablation,
    plot_accuracy_against_cost,
    plot_accuracy_against_training,
    plot_ensemble_path,
)
from fer_utils.plots.style import ACCENT, MUTED, SECOND

ABLATION = pd.DataFrame(
    [
        ("whole recipe", 0.6, 0.0, 0.0, 0.0),
        ("- horizontal flips", 0.57, -0.03, -0.05, -0.01),
        ("+ mixup", 0.61, 0.01, -0.01, 0.03),
        ("- weight decay", 0.63, 0.03, 0.02, 0.04),
    ],
    columns=["variant", "accuracy", "difference", "difference_low", "difference_high"],
)


@pytest.fixture(autouse=True)
def style():
    use_style()


def test_ablation_shows_differences_with_intervals():
    (ax,) = plot_ablation(ABLATION).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "without horizontal flips",
        "with mixup",
        "without weight decay",
    ]
    _, *lines = ax.lines  # the first line is at 0
    bars, points = lines[::2], lines[1::2]
    for y, (row, bar, point) in enumerate(
        zip(ABLATION[1:].to_dict("records"), bars, points, strict=True)
    ):
        assert bar.get_xydata().tolist() == [
            [100 * row["difference_low"], y],
            [100 * row["difference_high"], y],
        ]
        assert point.get_xydata().tolist() == [[100 * row["difference"], y]]
    assert [point.get_color() for point in points] == [SECOND, MUTED, ACCENT]
    assert [point.get_marker() for point in points] == ["o", "D", "o"]
    assert [text.get_text() for text in ax.texts] == ["−3.0", "+1.0", "+3.0"]
    assert "60.0 %" in ax.get_xlabel()


def test_ensemble_path_shows_the_steps_and_the_selected_ensemble():
    path = pd.DataFrame(
        {
            "size": [1, 2, 3],
            "added": ["a-seed1", "b-seed2", "a-seed1"],
            "accuracy": [0.6, 0.65, 0.64],
            "low": [0.58, 0.63, 0.62],
            "high": [0.62, 0.67, 0.66],
            "cross_entropy": [1.0, 0.9, 0.95],
        }
    )
    left, right = plot_ensemble_path(path, 2).axes
    for ax, values in ((left, [60, 65, 64]), (right, [1.0, 0.9, 0.95])):
        line, ring = ax.lines
        assert line.get_ydata().tolist() == pytest.approx(values)
        assert ring.get_xydata()[0].tolist() == pytest.approx([2, values[1]])
        assert [label.get_text() for label in ax.get_xticklabels()] == [
            "a, seed 1",
            "b, seed 2",
            "a, seed 1",
        ]
    (band,) = left.collections
    assert band.get_datalim(left.transData).intervaly.tolist() == pytest.approx([58, 67])


def test_accuracy_is_shown_against_both_costs():
    table = pd.DataFrame(
        {
            "model": ["a", "a", "both"],
            "tta": ["", "flip", "flip"],
            "multiply_adds": [1e6, 2e6, 5e7],
            "milliseconds": [0.4, 0.7, 9.0],
            "private_accuracy": [0.6, 0.62, 0.7],
            "private_low": [0.58, 0.6, 0.68],
            "private_high": [0.62, 0.64, 0.72],
        }
    )
    figure = plot_accuracy_against_cost(table)
    for ax, costs in zip(figure.axes, ([1, 2, 50], [0.4, 0.7, 9.0]), strict=True):
        points = ax.lines[1::2]
        assert np.concatenate([point.get_xdata() for point in points]).tolist() == pytest.approx(
            costs
        )
        assert np.concatenate([point.get_ydata() for point in points]).tolist() == pytest.approx(
            [60, 62, 70]
        )
        filled = [point.get_markerfacecolor() != "white" for point in points]
        assert filled == [False, True, True]
        assert ax.get_xscale() == "log"
        figure.draw_without_rendering()
        shown = [label.get_text() for label in ax.get_xticklabels()]
        assert "1" in shown and not any("mathdefault" in label for label in shown), (
            "numbers without TeX"
        )
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "both"], "one entry per model"


def test_trainings_are_at_their_cost_and_no_name_covers_another():
    table = pd.DataFrame(
        {
            "model": ["a", "b", "c", "d", "e"],
            "published": [False, False, False, True, True],
            "cost": [2e9, 3e9, 3.5e9, 200e9, 210e9],
            "accuracy": [0.70, 0.701, 0.702, 0.73, 0.731],
            "low": [0.68, 0.68, 0.68, np.nan, np.nan],
            "high": [0.72, 0.72, 0.72, np.nan, np.nan],
        }
    )
    (ax,) = plot_accuracy_against_training(table).axes
    points = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() != "None"]
    expected = [[[row.cost / 1e9, 100 * row.accuracy]] for row in table.itertuples()]
    assert sorted(points) == sorted(expected)
    names = {text.get_text(): text.get_position() for text in ax.texts}
    assert set(names) == set("abcde")
    for group in ("abc", "de"):
        assert min(np.diff(sorted(names[name][1] for name in group))) >= 0.8
    assert {text.get_color() for text in ax.texts if text.get_text() in "de"} == {SECOND}


def test_own_trainings_have_names_if_none_that_is_cheaper_is_as_accurate():
    table = pd.DataFrame(
        {
            "model": ["best", "as_good", "cheap", "as_cheap", "baseline_cnn", "better"],
            "published": False,
            "cost": [3e9, 4e9, 1e9, 1e9, 5e9, 9e9],
            "accuracy": [0.70, 0.70, 0.65, 0.64, 0.60, 0.71],
            "low": 0.5,
            "high": 0.8,
        }
    )
    (ax,) = plot_accuracy_against_training(table).axes
    named = {text.get_text() for text in ax.texts}
    assert named == {"cheap", "best", "better", "baseline_cnn"}
    lines = [line.get_xydata().tolist() for line in ax.lines if len(line.get_xydata()) == 3]
    assert lines == [[[1, 65], [3, 70], [9, 71]]]
