"""Confident learning on labels that were made wrong on purpose and on planted faults."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score, recall_score

from fer_utils.audits import confident
from fer_utils.audits.confident import (
    detection,
    estimated_noise,
    issues_finding,
    issues_held_to,
    label_issues,
)
from fer_utils.audits.hog_classifier import gradients, hog_probabilities
from fer_utils.audits.labels import NAMED, mislabelled
from fer_utils.data.sample import draw_sample
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError

COUNT, WRONG = 3000, 300


@pytest.fixture(scope="module")
def mistaken():
    """Probabilities of a confident and calibrated classifier, labels, and the wrong labels.

    The true emotions are drawn from the probabilities.
    """
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(7, 0.015), COUNT)
    true = (probabilities.cumsum(axis=1) > generator.random((COUNT, 1))).argmax(axis=1)
    emotion, wrong = true.copy(), np.zeros(COUNT, bool)
    wrong[generator.permutation(COUNT)[:WRONG]] = True
    emotion[wrong] = (true[wrong] + generator.integers(1, 7, WRONG)) % 7
    return probabilities, emotion, wrong


@pytest.fixture(scope="module")
def drawn():
    faces = draw_sample(700, seed=2)
    return faces, hog_probabilities(faces)


def test_issues_are_the_wrong_labels(mistaken):
    probabilities, emotion, wrong = mistaken
    issues = label_issues(probabilities, emotion)
    flagged = issues["flagged"].to_numpy()
    assert list(issues.columns) == [
        "label",
        "suggested",
        "self_confidence",
        "normalized_margin",
        "rank",
        "flagged",
    ]
    assert precision_score(wrong, flagged) > 0.6 and recall_score(wrong, flagged) > 0.85
    worst = np.argsort(issues["rank"])[:200]
    assert wrong[worst].mean() > 0.9
    assert sorted(issues["rank"]) == list(range(1, COUNT + 1))


def test_scores_of_issues(mistaken):
    probabilities, emotion, _ = mistaken
    issues = label_issues(probabilities, emotion)
    for index in range(50):
        row, own = probabilities[index], emotion[index]
        assert (
            issues["label"][index] == EMOTIONS[own]
            and issues["suggested"][index] == EMOTIONS[row.argmax()]
        )
        assert issues["self_confidence"][index] == pytest.approx(row[own])
        assert issues["normalized_margin"][index] == pytest.approx(
            (row[own] - np.delete(row, own).max() + 1) / 2
        )
    ordered = issues.sort_values("rank")["self_confidence"]
    assert ordered.is_monotonic_increasing


@pytest.mark.filterwarnings("error")
def test_an_emotion_without_images(mistaken):
    probabilities, emotion, _ = mistaken
    without = emotion != 1
    issues = label_issues(probabilities[without], emotion[without])
    assert len(issues) == without.sum() and "disgust" not in set(issues["label"])
    noise = estimated_noise(probabilities[without], emotion[without])
    assert noise.joint.shape == (7, 7) and noise.joint.loc["disgust"].sum() == pytest.approx(
        0, abs=1e-9
    )


def test_estimated_noise_is_near_the_share_of_wrong_labels(mistaken):
    probabilities, emotion, wrong = mistaken
    noise = estimated_noise(probabilities, emotion)
    assert noise.wrong == pytest.approx(wrong.mean(), abs=0.05)
    assert noise.low <= noise.wrong <= noise.high and 0.005 < noise.high - noise.low < 0.08
    assert noise.images == COUNT
    assert noise.joint.to_numpy().sum() == pytest.approx(1)
    assert noise.joint.sum(axis=1).to_numpy() == pytest.approx(
        np.bincount(emotion, minlength=7) / COUNT
    )
    assert noise == estimated_noise(probabilities, emotion)._replace(joint=noise.joint)


def test_a_weaker_classifier_finds_more_wrong_labels(mistaken, monkeypatch):
    monkeypatch.setattr(confident, "RESAMPLES", 2)
    probabilities, emotion, _ = mistaken
    others = np.roll(probabilities, 1, axis=0)
    weaker = np.where(np.random.default_rng(1).random((COUNT, 1)) < 0.2, others, probabilities)
    share = estimated_noise(probabilities, emotion).wrong
    assert estimated_noise(weaker, emotion).wrong > share + 0.05


def test_other_shapes_are_an_error():
    for probabilities, emotion in (
        (np.ones((3, 6)), [0, 1, 2]),
        (np.ones((3, 7)), [0, 1]),
        (np.ones((0, 7)), []),
    ):
        for function in (label_issues, estimated_noise):
            with pytest.raises(StudyError, match=r"expected probabilities \(n, 7\)"):
                function(probabilities, np.array(emotion))


def test_detection_by_hand():
    issues = pd.DataFrame(
        {"flagged": [True, True, False, False, False], "self_confidence": [0.1, 0.3, 0.2, 0.8, 0.9]}
    )
    found = detection(issues, np.array([True, False, True, False, False]), "by hand")
    assert found == {
        "reference": "by hand",
        "images": 5,
        "wrong": 2,
        "flagged": 2,
        "both": 1,
        "precision": 0.5,
        "recall": 0.5,
        "base_rate": 0.4,
        "lift": pytest.approx(1.25),
        "roc_auc": 1.0,
    }
    none = detection(issues.assign(flagged=False), np.zeros(5, bool), "by hand")
    assert np.isnan([none["precision"], none["recall"], none["lift"], none["roc_auc"]]).all()


def test_planted_wrong_labels_are_found(drawn):
    faces, probabilities = drawn
    issues = label_issues(probabilities, faces.emotion)
    table = issues_held_to(issues, faces)
    (row,) = table.to_dict("records")
    assert row["wrong"] == mislabelled(faces).sum() and row["reference"].startswith("planted")
    assert row["recall"] > 0.6 and row["lift"] > 1.5 and row["roc_auc"] > 0.75
    finding = issues_finding(table)
    assert f"{row['flagged']} of {len(faces)}" in finding
    assert f"{100 * row['recall']:.0f} % of its {row['wrong']}" in finding


def test_references_are_planted_faults_and_votes(drawn):
    faces, probabilities = drawn
    issues = label_issues(probabilities, faces.emotion)
    unknown = replace(faces, truth=None)
    table = issues_held_to(issues, unknown)
    assert table.empty and "precision" in table and "no reference" in issues_finding(table)
    array = np.zeros((len(faces), len(CATEGORIES)), np.uint8)
    for index, emotion in enumerate(faces.emotion):
        array[index, CATEGORIES.index(NAMED[emotion])] = 10
    array[0] = 0
    array[0, CATEGORIES.index("NF")] = 10
    voted = replace(unknown, votes=pd.DataFrame(array, columns=list(CATEGORIES)))
    assert issues_held_to(issues, voted)["wrong"].tolist() == [1, 0]
    without_wrong = issues_finding(issues_held_to(issues, voted).iloc[1:])
    assert " 0 are wrong" in without_wrong and "nan" not in without_wrong
    assert len(issues_held_to(issues, replace(voted, truth=faces.truth))) == 3


def test_one_emotion_is_an_error(mistaken):
    probabilities, emotion, _ = mistaken
    for function in (label_issues, estimated_noise):
        with pytest.raises(StudyError, match="two emotions, found 1"):
            function(probabilities[emotion == 3], emotion[emotion == 3])


def test_resamples_of_one_emotion_are_left_out():
    noise = estimated_noise(np.eye(7)[[2, 3]], np.array([2, 3]))
    assert (noise.wrong, noise.low, noise.high) == pytest.approx((0, 0, 0))


# ---- the HOG classifier


def test_hog_probabilities(drawn):
    faces, probabilities = drawn
    assert probabilities.shape == (len(faces), 7) and probabilities.dtype == np.float64
    assert probabilities.sum(axis=1) == pytest.approx(1) and (probabilities >= 0).all()
    # The majority class has a quarter of the images.
    assert (probabilities.argmax(axis=1) == faces.emotion).mean() > 0.45
    np.testing.assert_allclose(hog_probabilities(faces), probabilities, atol=1e-6)
    assert np.abs(hog_probabilities(faces, seed=1) - probabilities).max() > 1e-3


def test_duplicates_are_in_one_fold(faces):
    """Each picture is noise with a random label and occurs twice.

    A classifier trained on the duplicate predicts the label. Any other is at chance level.
    """
    generator = np.random.default_rng(0)
    images = np.repeat(generator.integers(0, 256, (300, 48, 48), dtype=np.uint8), 2, axis=0)
    emotion = np.repeat(generator.integers(0, 7, 300), 2).astype(np.uint8)
    noise = replace(
        faces,
        images=images,
        emotion=emotion,
        usage=np.full(600, "Training"),
        row=np.arange(600),
        truth=None,
    )
    correct = hog_probabilities(noise).argmax(axis=1) == emotion
    assert correct.mean() < 0.25
    # With one other bit they are no exact duplicates, and may be in different folds.
    changed = images.copy()
    changed[::2, 0, 0] ^= 1
    correct = hog_probabilities(replace(noise, images=changed)).argmax(axis=1) == emotion
    assert correct.mean() > 0.4


def test_gradients_depend_on_edges_and_not_on_brightness():
    image = np.random.default_rng(0).integers(60, 190, (48, 48), dtype=np.uint8)
    features = gradients(np.stack([image, image + 40, image.T]))
    assert features.shape == (3, 900) and features.dtype == np.float32
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert np.abs(features[0] - features[2]).max() > 0.05
    assert gradients(np.zeros((1, 48, 48), np.uint8)).tolist() == [[0] * 900]


@pytest.mark.filterwarnings("error")
def test_an_emotion_that_the_other_folds_lack_has_probability_0(faces):
    kept = np.flatnonzero(faces.emotion != 1)[:60]
    chosen = np.append(kept, np.flatnonzero(faces.emotion == 1)[0])
    probabilities = hog_probabilities(faces.select(chosen))
    assert probabilities[-1, 1] == 0 and np.isfinite(probabilities).all()


@pytest.mark.parametrize("change", ["few", "one emotion", "one picture"])
def test_too_few_faces_are_an_error(faces, change):
    if change == "one emotion":
        chosen = faces.select(faces.emotion == 3)
    elif change == "one picture":
        chosen = replace(faces, images=np.zeros_like(faces.images))
    else:
        chosen = faces.select(np.arange(3))
    with pytest.raises(StudyError, match="HOG classifier: expected at least 5 different images"):
        hog_probabilities(chosen)
