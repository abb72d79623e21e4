"""Drawn faces: action units change them, at any size."""

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_utils.data.drawing import ACTION_UNITS, DRAWABLE, draw_face
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError


def test_each_action_unit_changes_the_face():
    neutral = draw_face()
    assert (neutral == draw_face("neutral")).all()
    for unit in DRAWABLE:
        assert (draw_face(action_units={unit: 1.0}) != neutral).any(), unit


def test_each_emotion_differs_from_neutral():
    assert list(ACTION_UNITS) == list(EMOTIONS)
    for seed in range(5):
        neutral = draw_face(seed=seed).astype(int)
        for emotion in EMOTIONS[:-1]:
            assert np.abs(draw_face(emotion, seed=seed) - neutral).mean() > 1


def test_larger_drawings_show_the_same_face():
    small, large = draw_face("happy", seed=3), draw_face("happy", seed=3, side=192)
    assert large.shape == (192, 192) and large.dtype == np.uint8
    shrunk = large.reshape(48, 4, 48, 4).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_face("joyful"), "angry, disgust"),
        (lambda: draw_face(action_units={3: 1.0}), "action_units"),
        (lambda: draw_face(action_units={12: 1.5}), "12"),
        (lambda: draw_face("happy", action_units={12: 1.0}), "both"),
        (lambda: draw_face(seed=-1), "seed"),
        (lambda: draw_face(side=4), "side"),
        (lambda: draw_face(side=2000), "side"),
    ],
)
def test_invalid_arguments_are_errors(call, message):
    with pytest.raises(StudyError, match=message):
        call()


@pytest.mark.slow
def test_the_picture_of_the_datasheet_is_that_of_its_script(tmp_path):
    docs = Path(__file__).parents[2] / "docs"
    figure = runpy.run_path(str(docs / "faces.py"))["picture"]()
    figure.savefig(tmp_path / "faces.png", transparent=True)
    drawn = cv2.imread(str(tmp_path / "faces.png"), cv2.IMREAD_GRAYSCALE)
    committed = cv2.imread(str(docs / "faces.png"), cv2.IMREAD_GRAYSCALE)
    assert drawn.shape == committed.shape
    difference = np.abs(drawn.astype(int) - committed)
    # Another machine may have another typeface. The faces are equal.
    assert (difference > 8).mean() < 0.03
    assert difference[56:254].max() <= 8
