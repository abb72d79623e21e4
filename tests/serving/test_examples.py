"""The example photos of the page are what their README says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import fer_utils.serving
from fer_utils.data.drawing import draw_face

EXAMPLES = Path(fer_utils.serving.__file__).parent / "static" / "examples"


def pixels(name):
    return np.asarray(Image.open(EXAMPLES / name), int)


@pytest.mark.parametrize("emotion, seed", [("happy", 2), ("surprise", 1)])
def test_the_drawn_examples_are_those_of_draw_face(emotion, seed):
    drawn = draw_face(emotion, seed=seed, side=288)
    # Another version of OpenCV may round differently; another person differs by 30 and more.
    assert np.abs(pixels(f"drawn-{emotion}.png") - drawn).mean() < 1
    readme = (EXAMPLES / "README.md").read_text()
    assert f'draw_face("{emotion}", seed={seed}, side=288)' in readme


def test_the_portrait_is_nasas(client):
    portrait = pixels("astronaut.jpg")
    assert portrait.shape == (512, 512, 3)
    assert np.abs(portrait - data.astronaut()).mean() < 5
    response = client.get("/static/examples/astronaut.jpg")
    assert response.content_type == "image/jpeg"
    assert len(response.data) < 60_000


def test_each_example_has_a_source(client):
    page = client.get("/").get_data(as_text=True)
    readme = (EXAMPLES / "README.md").read_text()
    photos = [path.name for path in EXAMPLES.iterdir() if path.suffix != ".md"]
    assert len(photos) == 3
    for name in photos:
        assert f"`{name}`" in readme
        assert f'data-example="static/examples/{name}"' in page
