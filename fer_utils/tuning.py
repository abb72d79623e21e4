"""Hyperparameter search with keras-tuner over plain recipes.

A trial is an ordinary run in the run store, and the oracle proposes the same trials for the same seed and scores. So
every search starts anew and finds its finished trials in the store: one that was killed goes on, and repeats none.
"""

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.recipes import Recipe
from fer_utils.runs import Run, run_folder
from fer_utils.training import fit

# isort: split
# It imports the backend too: after fer_utils.backend has, quietly.
import keras_tuner


def _bayesian(*, max_trials: int, **options) -> keras_tuner.Oracle:
    # keras-tuner's own nine trials at random, for three hyperparameters, are all that a small search has.
    first = min(9, -(-max_trials // 2))
    return keras_tuner.oracles.BayesianOptimizationOracle(max_trials=max_trials, num_initial_points=first, **options)


ORACLES = {"random": keras_tuner.oracles.RandomSearchOracle, "bayesian": _bayesian}
"""Random search, and Bayesian optimisation with a Gaussian process once half of the trials, or nine, are done."""


@dataclass(frozen=True)
class SearchSpace:
    """What a search may change in a recipe.

    Attributes:
        widths: factors on the network's filters and units.
        dropout: lowest and highest share of units dropped.
        learning_rate: lowest and highest, searched on a logarithmic scale.
    """

    widths: tuple[float, ...]
    dropout: tuple[float, float]
    learning_rate: tuple[float, float]

    def declare(self) -> keras_tuner.HyperParameters:
        """The space as keras-tuner knows it."""
        hp = keras_tuner.HyperParameters()
        self.recipe(hp, Recipe("undecided", "seed_cnn"))
        return hp

    def recipe(self, hp: keras_tuner.HyperParameters, base: Recipe) -> Recipe:
        """`base` with the hyperparameters that `hp` holds."""
        return base.but(
            width=hp.Choice("width", list(self.widths)),
            dropout=hp.Float("dropout", *self.dropout, step=0.05),
            learning_rate=hp.Float("learning_rate", *self.learning_rate, sampling="log"),
        )


def search(
    space: SearchSpace,
    base: Recipe,
    faces: Faces,
    *,
    oracle: str,
    trials: int,
    seed: int,
    store: Path,
    progress: bool = True,
) -> pd.DataFrame:
    """Search for the recipe with the highest PublicTest accuracy.

    Args:
        space: what may change.
        base: the recipe it is changed in; its epochs are a trial's budget.
        faces: Training and PublicTest; never PrivateTest.
        oracle: a name in `ORACLES`.
        trials: how many.
        seed: of the search and of each trial's training.
        store: folder of runs.
        progress: show a bar for each training.

    Returns:
        The ledger, best first: trial, status, the hyperparameters, parameters, val_accuracy (of the trial's best
        epoch, so it flatters), epoch_kept, run (its folder's name), problem (why it failed, else empty).

    Raises:
        StudyError: the faces hold PrivateTest; the oracle is unknown; every trial failed.
    """
    if PRIVATE in faces.usage:
        raise StudyError(
            "search: expected faces without PrivateTest, found some with it. A search may never see that split: pass "
            "faces.without_private()."
        )
    if oracle not in ORACLES:
        raise StudyError(f"oracle: expected one of {', '.join(ORACLES)}, found {oracle!r}.")
    # keras-tuner's own record of the search: its Bayesian oracle cannot be restored from it as it was.
    with tempfile.TemporaryDirectory() as scratch:
        tuner = _Tuner(
            space,
            base,
            faces,
            seed,
            store,
            progress,
            # A trial that fails is recorded, and the search goes on.
            oracle=ORACLES[oracle](
                objective=keras_tuner.Objective("val_accuracy", "max"),
                max_trials=trials,
                seed=seed,
                hyperparameters=space.declare(),
                tune_new_entries=False,
                max_consecutive_failed_trials=trials + 1,
            ),
            directory=scratch,
        )
        # How well its Gaussian process fits the first few trials is of no use in a report.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            tuner.search(verbose=0)
        return tuner.ledger()


class _Tuner(keras_tuner.Tuner):
    def __init__(self, space, base, faces, seed, store, progress, **kwargs) -> None:
        self.space, self.base, self.faces, self.seed = space, base, faces, seed
        self.run_store, self.progress = store, progress
        self.problems: dict[str, str] = {}
        super().__init__(**kwargs)

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        recipe = self.space.recipe(trial.hyperparameters, self.base)
        try:
            run = fit(recipe, self.faces, self.seed, self.run_store, progress=self.progress)
        except StudyError as problem:
            self.problems[trial.trial_id] = str(problem)
            raise keras_tuner.errors.FailedTrialError(str(problem)) from problem
        return {"val_accuracy": float(run.history["val_accuracy"].max())}

    def ledger(self) -> pd.DataFrame:
        rows = []
        for number, trial in sorted(self.oracle.trials.items()):
            recipe = self.space.recipe(trial.hyperparameters, self.base)
            folder = run_folder(self.run_store, recipe, self.seed, self.faces)
            done = trial.status == "COMPLETED"
            run = Run(folder) if done else None
            rows.append(
                {
                    "trial": int(number) + 1,
                    "status": trial.status.lower(),
                    **trial.hyperparameters.values,
                    "parameters": run.about["parameters"] if done else None,
                    "val_accuracy": trial.score if done else None,
                    "epoch_kept": run.about["epoch_kept"] if done else None,
                    "run": folder.name,
                    "problem": "" if done else self.problems.get(number) or _last_line(trial.message),
                }
            )
        ledger = pd.DataFrame(rows).sort_values("val_accuracy", ascending=False, kind="stable", ignore_index=True)
        if ledger["val_accuracy"].isna().all():
            raise StudyError(
                f"search: expected a trial that works, found all {len(ledger)} failed: {ledger['problem'][0]}"
            )
        return ledger


def _last_line(traceback: str | None) -> str:
    return "".join((traceback or "").strip().splitlines()[-1:])
