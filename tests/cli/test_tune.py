"""`fer-study tune`: the search space of its options, and its files."""

import json

import pandas as pd
import pytest
from tuning_cases import Trainings

from fer_utils import cli
from fer_utils.cli import tune as command
from fer_utils.cli.tune import parse_space
from fer_utils.errors import StudyError
from fer_utils.tuning import retraining, search
from fer_utils.tuning import trials as tuning_trials
from fer_utils.tuning.spaces import SearchSpace


def test_options_are_a_search_space():
    given = [
        "width=0.25,1",
        "depth=1,2",
        "learning_rate=1e-4..5e-3",
        "dropout=0..0.5",
        "loss=cross_entropy",
    ]
    assert parse_space(given) == SearchSpace(
        width=(0.25, 1.0),
        depth=(1, 2),
        learning_rate=(1e-4, 5e-3),
        dropout=(0, 0.5),
        loss=("cross_entropy",),
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("dropout", "expected NAME=VALUES"),
        ("rate=1..2", "one of width, depth"),
        ("dropout=0.1,0.2", r"expected LOWEST\.\.HIGHEST"),
        ("depth=1.5,2", "expected values with commas"),
        ("dropout=0.5..0.1", "expected lowest and highest, from 0"),
        ("learning_rate=0..1", "expected lowest and highest, above 0"),
    ],
)
def test_bad_options_are_named(option, message):
    with pytest.raises(StudyError, match=message):
        parse_space([option])


def test_the_command_writes_its_tables(faces, tmp_path, monkeypatch, capsys):
    """A stand-in replaces training, and the search runs in this process."""
    faces.save(tmp_path / "faces")
    monkeypatch.setattr(tuning_trials, "fit", Trainings())
    monkeypatch.setattr(
        command, "search", lambda *a, **k: search(*a, **k, isolated=False, progress=False)
    )
    given = [
        "tune",
        "baseline_cnn",
        "--data",
        tmp_path / "faces",
        "--runs",
        tmp_path / "runs",
        "--out",
        tmp_path / "out",
    ]
    given += [
        "--set",
        "epochs=2",
        "--search",
        "dropout=0.1..0.5",
        "--search",
        "learning_rate=1e-4..1e-2",
    ]
    assert cli.main([*map(str, given), "--trials", "4", "--oracle", "random"]) == 0
    ledger = pd.read_csv(tmp_path / "out" / "ledger.csv")
    best = json.loads((tmp_path / "out" / "best.json").read_text())
    assert len(ledger) == 4 and best["epochs"] == 2
    assert best["learning_rate"] == ledger["learning_rate"][0]
    assert json.loads(ledger["curve"][0])[0] == pytest.approx(ledger["val_accuracy"][0], abs=1e-6)
    assert "<svg" in (tmp_path / "out" / "trials.html").read_text()
    assert "4 trials, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--worker", "127.0.0.1:1"], "--worker HOST:PORT and --id N together"),
        (["--chief", "here"], "expected HOST:PORT, found 'here'"),
    ],
)
def test_an_incomplete_role_is_an_error(options, message, capsys):
    assert cli.main(["tune", "baseline_cnn", *options]) == 2
    assert message in capsys.readouterr().err


# --- retraining ---


def test_retraining_measures_the_optimism_of_the_search(faces, recipe, tiny_network, tmp_path):
    faces = faces.without_private()
    space = SearchSpace(dropout=(0.1, 0.5), learning_rate=(1e-3, 1e-2))
    given = {
        "oracle": "random",
        "trials": 3,
        "seed": 1,
        "store": tmp_path,
        "progress": False,
        "isolated": False,
    }
    ledger = search(space, recipe, faces, **given)
    found = retraining.contenders(ledger, space, recipe)
    assert [each.model for each in found] == ["winner", "runner-up", "untuned"]
    assert found[-1].recipe == recipe
    assert [each.trial for each in found[:2]] == ledger["trial"][:2].tolist()
    runs = retraining.retrain(found, faces, [2, 3, 4], tmp_path, search_seed=1, progress=False)
    table = retraining.retrained_table(found, runs, faces)
    for row, each in zip(table.to_dict("records"), runs, strict=True):
        scores = [run.history["val_accuracy"].iloc[-1] for run in each]
        assert row["mean"] == pytest.approx(sum(scores) / 3)
        assert row["deviation"] == pytest.approx(pd.Series(scores).std())
        assert row["low"] <= row["mean"] <= row["high"] and row["runs"] == 3
    assert table["optimism"][0] == pytest.approx(ledger["val_accuracy"][0] - table["mean"][0])
    assert table["gain"][0] == pytest.approx(table["mean"][0] - table["mean"][2])
    assert table["gain_low"][0] <= table["gain"][0] <= table["gain_high"][0]
    assert table.loc[2, ["gain", "optimism", "search_accuracy"]].isna().all()


@pytest.mark.parametrize(
    ("low", "high", "effect"),
    [
        (0.01, 0.03, "gained"),
        (-0.03, -0.01, "lost"),
        (-0.01, 0.03, "no significant effect"),
    ],
)
def test_a_gain_is_claimed_only_if_its_interval_is_above_zero(low, high, effect):
    row = {
        "search_accuracy": 0.6,
        "mean": 0.55,
        "runs": 3,
        "optimism": 0.05,
        "gain": (low + high) / 2,
    }
    text = retraining.retraining_finding(pd.DataFrame([row | {"gain_low": low, "gain_high": high}]))
    assert effect in text and "5.0 points" in text


@pytest.mark.parametrize("seeds", [[2, 3], [2, 3, 3], [1, 2, 3], []])
def test_retraining_needs_three_seeds_other_than_that_of_the_search(faces, recipe, tmp_path, seeds):
    with pytest.raises(StudyError, match="expected 3 seeds or more"):
        retraining.retrain([], faces, seeds, tmp_path, search_seed=1)
