"""Figures of comparisons show the values of their tables, without overlapping texts."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Rectangle

from fer_utils.plots import use_style
from fer_utils.plots.comparisons import plot_pairwise, plot_variants

NINE = {f"network_{number}_wide": number for number in (4, 0, 8, 2, 6, 1, 7, 3, 5)}


@pytest.fixture(autouse=True)
def style():
    use_style()


def pairs(points: dict[str, float], apart: float = 2.5) -> pd.DataFrame:
    """Return a table like that of `compare_all`, of models with these accuracies in percent.

    Differences of `apart` points or more are significant.
    """
    rows = []
    for model, other in combinations(points, 2):
        difference = (points[model] - points[other]) / 100
        row = {"model": model, "other": other, "difference": difference, "low": difference - 0.012}
        rows.append(
            row | {"high": difference + 0.021, "significant": abs(difference) >= apart / 100}
        )
    return pd.DataFrame(rows)


def scores(models: list[str], variants: dict[str, int]) -> pd.DataFrame:
    """Return a table like that of `variants.side_by_side`, with distinct numbers."""
    rows = []
    for model in models:
        for variant, images in variants.items():
            rows.append({"model": model, "variant": variant, "images": images})
            for score, names in (
                ("accuracy", ("low", "high")),
                ("macro_f1", ("macro_f1_low", "macro_f1_high")),
            ):
                value = 0.5 + 0.01 * len(rows) + 0.003 * len(score)
                rows[-1] |= {score: value, names[0]: value - 0.02, names[1]: value + 0.03}
    return pd.DataFrame(rows)


def cell_texts(figure) -> dict[tuple[int, int], list]:
    """Return the texts in each cell, by row and column from 0, upper text first."""
    found = {}
    for text in figure.axes[0].texts:
        x, y = text.get_position()
        found.setdefault((round(y), round(x) - 1), []).append(text)
    return found


def assert_apart(figure, texts) -> None:
    """Assert that no two texts overlap and all are inside the figure."""
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    for box in boxes:
        assert (
            box.x0 >= 0
            and box.x1 <= figure.bbox.width
            and box.y0 >= 0
            and box.y1 <= figure.bbox.height
        )


def test_pairs_show_the_better_model_minus_the_worse_one():
    figure = plot_pairwise(pairs({"middle": 62, "best": 68.4, "worst": 60}))
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["best", "middle"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["middle", "worst"]
    cells = {
        cell: [text.get_text() for text in texts] for cell, texts in cell_texts(figure).items()
    }
    assert cells == {
        # The table has middle minus best. Swapped, low and high change places.
        (0, 0): ["+6.4", "4.3 to 7.6"],
        (0, 1): ["+8.4", "7.2 to 10.5"],
        (1, 1): ["+2.0", "0.8 to 4.1"],
    }


def test_significant_pairs_are_marked_by_more_than_colour():
    figure = plot_pairwise(pairs({"a": 62, "b": 61, "c": 68.4}))
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    by_cell = {(round(p.get_y() + 0.47), round(p.get_x() + 0.48) - 1): p for p in cells}
    assert {cell: bool(p.get_hatch()) for cell, p in by_cell.items()} == {
        (0, 0): False,
        (0, 1): False,
        (1, 1): True,
    }
    bold = {cell: texts[0].get_fontweight() for cell, texts in cell_texts(figure).items()}
    assert bold == {(0, 0): "bold", (0, 1): "bold", (1, 1): "normal"}
    near, far = (sum(by_cell[cell].get_facecolor()[:3]) for cell in ((0, 0), (0, 1)))
    assert far < near, "larger differences must be darker"


def test_negative_numbers_have_a_minus_sign():
    table = pairs({"a": 60.2, "b": 60})
    (texts,) = cell_texts(plot_pairwise(table)).values()
    assert [text.get_text() for text in texts] == ["+0.2", "−1.0 to 2.3"]
    assert len(plot_pairwise(table.assign(difference=0.0)).axes[0].patches) == 1, (
        "a table of zeros must be drawn"
    )


@pytest.mark.parametrize("models", [2, 3, 6, 9])
def test_texts_of_pairs_do_not_overlap(models):
    table = pairs({name: -number - 10.0 for name, number in list(NINE.items())[:models]})
    figure = plot_pairwise(table)
    ax = figure.axes[0]
    assert_apart(
        figure, [*ax.texts, *ax.get_yticklabels(), ax.xaxis.label, *figure.legends[0].get_texts()]
    )
    # The boxes of rotated labels overlap. They must end below the axis label.
    figure.draw_without_rendering()
    top = max(label.get_window_extent().y1 for label in ax.get_xticklabels())
    assert top <= ax.xaxis.label.get_window_extent().y0 + 1
    cell = ax.transData.transform((0.96, 0))[0] - ax.transData.transform((0, 0))[0]
    assert max(text.get_window_extent().width for text in ax.texts) < cell


def test_variants_are_rows_and_models_are_markers():
    variants = {"canonical": 3589, "without leaks": 3301, "FER+ majority": 3350}
    table = scores(["net", "other"], variants)
    figure = plot_variants(table)
    left, right = figure.axes
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert labels == [
        "canonical\n3,589 images",
        "without leaks\n3,301 images",
        "FER+ majority\n3,350 images",
    ]
    for ax, score, low, high in (
        (left, "accuracy", "low", "high"),
        (right, "macro_f1", "macro_f1_low", "macro_f1_high"),
    ):
        lines = [c for c in ax.containers if isinstance(c, ErrorbarContainer)]
        assert [line.get_label() for line in lines] == ["net", "other"]
        for line in lines:
            chosen = table[table["model"] == line.get_label()]
            points, _, (bars,) = line.lines
            np.testing.assert_allclose(points.get_xdata(), 100 * chosen[score])
            assert np.round(points.get_ydata().astype(float)).tolist() == [0, 1, 2]
            ends = np.array([[segment[0, 0], segment[1, 0]] for segment in bars.get_segments()])
            np.testing.assert_allclose(ends, 100 * chosen[[low, high]])
        first, second = (line.lines[0].get_ydata() for line in lines)
        assert (np.abs((first - second).astype(float)) > 0.2).all(), "markers must not overlap"


def test_single_model_has_no_legend_and_is_in_the_middle():
    figure = plot_variants(scores(["net"], {"canonical": 60, "without leaks": 55}))
    assert figure.legends == []
    assert figure.axes[0].containers[0].lines[0].get_ydata().tolist() == [0, 1]


def test_variant_without_images_is_empty():
    table = scores(["net"], {"canonical": 10, "without leaks": 0})
    table.loc[1, table.columns[3:]] = np.nan
    figure = plot_variants(table)
    figure.draw_without_rendering()
    assert np.isnan(figure.axes[0].containers[0].lines[0].get_xdata()).tolist() == [False, True]
    assert figure.axes[0].get_yticklabels()[1].get_text() == "without leaks\n0 images"


def test_nine_models_have_different_markers():
    figure = plot_variants(scores(list(NINE), {"canonical": 3589, "without leaks": 3301}))
    left, right = figure.axes
    assert len({line.lines[0].get_marker() for line in left.containers}) == 9
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == list(NINE)
    texts = [
        *left.get_yticklabels(),
        *figure.legends[0].get_texts(),
        left.xaxis.label,
        right.xaxis.label,
    ]
    assert_apart(figure, texts)
