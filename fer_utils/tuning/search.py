"""Hyperparameter search with keras-tuner over plain recipes.

A trial is an ordinary run in the run store, and the oracle proposes the same trials for the same seed and scores. So
every search starts anew and finds its finished trials in the store: one that was killed goes on, and repeats none.
"""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe
from fer_utils.tuning.ledger import make_ledger
from fer_utils.tuning.oracles import EPOCHS, choosing, make_oracle, planned_epochs
from fer_utils.tuning.progress import Progress
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import TrainingProcess, failed, reason, train_trial

# isort: split
import keras_tuner
from keras_tuner.src import config

config.DEBUG = False
"""It would print the traceback of each trial that fails."""


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

    Every trial is trained anew, with the schedule of its own number of epochs. So are Hyperband's that are promoted:
    a learning rate that has come down to nothing over three epochs is not where nine epochs would have been.

    Args:
        space: what may change.
        base: the recipe it is changed in; its epochs are a trial's budget, Hyperband's largest.
        faces: Training and PublicTest; never PrivateTest.
        oracle: a name in `ORACLES`.
        trials: how many, at most.
        seed: of the search and of each trial's training.
        store: folder of runs.
        progress: show a bar with trials done, best so far and time left.
        isolated: train in another process, so that a trial which takes its process along (out of memory) is one that
            failed; else in this one.

    Returns:
        The ledger, best first, as `ledger.make_ledger` describes it.

    Raises:
        StudyError: the faces hold PrivateTest; the oracle is unknown; the network has no such hyperparameter; every
            trial failed.
    """
    refuse_private(faces)
    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    plan = planned_epochs(oracle, trials=trials, epochs=base.epochs)
    process = TrainingProcess(faces, store)

    def train(recipe: Recipe) -> dict:
        return process.train(recipe, seed) if isolated else train_trial(recipe, faces, seed, store)

    # keras-tuner's own record of the search: its Bayesian oracle cannot be restored from it as it was.
    with tempfile.TemporaryDirectory() as scratch, Progress(plan, shown=progress) as shown:
        tuner = Tuner(
            space,
            base,
            train,
            lambda *_: shown.show(tuner.outcomes.values()),
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
    **options,
) -> pd.DataFrame:
    """The ledger of a random search in the same space with at least as many epochs as this one's trials had.

    Args:
        ledger: the search that it is held against; with the same seed they share their random trials.
        space: as in that search.
        base: the same.
        faces: the same.
        seed: the same, or another.
        store: folder of runs.
        options: see `search`.
    """
    trials = max(1, math.ceil(ledger["epochs"].sum() / base.epochs))
    return search(
        space, base, faces, oracle="random", trials=trials, seed=seed, store=store, **options
    )


def refuse_private(faces: Faces) -> None:
    """Raises StudyError where the faces hold PrivateTest."""
    if PRIVATE in faces.usage:
        raise StudyError(
            "search: expected faces without PrivateTest, found some with it. A search may never see that split: pass "
            "faces.without_private()."
        )


def recipe_of(
    hyperparameters: keras_tuner.HyperParameters, space: SearchSpace, base: Recipe
) -> Recipe:
    """A trial's recipe: what the oracle chose, at the epochs that Hyperband gives it."""
    return space.recipe(
        hyperparameters, base.but(epochs=hyperparameters.values.get(EPOCHS, base.epochs))
    )


def ledger_of(
    oracle: keras_tuner.Oracle, outcomes: dict[str, dict], space, base: Recipe, seed: int
) -> pd.DataFrame:
    """The ledger of all that the oracle asked for. Raises StudyError where all of it failed."""
    nothing = {"status": "running", "curve": [], "problem": "", "run": ""}
    rows = [
        {"trial": int(number) + 1, "seed": seed}
        | space.values(trial.hyperparameters, base)
        | outcomes.get(number, nothing)
        for number, trial in sorted(oracle.trials.items())
    ]
    ledger = make_ledger(rows, space.names)
    if len(ledger) and (ledger["status"] == "failed").all():
        raise StudyError(
            f"search: expected a trial that works, found all {len(ledger)} failed: {ledger['problem'][0]}"
        )
    return ledger


class Tuner(keras_tuner.Tuner):
    """keras-tuner's loop over trials, whose training is ours.

    Args:
        space: what may change.
        base: in which recipe.
        train: from a trial's recipe to what `trials.known` describes.
        report: called with each trial and what is known of it, when it has ended.
        more: of keras-tuner's: `oracle`, `directory`.
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
        """All trials."""
        with choosing():
            try:
                self.search(verbose=0)
            except keras_tuner.errors.FatalError as problem:
                raise problem.__cause__ from None

    def run_trial(self, trial, *args, **kwargs) -> dict[str, float]:
        """Train one. Raises FailedTrialError where that fails, and FatalError where no other could do better."""
        try:
            outcome = self.train(recipe_of(trial.hyperparameters, self.space, self.base))
        except OSError as problem:
            raise keras_tuner.errors.FatalError(str(problem)) from problem
        except Exception as problem:
            outcome = failed(reason(problem))  # values that are no recipe, for instance
        self.outcomes[trial.trial_id] = outcome
        self.report(trial, outcome)
        if outcome["status"] == "failed":
            raise keras_tuner.errors.FailedTrialError(outcome["problem"])
        return {"val_accuracy": outcome["val_accuracy"]}
