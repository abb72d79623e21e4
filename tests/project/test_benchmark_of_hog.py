"""The benchmark that asks whether a classifier on gradients improves the ensemble."""

import sys

import numpy as np
import pytest

from fer_utils.data.sample import draw_sample
from fer_utils.emotions import PRIVATE, TRAINING


@pytest.fixture(scope="module")
def hog_voter(project):
    folder = str(project / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import hog_voter
    finally:
        sys.path.remove(folder)
    return hog_voter


def test_the_classifier_learns_drawn_faces(hog_voter):
    faces = draw_sample(1400, seed=2)
    training, other = faces.of(TRAINING), faces.of(PRIVATE)
    train, test = hog_voter.features(training.images), hog_voter.features(other.images)
    assert train.shape == (len(training), 36 * (7**2 + 5**2 + 3**2))
    logits = hog_voter.fitted(train, training.emotion, test, 1.0, 10.0, 200)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    accuracy = (logits.argmax(axis=1) == other.emotion).mean()
    assert accuracy > np.bincount(other.emotion).max() / len(other) + 0.1
