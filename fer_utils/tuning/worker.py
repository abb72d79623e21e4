"""A worker of a distributed search: it trains the trials that a chief chooses."""

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.training.processes import TrainingProcess
from fer_utils.training.recipe import Recipe
from fer_utils.tuning.oracles import make_oracle
from fer_utils.tuning.search import Tuner, refuse_private
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import train_isolated, train_trial
from fer_utils.tuning.wire import OUTCOME, PATIENCE, quiet_grpc, search_key

# isort: split
import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client

HEARTBEAT = 10.0
"""Seconds between messages during a training; at most a quarter of the chief's patience."""


def work(
    space: SearchSpace,
    base: Recipe,
    faces: Faces,
    *,
    oracle: str,
    trials: int,
    seed: int,
    store: Path,
    address: str,
    worker: str,
    patience: float = PATIENCE,
    isolated: bool = True,
) -> int:
    """Train the trials that a chief chooses until there are no more.

    A worker that restarts under its name continues its unfinished trial.

    Args:
        space: as for the chief.
        base: likewise.
        faces: likewise.
        oracle: likewise.
        trials: likewise.
        seed: likewise.
        store: folder of runs.
        address: HOST:PORT of the chief.
        worker: name of the worker, different from every other worker's.
        patience: seconds to wait for a chief that does not answer.
        isolated: as for `search.search`.

    Returns:
        The number of trials trained.

    Raises:
        StudyError: the name is invalid, the chief does not answer, or it runs another search.
    """
    refuse_private(faces)
    if "chief" in worker or not worker.replace("-", "").replace("_", "").isalnum():
        raise StudyError(
            f"--id: expected a worker's number or name, found {worker!r}. Use letters and digits, "
            'without "chief".'
        )
    key = search_key(space, base, faces, oracle, trials, seed)
    process = TrainingProcess(train_trial, faces, store)

    def train(recipe: Recipe) -> dict:
        if isolated:
            return train_isolated(process, recipe, seed)
        return train_trial(recipe, faces, seed, store)

    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    # keras-tuner's constant is one hour.
    oracle_client.TIMEOUT = patience
    with tempfile.TemporaryDirectory() as scratch, _environment(address, worker), quiet_grpc():
        tuner = _Worker(space, base, train, attach_outcome, oracle=engine, directory=scratch)
        try:
            theirs = tuner.oracle.get_space().values
            if theirs.get("search") != key:
                raise StudyError(
                    f"worker {worker}: expected the chief at {address} to run this search, found "
                    "another one. Give both the same recipe, search space, oracle, trials, seed "
                    "and data."
                )
            with _heartbeat(tuner, min(HEARTBEAT, theirs["patience"] / 4)):
                tuner.run()
        except grpc.RpcError as problem:
            raise StudyError(
                f"worker {worker}: expected an answer from the chief at {address} within "
                f"{patience:g} s, found {problem.code().name}. Start the chief, then restart this "
                "worker: it continues its trial."
            ) from None
        finally:
            process.close()
    return len(tuner.outcomes)


class _Worker(Tuner):
    """The loop over trials; it waits when the chief has no trial yet.

    Hyperband, for example, waits for other trials to end.

    Attributes:
        current: the trial that is being trained, if any.
        waiting: whether the last request brought no trial.
    """

    current: str | None = None
    waiting = False

    def pre_create_trial(self) -> None:
        """Pause before a repeated request for a trial."""
        if self.waiting:
            time.sleep(1)
        self.waiting = True

    def on_trial_begin(self, trial) -> None:
        """Note the trial that starts."""
        self.waiting, self.current = False, trial.trial_id

    def on_trial_end(self, trial) -> None:
        """Note that the trial has ended."""
        self.current = None
        super().on_trial_end(trial)


def attach_outcome(trial, outcome: dict) -> None:
    """Add an outcome to a trial's values: keras-tuner's messages have no field for it."""
    trial.hyperparameters.values[OUTCOME] = json.dumps(outcome)


@contextlib.contextmanager
def _heartbeat(tuner: _Worker, every: float) -> Iterator[None]:
    """Request the current trial from the chief at regular intervals while the block runs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every):
            if (trial_id := tuner.current) is not None:
                # A lost request is followed by another one. A chief that is gone is detected when
                # the trial ends.
                with contextlib.suppress(grpc.RpcError):
                    tuner.oracle.stub.GetTrial(
                        protos.get_service().GetTrialRequest(trial_id=trial_id), timeout=every
                    )

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _environment(address: str, worker: str) -> Iterator[None]:
    """Set the environment variables that make keras-tuner's tuners workers of a chief."""
    host, _, port = address.rpartition(":")
    settings = {
        "KERASTUNER_TUNER_ID": f"worker-{worker}",
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
