"""A worker of a search on several machines: it trains the trials that a chief chooses."""

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
from fer_utils.training.recipe import Recipe
from fer_utils.tuning.oracles import make_oracle
from fer_utils.tuning.search import Tuner, refuse_private
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import TrainingProcess, train_trial
from fer_utils.tuning.wire import OUTCOME, PATIENCE, search_key, unspoken

# isort: split
import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute import oracle_client

HEARTBEAT = 10.0
"""Seconds between signs of life while it trains; a quarter of its chief's patience where that is less."""


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
    """Train the trials that a chief chooses, until it has no more. Returns how many.

    Restarted under its name, a worker is given the trial that it had, and goes on with it.

    Args:
        space: as the chief has it.
        base: the same.
        faces: the same.
        oracle: the same.
        trials: the same.
        seed: the same.
        store: folder of runs.
        address: the chief's HOST:PORT.
        worker: its name, unlike every other worker's.
        patience: seconds to wait for a chief that does not answer.
        isolated: as in `search.search`.

    Raises:
        StudyError: the name is none; the chief does not answer, or searches for something else.
    """
    refuse_private(faces)
    if "chief" in worker or not worker.replace("-", "").replace("_", "").isalnum():
        raise StudyError(f"--id: expected a worker's number or name, found {worker!r}.")
    key = search_key(space, base, faces, oracle, trials, seed)
    process = TrainingProcess(faces, store)

    def train(recipe: Recipe) -> dict:
        return process.train(recipe, seed) if isolated else train_trial(recipe, faces, seed, store)

    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    # How long a worker waits for its chief is a constant of keras-tuner's, an hour.
    oracle_client.TIMEOUT = patience
    with tempfile.TemporaryDirectory() as scratch, _as_worker(address, worker), unspoken():
        tuner = _Worker(space, base, train, attach_outcome, oracle=engine, directory=scratch)
        try:
            theirs = tuner.oracle.get_space().values
            if theirs.get("search") != key:
                raise StudyError(
                    f"worker {worker}: expected the chief at {address} to search as this worker does, found another "
                    "search. Give both the same recipe, search space, oracle, trials, seed and data."
                )
            with _signs_of_life(tuner, min(HEARTBEAT, theirs["patience"] / 4)):
                tuner.run()
        except grpc.RpcError as problem:
            raise StudyError(
                f"worker {worker}: expected the chief at {address} to answer within {patience:g} s, found "
                f"{problem.code().name}. Start the chief, then this worker again: it goes on where it was."
            ) from None
        finally:
            process.close()
    return len(tuner.outcomes)


class _Worker(Tuner):
    """The loop over trials, which waits where the chief has none yet; Hyperband's has to see others end first."""

    current: str | None = None
    waiting = False

    def pre_create_trial(self) -> None:
        """Before it asks for a trial."""
        if self.waiting:
            time.sleep(1)
        self.waiting = True

    def on_trial_begin(self, trial) -> None:
        """It has one."""
        self.waiting, self.current = False, trial.trial_id

    def on_trial_end(self, trial) -> None:
        """It has trained it."""
        self.current = None
        super().on_trial_end(trial)


def attach_outcome(trial, outcome: dict) -> None:
    """What travels back with a trial: keras-tuner's messages have no room for why it failed."""
    trial.hyperparameters.values[OUTCOME] = json.dumps(outcome)


@contextlib.contextmanager
def _signs_of_life(tuner: _Worker, every: float) -> Iterator[None]:
    """While the block runs, ask the chief for the current trial now and then."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every):
            if (number := tuner.current) is not None:
                # One that is not answered is followed by another; a chief that is gone shows when a trial ends.
                with contextlib.suppress(grpc.RpcError):
                    tuner.oracle.stub.GetTrial(
                        protos.get_service().GetTrialRequest(trial_id=number), timeout=every
                    )

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def _as_worker(address: str, worker: str) -> Iterator[None]:
    """Inside, keras-tuner's tuners are this worker of that chief."""
    host, _, port = address.rpartition(":")
    given = {
        "KERASTUNER_TUNER_ID": f"worker-{worker}",
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
