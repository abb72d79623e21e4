"""Figures of errors show the values of their tables, and names cover nothing."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from fer_utils.analysis.agreement import model_agreement, solved_by
from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import accuracy_interval
from fer_utils.plots import mistakes as plots


@pytest.fixture(scope="module")
def pairs():
    """A table of pairs, half of them close together at low error rates."""
    generator = np.random.default_rng(3)
    rows = []
    for emotion in EMOTIONS:
        for answer in EMOTIONS:
            if emotion != answer:
                images = int(generator.exponential(20))
                low, high = accuracy_interval(images / 400, 400)
                row = {
                    "emotion": emotion,
                    "answer": answer,
                    "images": images,
                    "share": images / 400,
                }
                rows.append(
                    row | {"low": low, "high": high, "tagger_rate": generator.exponential(0.06)}
                )
    return pd.DataFrame(rows).sort_values(
        "images", ascending=False, kind="stable", ignore_index=True
    )


@pytest.fixture(scope="module")
def predictions():
    generator = np.random.default_rng(1)
    emotion = generator.integers(0, 7, 300)
    models = ("first", "second", "third", "fourth")
    return {
        name: np.where(generator.random(300) < 0.6, emotion, generator.integers(0, 7, 300))
        for name in models
    }, emotion


def drawn(figure) -> Figure:
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def test_points_match_the_pairs(pairs):
    (ax,) = drawn(plots.plot_human_confusions(pairs)).axes
    points = np.concatenate([line.get_xydata() for line in ax.lines if line.get_marker() == "o"])
    expected = 100 * pairs[["tagger_rate", "share"]].to_numpy()
    np.testing.assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(EMOTIONS)


def test_names_of_the_most_confused_pairs_cover_nothing(pairs, monkeypatch):
    monkeypatch.setattr(plots, "_NAMED", 12)
    figure = drawn(plots.plot_human_confusions(pairs))
    (ax,) = figure.axes
    top = [f"{row.emotion} → {row.answer}" for row in pairs.head(12).itertuples()]
    names = [text.get_text() for text in ax.texts]
    assert top[:3] == names[:3] and set(names) <= set(top) and len(names) > 6
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    points = np.concatenate([line.get_xydata() for line in ax.lines if line.get_marker() == "o"])
    for x, y in ax.transData.transform(points):
        assert not any(box.contains(x, y) for box in boxes)
    for box in boxes:
        assert ax.bbox.x0 < box.x0 and box.x1 < ax.bbox.x1


def test_pairs_without_images_have_no_names(pairs):
    none = pairs.assign(images=0, share=0.0, low=0.0, high=0.01)
    assert not drawn(plots.plot_human_confusions(none)).axes[0].texts
    missing = pairs.assign(share=pairs["share"].where(pairs["emotion"] != "disgust"))
    legend = drawn(plots.plot_human_confusions(missing)).axes[0].get_legend()
    assert "disgust" not in [text.get_text() for text in legend.get_texts()]


def test_agreement_has_a_cell_per_pair(predictions):
    table = model_agreement(*predictions)
    figure = drawn(plots.plot_model_agreement(table))
    for ax, column in zip(figure.axes, ("same", "same_wrong"), strict=False):
        shown = sorted(text.get_text() for text in ax.texts if text.get_text())
        assert shown == sorted(f"{100 * value:.0f}" for value in table[column])
        assert [label.get_text() for label in ax.get_xticklabels()] == ["first", "second", "third"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "second",
        "third",
        "fourth",
    ]
    drawn(plots.plot_model_agreement(table.iloc[:1]))


def test_solved_by_shows_shares_and_expected_shares(predictions):
    table = solved_by(*predictions)
    (ax,) = drawn(plots.plot_solved_by(table)).axes
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], 100 * table["share"])
    np.testing.assert_allclose(ax.lines[-1].get_ydata(), 100 * table["expected"])
    ends = [segment[:, 1] for segment in ax.collections[0].get_segments()]
    np.testing.assert_allclose(
        ends, [100 * np.array(accuracy_interval(s, 300)) for s in table["share"]]
    )
