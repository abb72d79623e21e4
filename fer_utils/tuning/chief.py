"""The chief of a search on several machines: it chooses the trials that workers train.

keras-tuner's own, with what it leaves open: a worker that never comes back is given up (its chief waits for ever); the
chief itself can be killed and goes on; and why a trial failed reaches the ledger.
"""

import json
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

import pandas as pd

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file
from fer_utils.training.recipe import Recipe
from fer_utils.tuning.oracles import choosing, make_oracle, planned_epochs
from fer_utils.tuning.progress import Progress
from fer_utils.tuning.search import ledger_of, refuse_private
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import failed
from fer_utils.tuning.wire import OUTCOME, PATIENCE, search_key, unspoken

# isort: split
import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.engine.trial import Trial

STATE = "search.json"
"""The chief's record of its search, in the folder of its tables."""


def search_as_chief(
    space: SearchSpace,
    base: Recipe,
    faces: Faces,
    *,
    oracle: str,
    trials: int,
    seed: int,
    address: str,
    folder: Path,
    patience: float = PATIENCE,
    progress: bool = True,
) -> pd.DataFrame:
    """Choose trials for workers until the search is done. The same call goes on after the chief was killed.

    It waits for workers as long as it takes, and ends when every trial has ended and every worker has been told so, or
    was not heard of for `patience`.

    Args:
        space: as in `search.search`, and as its workers have it.
        base: the same.
        faces: the same.
        oracle: the same.
        trials: the same.
        seed: the same.
        address: HOST:PORT that workers are listened to at.
        folder: where the search's record is kept.
        patience: seconds without a word from a worker after which its trial is recorded as failed. A worker that
            comes back later may still hand in what it has trained.
        progress: show a bar.

    Returns:
        The ledger, as `search.search` gives it. The runs are in the workers' stores.

    Raises:
        StudyError: as `search.search`; the address cannot be had; the folder holds another search.
    """
    refuse_private(faces)
    key = search_key(space, base, faces, oracle, trials, seed)
    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    engine.verbose = 0
    plan = planned_epochs(oracle, trials=trials, epochs=base.epochs)
    # Its own record is not written atomically, so ours is kept instead.
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress(plan, shown=progress) as shown,
        unspoken(),
        choosing(),
    ):
        engine._set_project_dir(scratch, "search")
        chief = _Chief(engine, key, Path(folder) / STATE, patience, shown)
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
        try:
            if not server.add_insecure_port(address):
                raise RuntimeError("it is taken")
        except RuntimeError as problem:
            raise StudyError(
                f"--chief {address}: expected a HOST:PORT of this machine that is free, found {problem}."
            ) from None
        server.start()
        try:
            while not chief.finished():
                time.sleep(min(1.0, patience / 4))
                chief.give_up()
        finally:
            server.stop(1).wait()
    return ledger_of(engine, chief.outcomes, space, base, seed)


class _Chief(OracleServicer):
    """keras-tuner's service, which also listens for who is alive, and keeps its record after every change."""

    def __init__(
        self, oracle: keras_tuner.Oracle, key: str, file: Path, patience: float, shown: Progress
    ) -> None:
        super().__init__(oracle)
        self.key, self.file, self.patience, self.shown = key, file, patience, shown
        self.outcomes: dict[str, dict] = {}
        self.heard: dict[
            str, float
        ] = {}  # when each worker that has not been told to stop was last heard of
        self.lock = threading.RLock()
        if file.is_file():
            self._restore()
        self._show()

    def GetSpace(self, request, context):  # noqa: N802  gRPC's name
        """The space, and with it which search this is, and how patient its chief."""
        space = self.oracle.get_space()
        space.Fixed("search", self.key)
        space.Fixed("patience", float(self.patience))
        return protos.get_service().GetSpaceResponse(hyperparameters=space.to_proto())

    def CreateTrial(self, request, context):  # noqa: N802
        """The next trial, or that which this worker had when it was last heard of."""
        with self.lock:
            self.heard[request.tuner_id] = time.monotonic()
            answer = super().CreateTrial(request, context)
            if Trial.from_proto(answer.trial).status == "STOPPED":
                del self.heard[request.tuner_id]
            self._save()
            return answer

    def UpdateTrial(self, request, context):  # noqa: N802
        """A trial's score."""
        with self.lock:
            self._expect(request.trial_id, context)
            return super().UpdateTrial(request, context)

    def GetTrial(self, request, context):  # noqa: N802
        """What is known of a trial; to ask for it is a worker's sign of life."""
        with self.lock:
            self._expect(request.trial_id, context)
            for worker, trial in self.oracle.ongoing_trials.items():
                if trial.trial_id == request.trial_id:
                    self.heard[worker] = time.monotonic()
            return super().GetTrial(request, context)

    def EndTrial(self, request, context):  # noqa: N802
        """A trial has ended, one that was given up before included."""
        with self.lock:
            theirs = Trial.from_proto(request.trial)
            self._expect(theirs.trial_id, context)
            self._end(
                theirs.trial_id, theirs.status, json.loads(theirs.hyperparameters.values[OUTCOME])
            )
            return protos.get_service().EndTrialResponse()

    def give_up(self) -> None:
        """End the trials of workers that were not heard of for too long."""
        with self.lock:
            now = time.monotonic()
            for worker, trial in list(self.oracle.ongoing_trials.items()):
                if now - self.heard[worker] > self.patience:
                    reason = f"given up: {worker} was not heard of for {self.patience:g} s."
                    self._end(trial.trial_id, "FAILED", failed(reason))

    def finished(self) -> bool:
        """Whether all trials have ended, and all workers were told so or are gone."""
        with self.lock:
            full = self.oracle.max_trials and len(self.oracle.trials) >= self.oracle.max_trials
            if self.oracle.ongoing_trials or not (full or self.stop_triggered):
                return False
            now = time.monotonic()
            return all(now - last > self.patience for last in self.heard.values())

    def _end(self, number: str, status: str, outcome: dict) -> None:
        ours = self.oracle.trials[number]
        if number in self.oracle.end_order:
            self.oracle.end_order.remove(number)
        self.outcomes[number] = outcome
        # The values as they were chosen: those that come back were sent with seven digits.
        ended = Trial(
            ours.hyperparameters, trial_id=number, status=status, message=outcome["problem"]
        )
        self.oracle.end_trial(ended)
        self._save()
        self._show()

    def _expect(self, number: str, context) -> None:
        if number not in self.oracle.trials:
            context.abort(grpc.StatusCode.NOT_FOUND, f"trial {number} is none of this search")

    def _show(self) -> None:
        self.shown.workers = max(1, len(self.oracle.ongoing_trials))
        self.shown.show(self.outcomes.values())

    def _save(self) -> None:
        trials = {number: trial.get_state() for number, trial in self.oracle.trials.items()}
        state = {
            "search": self.key,
            "oracle": self.oracle.get_state(),
            "trials": trials,
            "outcomes": self.outcomes,
        }
        with atomic_file(self.file) as target:
            target.write_text(json.dumps(state) + "\n", encoding="utf-8")

    def _restore(self) -> None:
        state = json.loads(self.file.read_text(encoding="utf-8"))
        if state["search"] != self.key:
            raise StudyError(
                f"{self.file}: expected this search, found another one's record. Choose another --out for this search, "
                "or delete that file."
            )
        self.oracle.trials = {
            number: Trial.from_state(trial) for number, trial in state["trials"].items()
        }
        self.oracle.set_state(state["oracle"])
        self.outcomes = state["outcomes"]
        for worker in self.oracle.ongoing_trials:
            self.oracle.tuner_ids.add(worker)
            self.heard[worker] = time.monotonic()
