"""The threshold slider and the confusion matrix that opens examples contain the right numbers."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from fer_utils.emotions import EMOTIONS
from fer_utils.evaluation import probabilities
from fer_utils.plots.interactive import THRESHOLDS, confusion_examples, threshold_slider


@pytest.fixture(scope="module")
def logits(faces):
    draws = np.random.default_rng(2).normal(size=(len(faces), 7))
    draws[np.arange(len(faces)), faces.emotion] += 1.5
    return draws


def data_of(widget):
    """The data in a widget's script."""
    return json.loads(re.search(r"data = (.*);$", widget.data, re.M)[1])


def test_each_position_of_the_slider_has_its_own_counts(faces, logits):
    shares = probabilities(logits)
    widget = threshold_slider(shares, faces.emotion, 0.613)
    texts = data_of(widget)
    assert len(texts) == len(THRESHOLDS)
    right = shares.argmax(axis=1) == faces.emotion
    for threshold, text in zip(THRESHOLDS, texts, strict=True):
        kept = shares.max(axis=1) >= threshold
        assert f"{threshold:.2f}: {kept.sum()} of {len(faces)} " in text
        if kept.any():
            assert f"{100 * right[kept].mean():.1f} % of them are correct" in text
        else:
            assert "correct" not in text
    assert 'value="41"' in widget.data and texts[41] in widget.data, "it starts at 0.61"


@pytest.mark.parametrize("show_faces", [True, False])
def test_each_cell_opens_its_most_probable_predictions(faces, logits, show_faces):
    data = data_of(confusion_examples(faces, logits, show_faces=show_faces))
    predicted = logits.argmax(axis=1)
    confidence = probabilities(logits).max(axis=1)
    assert len(data["cells"]) == 49
    for place, cell in enumerate(data["cells"]):
        label, prediction = divmod(place, 7)
        inside = np.flatnonzero((faces.emotion == label) & (predicted == prediction))
        named = f"Label {EMOTIONS[label]}, prediction {EMOTIONS[prediction]}: {len(inside)} images."
        assert cell["title"].startswith(named)
        rows = [re.match(r"row (\d+)", text) for _, text in cell["examples"]]
        shown = [np.flatnonzero(faces.row == int(row[1]))[0] for row in rows if row]
        assert set(shown) <= set(inside) and len(shown) == min(4, len(inside))
        rest = np.setdiff1d(inside, shown)
        if len(rest):
            assert confidence[shown].min() >= confidence[rest].max()


def pictures(data) -> set[bytes]:
    """The pixels of all pictures in the data of a matrix."""
    encoded = [picture for cell in data["cells"] for picture, _ in cell["examples"] if picture]
    return {
        np.asarray(
            Image.open(io.BytesIO(base64.b64decode(data["faces"].get(each, each))))
        ).tobytes()
        for each in encoded
    }


def test_faces_of_the_data_are_shown_only_if_they_may_be(faces, logits):
    own = {image.tobytes() for image in faces.images}
    shown = pictures(data_of(confusion_examples(faces, logits, show_faces=True)))
    assert shown and shown <= own
    hidden = pictures(data_of(confusion_examples(faces, logits, show_faces=False)))
    assert 0 < len(hidden) <= 7 and not hidden & own
