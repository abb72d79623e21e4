"""Search strategies (keras-tuner's oracles) with a budget of trials and epochs."""

import contextlib
import math
import sys
import warnings
from collections.abc import Iterator

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras  # noqa: F401  Before keras-tuner: sets up its logging.

# isort: split
import keras_tuner

EPOCHS = "tuner/epochs"
"""Name of the value in which Hyperband stores the epochs of a trial."""


def _random(trials: int, epochs: int, **options) -> keras_tuner.Oracle:
    return keras_tuner.oracles.RandomSearchOracle(max_trials=trials, **options)


def _bayesian(trials: int, epochs: int, **options) -> keras_tuner.Oracle:
    # keras-tuner's default, three random trials per hyperparameter, can exceed a small budget.
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
"""Search strategies by name.

- random: random search.
- bayesian: Bayesian optimisation with a Gaussian process. The first trials are random: half of
  them, or three per hyperparameter if that is fewer.
- hyperband: Hyperband (Li et al. 2018, arXiv 1603.06560). It trains many trials for few epochs and
  the better third of them for three times as many, up to the recipe's epochs.
"""


def make_oracle(
    name: str, hyperparameters: keras_tuner.HyperParameters, *, trials: int, epochs: int, seed: int
) -> keras_tuner.Oracle:
    """Create an oracle that maximises PublicTest accuracy.

    Args:
        name: a key of `ORACLES`.
        hyperparameters: the search space.
        trials: largest number of trials.
        epochs: epochs of a trial; for Hyperband, of its longest trials.
        seed: seed of the search.

    Raises:
        StudyError: the name is unknown, or `trials` is less than 1.
    """
    if name not in ORACLES:
        raise StudyError(f"oracle: expected one of {', '.join(ORACLES)}, found {name!r}.")
    if trials < 1:
        raise StudyError(f"trials: expected a whole number of 1 or more, found {trials}.")
    return ORACLES[name](
        trials,
        epochs,
        objective=keras_tuner.Objective("val_accuracy", "max"),
        seed=seed + 1,  # keras-tuner treats 0 as no seed
        hyperparameters=hyperparameters,
        tune_new_entries=False,
        # Failures are recorded and never end the search.
        max_consecutive_failed_trials=sys.maxsize,
    )


@contextlib.contextmanager
def quiet_single_thread() -> Iterator[None]:
    """Limit an oracle's Gaussian process to one thread and hide warnings about its fit.

    More threads slow down its many small matrix products. The warnings concern the fit to the
    first few trials.
    """
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def planned_epochs(name: str, *, trials: int, epochs: int) -> list[int]:
    """Return the epochs of each trial, in the order of the search; failed trials have fewer."""
    if name != "hyperband":
        return [epochs] * trials
    plan = _hyperband_plan(keras_tuner.oracles.HyperbandOracle(max_epochs=epochs))
    return (plan * math.ceil(trials / len(plan)))[:trials]


def independent_trials(oracle: keras_tuner.Oracle) -> int:
    """Return the number of first trials that an oracle of this module draws without any score."""
    trials = oracle.max_trials
    if isinstance(oracle, keras_tuner.oracles.BayesianOptimizationOracle):
        trials = min(trials, oracle.num_initial_points)
    if isinstance(oracle, keras_tuner.oracles.HyperbandOracle):
        trials = min(trials, oracle._get_size(oracle._get_num_brackets() - 1, 0))
    return trials


def _hyperband_plan(oracle: keras_tuner.oracles.HyperbandOracle) -> list[int]:
    plan = []
    for bracket in reversed(range(oracle._get_num_brackets())):
        for number in range(oracle._get_num_rounds(bracket)):
            plan += [oracle._get_epochs(bracket, number)] * oracle._get_size(bracket, number)
    return plan
