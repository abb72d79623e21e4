"""Figures of explanations show the values that they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from fer_utils.analysis.explanation import REGIONS, mean_maps, region_table
from fer_utils.emotions import EMOTIONS
from fer_utils.plots.explanation import plot_occlusion_maps, plot_region_shares


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    assert plt.get_fignums() == []


@pytest.fixture(scope="module")
def maps():
    """Maps of 21 images and their emotions. Two emotions have no image."""
    emotion = np.array([0, 1, 2, 3, 4] * 4 + [0])
    return np.random.default_rng(0).normal(0.1, 1, (21, 48, 48)), emotion


def drawn(figure) -> Figure:
    """Draw a figure completely and return it."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_text()]


def test_maps_lie_over_their_mean_faces(faces, maps):
    values, emotion = maps
    trained, untrained = mean_maps(values, emotion), mean_maps(values / 100, emotion)
    means = mean_maps(faces.images, faces.emotion).maps
    figure = drawn(plot_occlusion_maps(means, trained.maps, untrained.maps, trained.images))
    axes = np.array(figure.axes[:21]).reshape(3, 7)
    assert [ax.get_title() for ax in axes[0]] == [
        f"{emotion} ({images})".replace(" ", "\n")
        for emotion, images in zip(EMOTIONS, trained.images, strict=True)
    ]
    for column in range(5):
        np.testing.assert_allclose(axes[0, column].images[0].get_array(), means[column])
        boxes = [patch for patch in axes[0, column].patches if isinstance(patch, Rectangle)]
        assert [(box.get_y(), box.get_x()) for box in boxes] == [
            (top - 0.5, left - 0.5) for top, _, left, _ in REGIONS.values()
        ]
        for row, shown in ((1, trained), (2, untrained)):
            face, overlay = axes[row, column].images
            np.testing.assert_allclose(face.get_array(), means[column])
            np.testing.assert_allclose(overlay.get_array(), shown.maps[column])
            # Each network has one scale, symmetric around 0.
            low, high = overlay.get_clim()
            assert low == -high == axes[row, 0].images[1].get_clim()[0]
            assert high == pytest.approx(np.nanquantile(np.abs(shown.maps), 0.98))
    assert not any(ax.findobj(AxesImage) for ax in axes[:, 5:].ravel())
    assert [ax.get_ylabel() for ax in figure.axes[21:]] == ["Drop in log-prob-\nability (nats)"] * 2


def test_maps_without_images_can_be_drawn():
    nothing = np.full((7, 48, 48), np.nan)
    drawn(plot_occlusion_maps(nothing, nothing, nothing, np.zeros(7, int)))
    flat = np.zeros((7, 48, 48))
    drawn(plot_occlusion_maps(flat, flat, flat, np.ones(7, int)))


def test_region_shares_have_intervals_and_the_share_of_the_area(maps):
    table, other = region_table(*maps), region_table(-maps[0], maps[1])
    figure = drawn(plot_region_shares(table, other))
    assert [ax.get_title(loc="left") or ax.get_title() for ax in figure.axes] == list(
        table["region"].unique()
    )
    for ax, (region, rows) in zip(figure.axes, table.groupby("region", sort=False), strict=True):
        assert ax.lines[0].get_xdata()[0] == pytest.approx(100 * rows["area"].iloc[0])
        intervals, points = ax.lines[1:15:2], ax.lines[2:15:2]
        np.testing.assert_allclose(
            [line.get_xdata() for line in intervals], 100 * rows[["low", "high"]]
        )
        np.testing.assert_allclose([line.get_xdata()[0] for line in points], 100 * rows["share"])
        hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
        expected = 100 * other[other["region"] == region]["share"]
        np.testing.assert_allclose([line.get_xdata()[0] for line in hollow], expected)
        for above, below, row in zip(points, hollow, range(7), strict=True):
            assert row - 0.5 < above.get_ydata()[0] < below.get_ydata()[0] < row + 0.5
    assert {
        *EMOTIONS,
        "Share of the evidence for the emotion (%)",
        "trained",
        "random weights",
        "share of the area",
    } <= set(texts(figure))
    assert figure.axes[0].get_ylim() == (6.5, -0.5), "emotions without images keep their row"
