"""The benchmark that asks whether a classifier on gradients improves the ensemble."""

import hog_voter
import numpy as np

from fer_utils.data.sample import draw_sample
from fer_utils.emotions import PRIVATE, TRAINING


def test_the_classifier_learns_drawn_faces():
    faces = draw_sample(700, seed=2)
    training, other = faces.of(TRAINING), faces.of(PRIVATE)
    train, test = hog_voter.features(training.images), hog_voter.features(other.images)
    assert train.shape == (len(training), 36 * (7**2 + 5**2 + 3**2))
    logits = hog_voter.fitted(train, training.emotion, test, 1.0, 10.0, 200)
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    accuracy = (logits.argmax(axis=1) == other.emotion).mean()
    assert accuracy > np.bincount(other.emotion).max() / len(other) + 0.1
