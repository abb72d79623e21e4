"""The search: ledger, failures, and continuation after an interruption."""

import numpy as np
import pandas as pd
import pytest
from tuning_cases import SPACE, Interrupted, Trainings

from fer_utils.errors import StudyError
from fer_utils.training import checkpoint
from fer_utils.training.runs import Run
from fer_utils.tuning import SearchSpace, search
from fer_utils.tuning import trials as tuning_trials
from fer_utils.tuning.oracles import ORACLES
from fer_utils.tuning.search import independent_recipes

COLUMNS = [
    *("trial", "status", "width", "dropout", "learning_rate"),
    *(
        "parameters",
        "val_accuracy",
        "epoch_kept",
        "epochs",
        "seconds",
        "seed",
        "curve",
        "run",
        "problem",
    ),
]


@pytest.fixture
def searching(faces, recipe, tmp_path, monkeypatch):
    """Search with a replacement of `fit`, in a store below `tmp_path`."""

    def search_with(fit, store="store", **changes) -> pd.DataFrame:
        monkeypatch.setattr(tuning_trials, "fit", fit)
        options = {
            "oracle": "random",
            "trials": 4,
            "seed": 1,
            "store": tmp_path / store,
            "progress": False,
            "isolated": False,
        }
        return search(SPACE, recipe, faces.without_private(), **options | changes)

    return search_with


# --- with real trainings ---


@pytest.fixture
def counted(monkeypatch):
    """Return a list with one entry per trained epoch."""
    from fer_utils.training.engines.tensorflow import Engine

    calls, plain = [], Engine.epoch

    def epoch(self, *args):
        calls.append(1)
        return plain(self, *args)

    monkeypatch.setattr(Engine, "epoch", epoch)
    return calls


def test_search_trains_its_trials_once(tiny_network, counted, faces, recipe, tmp_path):
    def run() -> pd.DataFrame:
        return search(
            SPACE,
            recipe,
            faces.without_private(),
            oracle="random",
            trials=3,
            seed=1,
            store=tmp_path,
            progress=False,
            isolated=False,
        )

    ledger = run()
    assert ledger.columns.tolist() == COLUMNS
    assert sorted(ledger["trial"]) == [1, 2, 3] and set(ledger["status"]) == {"completed"}
    assert len(counted) == 3 * recipe.epochs
    assert ledger["val_accuracy"].is_monotonic_decreasing
    for row in ledger.to_dict("records"):
        made = Run(tmp_path / row["run"])
        assert made.recipe == recipe.but(
            **{name: row[name] for name in ("width", "dropout", "learning_rate")}
        )
        assert row["val_accuracy"] == made.history["val_accuracy"].iloc[row["epoch_kept"] - 1]
        assert (row["parameters"], row["epoch_kept"]) == (
            made.info.parameters,
            made.info.epoch_kept,
        )

    pd.testing.assert_frame_equal(run(), ledger, check_exact=True)
    assert len(counted) == 3 * recipe.epochs


def test_search_continues_an_interrupted_training(
    tiny_network, counted, faces, recipe, tmp_path, monkeypatch
):
    options = {"oracle": "random", "trials": 2, "seed": 1, "progress": False, "isolated": False}
    whole = search(SPACE, recipe, faces.without_private(), store=tmp_path / "whole", **options)
    counted.clear()
    add = checkpoint.Checkpoint.add

    def add_and_stop(self, *args, **kwargs):
        add(self, *args, **kwargs)
        raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(checkpoint.Checkpoint, "add", add_and_stop)
        search(SPACE, recipe, faces.without_private(), store=tmp_path / "store", **options)
    again = search(SPACE, recipe, faces.without_private(), store=tmp_path / "store", **options)
    without_time = [ledger.drop(columns="seconds") for ledger in (again, whole)]
    pd.testing.assert_frame_equal(*without_time, check_exact=True)
    assert len(counted) == 2 * recipe.epochs, "an epoch was repeated"


# --- the space ---


@pytest.mark.parametrize("oracle", ORACLES)
def test_trials_are_in_the_space_and_nothing_is_printed(searching, oracle, capsys, recwarn):
    ledger = searching(Trainings(), oracle=oracle, trials=4)
    assert len(ledger) == 4 and ledger["run"].is_unique
    assert set(ledger["width"]) <= set(SPACE.width)
    assert (
        ledger["dropout"].between(0.1, 0.5).all()
        and ledger["learning_rate"].between(1e-4, 1e-2).all()
    )
    assert capsys.readouterr() == ("", "")
    assert not [warning for warning in recwarn if issubclass(warning.category, UserWarning)]


def test_learning_rates_have_a_logarithmic_scale(searching):
    rates = searching(Trainings(), trials=40)["learning_rate"]
    assert 10 <= (rates < 1e-3).sum() <= 30  # about half; on a linear scale, a tenth


@pytest.mark.slow
def test_bayesian_oracle_uses_the_scores(searching):
    """Its first trials are random. Later ones are near the best score, at 1e-3 and dropout 0.1."""
    tried = {
        name: searching(Trainings(), name, oracle=name, trials=8).sort_values("trial")
        for name in ORACLES
    }
    same = np.isclose(tried["random"]["learning_rate"], tried["bayesian"]["learning_rate"])
    assert same.tolist() == [True] * 4 + [False] * 4
    assert (
        tried["bayesian"]["val_accuracy"][-4:].mean() > tried["random"]["val_accuracy"][-4:].mean()
    )


def test_trials_depend_on_the_seed(searching):
    def tried(store, **changes):
        return (
            searching(Trainings(), store, **changes).sort_values("trial")["learning_rate"].tolist()
        )

    assert tried("one", seed=1) == tried("other", seed=1) != tried("one", seed=2)


# --- interrupted ---


@pytest.mark.parametrize("oracle", ["random", pytest.param("bayesian", marks=pytest.mark.slow)])
def test_interrupted_search_gives_the_same_ledger_and_repeats_no_trial(searching, oracle):
    undisturbed = Trainings()
    whole = searching(undisturbed, "whole", oracle=oracle, trials=6)
    done = []
    # Counted in the remaining trials: the second, then the fifth, then none.
    for stop_at in (2, 4, 0):
        trainings = Trainings(stop_at)
        if stop_at:
            with pytest.raises(Interrupted):
                searching(trainings, oracle=oracle, trials=6)
        else:
            ledger = searching(trainings, oracle=oracle, trials=6)
        done += trainings.done
    assert done == undisturbed.done
    pd.testing.assert_frame_equal(ledger, whole, check_exact=True)


def test_search_with_more_trials_extends_the_first_one(searching):
    searching(Trainings(), trials=4)
    more = searching(Trainings(), trials=5)
    assert len(more) == 5


# --- failures ---


def test_failed_trials_are_recorded_with_their_reasons(searching):
    ledger = searching(Trainings(fail_at=(1, 2, 3)), trials=6)
    assert ledger["status"].tolist() == ["completed"] * 3 + ["failed"] * 3
    assert ledger["trial"].tolist()[3:] == [1, 2, 3]
    failed = ledger.iloc[3:]
    assert failed["val_accuracy"].isna().all()
    for row in failed.to_dict("records"):
        assert row["problem"] == f"trial of width {row['width']}: too odd.\nDo otherwise."
    assert (ledger["problem"][:3] == "").all()


def test_search_in_which_all_trials_fail_is_an_error(searching):
    with pytest.raises(StudyError, match=r"found all 3 failed: .*too odd"):
        searching(Trainings(fail_at=(1, 2, 3)), trials=3)


def test_failed_training_is_recorded(tiny_network, faces, recipe, tmp_path):
    """With the learning rates of SGD, the loss is not finite."""
    space = SearchSpace(
        optimizer=("adam", "sgd"), learning_rate=(1e-4, 1e-3), sgd_learning_rate=(1e200, 1e201)
    )
    options = {
        "oracle": "random",
        "trials": 5,
        "seed": 1,
        "store": tmp_path,
        "progress": False,
        "isolated": False,
    }
    ledger = search(space, recipe.but(epochs=1), faces.without_private(), **options)
    assert set(ledger["status"]) == {"completed", "failed"}
    assert (
        ledger.loc[ledger["optimizer"] == "sgd", "problem"]
        .str.contains("expected a finite loss")
        .all()
    )
    assert (ledger.loc[ledger["optimizer"] == "adam", "status"] == "completed").all()


# --- refusals ---


def test_faces_with_privatetest_are_refused(faces, recipe, tmp_path):
    with pytest.raises(StudyError, match=r"search: expected faces without PrivateTest"):
        search(SPACE, recipe, faces, oracle="random", trials=1, seed=1, store=tmp_path)
    assert not any(tmp_path.iterdir())


def test_unknown_oracle_is_an_error_with_the_names(searching):
    with pytest.raises(StudyError, match="one of random, bayesian, hyperband, found 'grid'"):
        searching(Trainings(), oracle="grid")


# --- trials at once ---


@pytest.mark.parametrize(
    ("oracle", "trials", "first"), [("random", 5, 5), ("bayesian", 8, 4), ("hyperband", 40, 9)]
)
def test_the_first_trials_are_those_that_the_search_proposes(
    faces, recipe, tmp_path, monkeypatch, oracle, trials, first, capsys
):
    monkeypatch.setattr(tuning_trials, "fit", Trainings())
    base, options = recipe.but(epochs=9), {"oracle": oracle, "trials": trials, "seed": 1}
    ahead = independent_recipes(SPACE, base, **options)
    ledger = search(
        SPACE,
        base,
        faces.without_private(),
        store=tmp_path,
        progress=False,
        isolated=False,
        **options,
    )

    assert len(ahead) == first
    in_order = ledger.sort_values("trial").head(first)
    assert [each.epochs for each in ahead] == in_order["epochs"].tolist()
    for name in ("width", "dropout"):
        assert [each.options[name] for each in ahead] == in_order[name].tolist()
    assert [each.learning_rate for each in ahead] == in_order["learning_rate"].tolist()
    assert capsys.readouterr().out == ""


def test_trials_at_once_have_the_outcomes_of_a_search_one_by_one(
    faces, recipe, tmp_path, monkeypatch
):
    options = {"oracle": "bayesian", "trials": 4, "seed": 1, "progress": False}

    def run(workers: str) -> pd.DataFrame:
        monkeypatch.setenv("FER_STUDY_WORKERS", workers)
        store = tmp_path / workers
        return search(SPACE, recipe, faces.without_private(), store=store, **options)

    pd.testing.assert_frame_equal(
        run("1").drop(columns="seconds"), run("16").drop(columns="seconds"), check_exact=True
    )
