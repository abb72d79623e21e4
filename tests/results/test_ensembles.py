"""Ensembles: greedy selection, their JSON file, and the mean probability as prediction."""

import json
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from fer_utils.errors import StudyError
from fer_utils.evaluation import mean_prediction
from fer_utils.results.ensembles import (
    Ensemble,
    member_logits,
    members,
    predict_ensemble,
    read_ensembles,
    select,
    select_with_tta,
    write_ensemble,
)
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import RunInfo, write_predictions


@pytest.fixture(scope="module")
def emotion() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 7, 400)


def guesses(emotion: np.ndarray, seed: int, strength: float = 1.0) -> np.ndarray:
    """Logits (n, 7) that favour the true emotion, with noise that depends on the seed."""
    noise = np.random.default_rng(seed).normal(size=(len(emotion), 7))
    return (noise + strength * np.eye(7)[emotion]).astype(np.float32)


def loss(logits: list[np.ndarray], emotion: np.ndarray) -> float:
    return log_loss(
        emotion, np.mean([softmax(each.astype(float), axis=1) for each in logits], axis=0)
    )


def test_each_step_adds_the_network_with_the_lowest_joint_loss(emotion):
    candidates = {f"run-{seed}": guesses(emotion, seed, 0.5 + 0.2 * seed) for seed in range(5)}
    path = select(candidates, emotion, size=6)
    assert path["size"].tolist() == [1, 2, 3, 4, 5, 6]
    chosen: list[np.ndarray] = []
    for row in path.to_dict("records"):
        losses = {name: loss([*chosen, logits], emotion) for name, logits in candidates.items()}
        assert row["added"] == min(losses, key=losses.get)
        chosen.append(candidates[row["added"]])
        assert row["cross_entropy"] == pytest.approx(losses[row["added"]], rel=1e-6)
        correct = (
            np.mean([softmax(each, axis=1) for each in chosen], axis=0).argmax(axis=1) == emotion
        )
        assert row["accuracy"] == pytest.approx(correct.mean())
        assert row["low"] < row["accuracy"] < row["high"]


def test_two_equally_good_networks_are_selected_and_noise_is_not(emotion):
    candidates = {
        "one": guesses(emotion, 1, 2.0),
        "two": guesses(emotion, 2, 2.0),
        "noise": guesses(emotion, 3, 0.0),
    }
    path = select(candidates, emotion, size=4)
    assert set(members(path)) == {"one", "two"}
    pairs = {
        pair: loss([candidates[name] for name in pair], emotion)
        for pair in combinations_with_replacement(candidates, 2)
    }
    assert set(min(pairs, key=pairs.get)) == {"one", "two"}, (
        "no other pair is as good, by construction"
    )


def test_members_end_at_the_lowest_loss(emotion):
    path = select({"one": guesses(emotion, 1), "two": guesses(emotion, 2)}, emotion, size=3)
    path["added"], path["cross_entropy"] = ["one", "two", "one"], [1.2, 1.0, 1.1]
    assert members(path) == {"one": 1, "two": 1}
    path["cross_entropy"] = [1.2, 1.1, 1.0]
    assert members(path) == {"one": 2, "two": 1}


def test_a_network_that_counts_twice_has_twice_the_weight(emotion):
    logits = {"one": guesses(emotion, 1), "two": guesses(emotion, 2)}
    expected = (2 * softmax(logits["one"], axis=1) + softmax(logits["two"], axis=1)) / 3
    np.testing.assert_allclose(
        softmax(predict_ensemble({"one": 2, "two": 1}, logits), axis=1), expected, atol=1e-6
    )


def test_no_candidates_and_no_members_are_errors(emotion):
    with pytest.raises(StudyError, match="found 0 and 8"):
        select({}, emotion)
    with pytest.raises(StudyError, match="found 1 and 0"):
        select({"one": guesses(emotion, 1)}, emotion, size=0)


def test_members_use_tta_if_their_recipe_has_it(faces, tmp_path):
    part = faces.select(np.arange(12))
    plain, tta = guesses(part.emotion, 1), guesses(part.emotion, 2)
    runs = {}
    for recipe in (
        Recipe("plain", "baseline_cnn"),
        Recipe("flipped", "baseline_cnn", tta="flip"),
    ):
        folder = tmp_path / recipe.name
        folder.mkdir()
        write_predictions(folder, part.row, plain)
        if recipe.tta_label:
            write_predictions(folder, part.row, tta, tta=True)
        runs[folder] = RunInfo(recipe, 1)
    first, second = member_logits(runs, part).values()
    assert np.array_equal(first, plain) and np.array_equal(second, tta)
    for without in member_logits(runs, part, tta=False).values():
        assert np.array_equal(without, plain)


@pytest.mark.parametrize("better", [True, False])
def test_tta_is_selected_for_all_members_together(faces, tmp_path, better):
    part = faces.select(np.arange(60))
    runs = {}
    for number in (1, 2):
        folder = tmp_path / f"flipped-seed{number}-0123456789ab"  # as in a store of runs
        folder.mkdir()
        good, bad = guesses(part.emotion, number, 3.0), guesses(part.emotion, number + 2, 0.5)
        write_predictions(folder, part.row, bad if better else good)
        write_predictions(folder, part.row, good if better else bad, tta=True)
        runs[folder] = RunInfo(Recipe("flipped", "baseline_cnn", tta="flip"), number)
    path, tta = select_with_tta(runs, part, 2)
    assert tta is better
    expected = {
        runs[each].label: found for each, found in member_logits(runs, part, tta=better).items()
    }
    pd.testing.assert_frame_equal(path, select(expected, part.emotion, 2))
    ensemble = Ensemble(dict.fromkeys(runs, 1), tta)
    mean = mean_prediction(list(expected.values()))
    np.testing.assert_allclose(ensemble.predict(runs, part), mean)


def test_an_ensemble_is_stored_as_its_members(emotion, tmp_path):
    candidates = {
        "a-seed1": guesses(emotion, 1, 2.0),
        "a-seed2": guesses(emotion, 2, 2.0),
        "b-seed1": guesses(emotion, 3),
    }
    path = select(candidates, emotion, size=4)
    file = write_ensemble(tmp_path, "both", path, candidates, tta=False)
    content = json.loads(file.read_text())
    assert content["candidates"] == ["a-seed1", "a-seed2", "b-seed1"] and content["size"] == 4
    best = path.loc[path["cross_entropy"].idxmin()]
    assert content["public_accuracy"] == pytest.approx(best["accuracy"], abs=1e-6)
    for label in candidates:
        (tmp_path / label).mkdir()
    expected = {tmp_path / label: times for label, times in members(path).items()}
    assert read_ensembles(tmp_path) == {"both": Ensemble(expected, tta=False)}
    (tmp_path / "a-seed1").rmdir()
    with pytest.raises(StudyError, match=r"both\.json: expected .* none of a-seed1"):
        read_ensembles(tmp_path)


def test_without_files_there_are_no_ensembles(tmp_path):
    assert read_ensembles(tmp_path) == {}
