"""keras-tuner's ways to choose the next trial, at a budget."""

import contextlib
import math
import sys
import warnings
from collections.abc import Iterator

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras  # noqa: F401  Before keras-tuner, which imports it with all that it says.

# isort: split
import keras_tuner

EPOCHS = "tuner/epochs"
"""The name under which Hyperband says how many epochs a trial has."""


def _random(trials: int, epochs: int, **options) -> keras_tuner.Oracle:
    return keras_tuner.oracles.RandomSearchOracle(max_trials=trials, **options)


def _bayesian(trials: int, epochs: int, **options) -> keras_tuner.Oracle:
    # keras-tuner's own three random trials for each hyperparameter are more than a small search has.
    first = min(3 * len(options["hyperparameters"].space), math.ceil(trials / 2))
    return keras_tuner.oracles.BayesianOptimizationOracle(
        max_trials=trials, num_initial_points=first, **options
    )


def _hyperband(trials: int, epochs: int, **options) -> keras_tuner.Oracle:
    once = len(_hyperband_plan(keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, **options)))
    repeated = keras_tuner.oracles.HyperbandOracle(
        max_epochs=epochs, hyperband_iterations=math.ceil(trials / once), **options
    )
    repeated.max_trials = trials
    return repeated


ORACLES = {"random": _random, "bayesian": _bayesian, "hyperband": _hyperband}
"""Random search; Bayesian optimisation with a Gaussian process once half of the trials, or three for each
hyperparameter, are done at random; and Hyperband (Li et al. 2018, arXiv 1603.06560), which gives many trials few
epochs, and the better third of them three times as many, up to the recipe's."""


def make_oracle(
    name: str, hyperparameters: keras_tuner.HyperParameters, *, trials: int, epochs: int, seed: int
) -> keras_tuner.Oracle:
    """An oracle that maximises PublicTest accuracy.

    Args:
        name: in `ORACLES`.
        hyperparameters: the space.
        trials: how many, at most.
        epochs: of a trial; Hyperband's longest.
        seed: of its choices.

    Raises:
        StudyError: the name is unknown; no trial is asked for.
    """
    if name not in ORACLES:
        raise StudyError(f"oracle: expected one of {', '.join(ORACLES)}, found {name!r}.")
    if trials < 1:
        raise StudyError(f"trials: expected a whole number of 1 or more, found {trials}.")
    return ORACLES[name](
        trials,
        epochs,
        objective=keras_tuner.Objective("val_accuracy", "max"),
        seed=seed + 1,  # it takes 0 for none
        hyperparameters=hyperparameters,
        tune_new_entries=False,
        # However many fail, in a row or not, they are recorded, and the search goes on.
        max_consecutive_failed_trials=sys.maxsize,
    )


@contextlib.contextmanager
def choosing() -> Iterator[None]:
    """While oracles choose trials: the Gaussian process keeps to one thread, and says nothing of its fit."""
    # Its many small products are only slowed down by more threads, and how well it fits the first few trials is of no
    # use in a report.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def planned_epochs(name: str, *, trials: int, epochs: int) -> list[int]:
    """The epochs of each trial, in the order that they are asked for; a trial that fails has fewer."""
    if name != "hyperband":
        return [epochs] * trials
    plan = _hyperband_plan(keras_tuner.oracles.HyperbandOracle(max_epochs=epochs))
    return (plan * math.ceil(trials / len(plan)))[:trials]


def _hyperband_plan(oracle: keras_tuner.oracles.HyperbandOracle) -> list[int]:
    return [
        oracle._get_epochs(bracket, number)
        for bracket in reversed(range(oracle._get_num_brackets()))
        for number in range(oracle._get_num_rounds(bracket))
        for _ in range(oracle._get_size(bracket, number))
    ]
