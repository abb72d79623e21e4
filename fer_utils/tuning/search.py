"""Hyperparameter search with keras-tuner over recipes.

Each trial is an ordinary run in the run store, and an oracle proposes the same trials for the same
seed and scores. A search therefore always starts from the beginning and loads its finished trials
from the store. An interrupted search continues this way and repeats no trial.
"""

import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.training.fit_many import (
    Training,
    can_share_machine,
    run_many,
    threads_of_each,
)
from fer_utils.training.processes import TrainingProcess, failure_reason
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import run_folder
from fer_utils.tuning.ledger import make_ledger
from fer_utils.tuning.oracles import (
    EPOCHS,
    independent_trials,
    make_oracle,
    planned_epochs,
    quiet_single_thread,
)
from fer_utils.tuning.progress import Progress
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import (
    failed_outcome,
    outcome_of,
    recorded_outcome,
    train_isolated,
    train_trial,
)

# isort: split
import keras_tuner
from keras_tuner.src import config

config.DEBUG = False
"""Otherwise keras-tuner prints the traceback of each failed trial."""


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
    isolated: bool = True,
) -> pd.DataFrame:
    """Search for the recipe with the highest PublicTest accuracy.

    Trials whose recipes depend on no score are trained first, several at once; see `fit_many`. The
    others are trained one after another with all cores. The number of workers changes no trial.

    Every trial is trained from scratch, with the learning-rate schedule of its own number of
    epochs. That includes the trials that Hyperband promotes: a learning rate that has decayed over
    three epochs is not that of the third of nine epochs.

    Args:
        space: the search space.
        base: the recipe that is changed. Its epochs are those of a trial; for Hyperband, those of
            the longest trials.
        faces: Training and PublicTest, without PrivateTest.
        oracle: a key of `ORACLES`.
        trials: largest number of trials.
        seed: seed of the search and of each training.
        store: folder of runs.
        progress: show a bar with the trials done, the best score and the time left.
        isolated: train in a separate process. A trial that ends its process, for example out of
            memory, then counts as failed. Otherwise train in this process.

    Returns:
        The ledger, best trial first, as described in `ledger.make_ledger`.

    Raises:
        StudyError: the faces include PrivateTest, the oracle is unknown, the network lacks a
            hyperparameter, or every trial failed.
    """
    refuse_private(faces)
    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    plan = planned_epochs(oracle, trials=trials, epochs=base.epochs)
    process = TrainingProcess(train_trial, faces, store)
    if isolated and can_share_machine():
        first = independent_recipes(space, base, oracle=oracle, trials=trials, seed=seed)
        train_at_once(first, faces, seed, store, progress=progress)

    def train(recipe: Recipe) -> dict:
        if isolated:
            return train_isolated(process, recipe, seed)
        return train_trial(recipe, faces, seed, store)

    # keras-tuner's own record is discarded: it cannot restore a Bayesian oracle exactly.
    with tempfile.TemporaryDirectory() as scratch, Progress(plan, visible=progress) as bar:
        tuner = Tuner(
            space,
            base,
            train,
            lambda *_: bar.show(tuner.outcomes.values()),
            oracle=engine,
            directory=scratch,
        )
        try:
            tuner.run()
        finally:
            process.close()
        return ledger_of(engine, tuner.outcomes, space, base, seed)


def random_at_equal_compute(
    ledger: pd.DataFrame,
    space: SearchSpace,
    base: Recipe,
    faces: Faces,
    *,
    seed: int,
    store: Path,
) -> pd.DataFrame:
    """Run a random search in the same space with at least as many epochs in total.

    Args:
        ledger: of the search to compare with.
        space: its search space.
        base: its recipe.
        faces: its faces.
        seed: seed of the random search. With the seed of the other search, they share the trials
            that both draw at random.
        store: folder of runs.

    Returns:
        The ledger of the random search.
    """
    trials = max(1, math.ceil(ledger["epochs"].sum() / base.epochs))
    return search(space, base, faces, oracle="random", trials=trials, seed=seed, store=store)


def independent_recipes(
    space: SearchSpace, base: Recipe, *, oracle: str, trials: int, seed: int
) -> list[Recipe]:
    """Return the recipes of a search's first trials, which depend on no score.

    They are all trials of a random search, the random trials at the start of a Bayesian search, and
    the first round of Hyperband. The arguments are those of `search`.
    """
    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    engine.verbose = 0
    recipes = []
    with tempfile.TemporaryDirectory() as scratch:
        engine._set_project_dir(scratch, "independent")
        for number in range(independent_trials(engine)):
            # An oracle gives each of its workers a trial before it waits for scores.
            trial = engine.create_trial(f"worker-{number}")
            if trial.status == "STOPPED":  # the space has fewer recipes
                break
            recipes.append(recipe_of(trial.hyperparameters, space, base))
    return recipes


def train_at_once(
    recipes: Sequence[Recipe], faces: Faces, seed: int, store: Path, *, progress: bool = True
) -> None:
    """Train trials, several at once, and record their outcomes in the store.

    Raises OSError as `train_trial` does.
    """
    threads = threads_of_each(max(1, len(recipes)))
    new = [r for r in recipes if recorded_outcome(r, faces, seed, store) is None]
    trainings = [Training(recipe, seed) for recipe in new]
    if not trainings:
        return
    answers = run_many(train_trial, trainings, faces, store, threads, progress=progress)
    for recipe, answer in zip(new, answers, strict=True):
        outcome_of(answer, run_folder(store, recipe, seed, faces))


def refuse_private(faces: Faces) -> None:
    """Raise a StudyError if the faces include PrivateTest."""
    if PRIVATE in faces.usage:
        raise StudyError(
            "search: expected faces without PrivateTest, found faces with it. A search must not "
            "use that split: pass faces.without_private()."
        )


def recipe_of(
    hyperparameters: keras_tuner.HyperParameters, space: SearchSpace, base: Recipe
) -> Recipe:
    """Return the recipe of a trial; its epochs are Hyperband's or those of `base`."""
    epochs = hyperparameters.values.get(EPOCHS, base.epochs)
    return space.recipe(hyperparameters, base.but(epochs=epochs))


def ledger_of(
    oracle: keras_tuner.Oracle, outcomes: dict[str, dict], space, base: Recipe, seed: int
) -> pd.DataFrame:
    """Create the ledger of all trials of an oracle. Raises a StudyError if all of them failed."""
    running = {"status": "running", "curve": [], "problem": "", "run": ""}
    rows = []
    for trial_id, trial in sorted(oracle.trials.items()):
        row = {"trial": int(trial_id) + 1, "seed": seed}
        row |= space.values(trial.hyperparameters, base)
        rows.append(row | outcomes.get(trial_id, running))
    ledger = make_ledger(rows, space.names)
    if len(ledger) and (ledger["status"] == "failed").all():
        raise StudyError(
            f"search: expected a trial that works, found all {len(ledger)} failed: "
            f"{ledger['problem'][0]}"
        )
    return ledger


class Tuner(keras_tuner.Tuner):
    """keras-tuner's loop over trials, with this study's training.

    Args:
        space: the search space.
        base: the recipe that is changed.
        train: from the recipe of a trial to its outcome, as returned by `trials.recorded_outcome`.
        report: called with each trial and its outcome when the trial has ended.
        more: keras-tuner's arguments `oracle` and `directory`.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Recipe,
        train: Callable[[Recipe], dict],
        report: Callable,
        **more,
    ) -> None:
        self.space, self.base, self.train, self.report = space, base, train, report
        self.outcomes: dict[str, dict] = {}
        super().__init__(**more)

    def run(self) -> None:
        """Run all trials."""
        with quiet_single_thread():
            try:
                self.search(verbose=0)
            except keras_tuner.errors.FatalError as problem:
                raise problem.__cause__ from None

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        """Train one trial and return its score.

        Raises:
            FailedTrialError: the training failed.
            FatalError: an error that would end every other trial as well, such as a full disk.
        """
        try:
            outcome = self.train(recipe_of(trial.hyperparameters, self.space, self.base))
        except OSError as problem:
            raise keras_tuner.errors.FatalError(str(problem)) from problem
        except Exception as problem:
            # For example, values that make no valid recipe.
            outcome = failed_outcome(failure_reason(problem))
        self.outcomes[trial.trial_id] = outcome
        self.report(trial, outcome)
        if outcome["status"] == "failed":
            raise keras_tuner.errors.FailedTrialError(outcome["problem"])
        return {"val_accuracy": outcome["val_accuracy"]}
