"""The cost of a prediction: multiply-adds of the networks, and times of ONNX Runtime."""

import time

import numpy as np
import pandas as pd
import pytest

from fer_utils.networks import build, parts
from fer_utils.networks.costs import multiply_adds
from fer_utils.release import latency
from fer_utils.release.latency import answer_costs, tta_finding, with_costs
from fer_utils.training.recipe import Recipe


@pytest.fixture(scope="module")
def two_recipes(recipe):
    """A recipe without TTA, and one with TTA (flip) and two snapshots."""
    return {"one": recipe, "many": recipe.but(name="many", epochs=12, tta="flip", snapshots=2)}


def test_costs_are_those_of_the_networks(two_recipes):
    table = answer_costs(two_recipes, rounds=3)
    assert table[["model", "tta", "answers"]].values.tolist() == [
        ["one", "", 1],
        ["many", "", 1],
        ["many", "flip, 2 snapshots", 4],
    ]
    for row in table.to_dict("records"):
        recipe: Recipe = two_recipes[row["model"]]
        model = build(recipe.network, **recipe.options)
        assert row["parameters"] == parts(model)[1].count_params()
        assert row["multiply_adds"] == row["answers"] * multiply_adds(model)
    assert (table["milliseconds"] > 0).all()


def test_without_rounds_nothing_is_timed(two_recipes):
    table = answer_costs(two_recipes, rounds=0)
    assert table["milliseconds"].isna().all() and (table["multiply_adds"] > 0).all()
    scores = SCORES.assign(model=["one", "many", "many", "unpriced", "ensemble (2 networks)"])
    scores["tta"] = ["", "", "flip, 2 snapshots", "", ""]
    priced = with_costs(scores, table, {"ensemble (2 networks)": ["one", "many"]})
    assert priced["milliseconds"].isna().all(), "nor has the ensemble a time of 0"
    finding = tta_finding(priced)
    assert "4.0 times the multiply-adds" in finding and "milliseconds" not in finding


def test_times_are_the_minimum_of_calls_with_all_transforms(two_recipes, monkeypatch):
    """A stand-in for ONNX Runtime takes a known time per face."""
    asked = []

    class Session:
        def run(self, outputs, given):
            asked.append(given["pixels"].shape)
            clock[0] += 0.003 * len(given["pixels"]) * (1 if len(asked) > 20 else 100)

    clock = [0.0]
    monkeypatch.setattr(
        "fer_utils.recognition.recognizer.open_model", lambda file, threads: Session()
    )
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    table = answer_costs(two_recipes, rounds=5)
    assert table["milliseconds"].tolist() == pytest.approx([3, 3, 12]), (
        "the machine was busy in all rounds except one"
    )
    # A round: one face, one face, and for each of two snapshots the face and its flip.
    assert asked == 6 * [(1, 48, 48, 1), (1, 48, 48, 1), (2, 48, 48, 1), (2, 48, 48, 1)]


SCORES = pd.DataFrame(
    {
        "model": ["a", "a", "b", "unpriced", "ensemble (2 networks)"],
        "tta": ["", "flip", "", "", "flip"],
        "private_accuracy": [0.60, 0.62, 0.5, 0.9, 0.65],
    }
)
COSTS = pd.DataFrame(
    {
        "model": ["a", "a", "b"],
        "tta": ["", "flip", ""],
        "multiply_adds": [10, 20, 7],
        "milliseconds": [1.0, 1.5, 0.25],
    }
)


def test_an_ensemble_costs_what_its_members_cost():
    priced = with_costs(SCORES, COSTS, {"ensemble (2 networks)": ["a", "a", "b"]})
    assert priced["model"].tolist() == ["a", "a", "b", "ensemble (2 networks)"]
    assert priced["multiply_adds"].tolist() == [10, 20, 7, 47], "the members use TTA"
    assert priced["milliseconds"].tolist() == pytest.approx([1.0, 1.5, 0.25, 3.25])
    assert with_costs(SCORES, COSTS)["model"].tolist() == ["a", "a", "b"]


def test_the_finding_has_gain_and_cost_of_tta():
    finding = tta_finding(with_costs(SCORES, COSTS))
    assert "of a by +2.0 points" in finding and "1.5 times" in finding
    assert "No network" in tta_finding(with_costs(SCORES[2:3], COSTS))


def test_the_first_call_is_not_counted(two_recipes, monkeypatch):
    monkeypatch.setattr(latency, "_seconds", lambda session, pixels, times: next(ticks))
    ticks = iter(np.r_[99.0, 99.0, 99.0, np.arange(1.0, 10.0)])
    assert answer_costs(two_recipes, rounds=3)["milliseconds"].tolist() == [1000, 2000, 3000]
