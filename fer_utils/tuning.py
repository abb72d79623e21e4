"""Hyperparameter search with keras-tuner over plain recipes.

A trial is an ordinary run in the run store, so a search that was killed goes on and repeats no finished trial.
"""

import contextlib
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.recipes import Recipe
from fer_utils.runs import Run, run_folder
from fer_utils.training import fit

# isort: split
# It imports the backend too: after fer_utils.backend has, quietly.
import keras_tuner

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
}


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
        directory=str(Path(store) / "searches"),
        project_name=_search_name(space, base, faces, oracle, trials, seed),
    )
    tuner.search(verbose=0)
    return tuner.ledger()


class _Tuner(keras_tuner.Tuner):
    def __init__(self, space, base, faces, seed, store, progress, **kwargs) -> None:
        self.space, self.base, self.faces, self.seed = space, base, faces, seed
        self.run_store, self.progress = store, progress
        # It prints the folder it goes on from, which a report has no use for.
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(**kwargs)

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        recipe = self.space.recipe(trial.hyperparameters, self.base)
        try:
            run = fit(recipe, self.faces, self.seed, self.run_store, progress=self.progress)
        except StudyError as problem:
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
                    "problem": "" if done else " ".join((trial.message or "").strip().splitlines()[-1:]),
                }
            )
        ledger = pd.DataFrame(rows).sort_values("val_accuracy", ascending=False, kind="stable", ignore_index=True)
        if ledger["val_accuracy"].isna().all():
            raise StudyError(
                f"search: expected a trial that works, found all {len(ledger)} failed: {ledger['problem'][0]}"
            )
        return ledger


def _search_name(space, base, faces, oracle, trials, seed) -> str:
    key = [asdict(space), base.to_dict(), faces.fingerprint, oracle, trials, seed]
    return f"{base.name}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]}"
