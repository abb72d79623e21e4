"""Smaller pictures for pages."""

import base64
import io
from copy import deepcopy

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fer_utils.reports.pictures import with_smaller_pictures


def notebook_with(picture: Image.Image):
    file = io.BytesIO()
    picture.save(file, "PNG")
    output = nbformat.v4.new_output(
        "display_data", {"image/png": base64.b64encode(file.getvalue()).decode()}
    )
    output.metadata["image/png"] = {"width": 300}
    cell = nbformat.v4.new_code_cell("x", outputs=[output])
    return nbformat.v4.new_notebook(cells=[cell])


def opened(notebook) -> tuple[str, Image.Image, int]:
    ((kind, text),) = notebook.cells[0].outputs[0].data.items()
    return kind, Image.open(io.BytesIO(base64.b64decode(text))), len(text)


@pytest.fixture(scope="module")
def figure() -> Image.Image:
    drawn = Figure(figsize=(6, 4))
    axes = drawn.subplots()
    for number in range(5):
        axes.plot(np.arange(9) ** 0.5 + number)
    file = io.BytesIO()
    drawn.savefig(file, format="png")
    return Image.open(file)


def test_a_figure_keeps_its_size_and_looks_the_same(figure):
    before = notebook_with(figure)
    after = with_smaller_pictures(before)
    kind, picture, size = opened(after)
    assert kind == "image/png" and picture.size == figure.size
    assert size < opened(before)[2] / 1.5
    difference = np.abs(np.asarray(picture.convert("RGB"), int) - np.asarray(figure)[..., :3])
    assert difference.mean() < 2, "of 255 grey levels"
    assert after.cells[0].outputs[0].metadata == {"image/png": {"width": 300}}


def test_a_photo_becomes_a_jpeg():
    photo = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    ).resize((480, 360), Image.Resampling.BICUBIC)
    kind, picture, size = opened(with_smaller_pictures(notebook_with(photo)))
    assert kind == "image/jpeg" and picture.size == photo.size
    assert size < opened(notebook_with(photo))[2] / 2


def test_a_picture_that_would_not_get_smaller_stays_and_the_notebook_too(figure):
    dot = notebook_with(Image.new("1", (1, 1)))
    assert with_smaller_pictures(dot) == dot
    before = notebook_with(figure)
    kept = deepcopy(before)
    first = with_smaller_pictures(before)
    assert before == kept
    assert with_smaller_pictures(before) == first, "the same bytes again"
