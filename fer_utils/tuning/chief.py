"""The chief of a distributed search: it chooses the trials that workers train.

This is keras-tuner's chief with three additions. A worker that never returns is given up, where
keras-tuner's chief waits forever. The chief itself can be killed and restarted. And the reason of a
failed trial reaches the ledger.
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
from fer_utils.tuning.oracles import make_oracle, planned_epochs, quiet_single_thread
from fer_utils.tuning.progress import Progress
from fer_utils.tuning.search import ledger_of, refuse_private
from fer_utils.tuning.spaces import SearchSpace
from fer_utils.tuning.trials import failed_outcome
from fer_utils.tuning.wire import OUTCOME, PATIENCE, quiet_grpc, search_key

# isort: split
import grpc
import keras_tuner
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.engine.trial import Trial

STATE = "search.json"
"""File with the chief's record of its search, in the folder of its tables."""


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
    """Choose trials for workers until the search is done.

    After an interruption, the same call continues the search. The chief waits for workers without
    limit. It ends when every trial has ended and every worker was told to stop or has been silent
    for `patience`.

    Args:
        space: as for `search.search`, the same for the chief and its workers.
        base: likewise.
        faces: likewise.
        oracle: likewise.
        trials: likewise.
        seed: likewise.
        address: HOST:PORT to listen at.
        folder: folder of the search's record.
        patience: seconds without a message from a worker after which its trial is recorded as
            failed. A worker that returns later may still submit its outcome.
        progress: show a bar.

    Returns:
        The ledger, as returned by `search.search`. The runs are in the workers' stores.

    Raises:
        StudyError: as for `search.search`; or the address is not available, or the folder contains
            the record of another search.
    """
    refuse_private(faces)
    key = search_key(space, base, faces, oracle, trials, seed)
    engine = make_oracle(oracle, space.declare(base), trials=trials, epochs=base.epochs, seed=seed)
    engine.verbose = 0
    plan = planned_epochs(oracle, trials=trials, epochs=base.epochs)
    # keras-tuner does not write its own record atomically. It goes to a scratch folder.
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress(plan, visible=progress) as bar,
        quiet_grpc(),
        quiet_single_thread(),
    ):
        engine._set_project_dir(scratch, "search")
        chief = _Chief(engine, key, Path(folder) / STATE, patience, bar)
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
        protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
        try:
            if not server.add_insecure_port(address):
                raise RuntimeError("it is in use")
        except RuntimeError as problem:
            raise StudyError(
                f"--chief {address}: expected a free HOST:PORT of this machine, found {problem}. "
                "Choose another address."
            ) from None
        server.start()
        try:
            while not chief.finished():
                time.sleep(min(1.0, patience / 4))
                chief.give_up_silent_workers()
        finally:
            server.stop(1).wait()
    return ledger_of(engine, chief.outcomes, space, base, seed)


class _Chief(OracleServicer):
    """keras-tuner's service, which also tracks live workers and saves its record after changes.

    Attributes:
        outcomes: by trial, the outcome of each trial that has ended.
        last_message: by worker, the time of its last message, until it is told to stop.
    """

    def __init__(
        self, oracle: keras_tuner.Oracle, key: str, file: Path, patience: float, bar: Progress
    ) -> None:
        super().__init__(oracle)
        self.key, self.file, self.patience, self.bar = key, file, patience, bar
        self.outcomes: dict[str, dict] = {}
        self.last_message: dict[str, float] = {}
        self.lock = threading.RLock()
        if file.is_file():
            self._restore()
        self._show()

    def GetSpace(self, request, context):  # noqa: N802  gRPC's name
        """Return the space, with the key of the search and the chief's patience as extra values."""
        space = self.oracle.get_space()
        space.Fixed("search", self.key)
        space.Fixed("patience", float(self.patience))
        return protos.get_service().GetSpaceResponse(hyperparameters=space.to_proto())

    def CreateTrial(self, request, context):  # noqa: N802
        """Return the worker's unfinished trial, or else the next trial."""
        with self.lock:
            self.last_message[request.tuner_id] = time.monotonic()
            answer = super().CreateTrial(request, context)
            if Trial.from_proto(answer.trial).status == "STOPPED":
                del self.last_message[request.tuner_id]
            self._save()
            return answer

    def UpdateTrial(self, request, context):  # noqa: N802
        """Accept the score of a trial."""
        with self.lock:
            self._require_trial(request.trial_id, context)
            return super().UpdateTrial(request, context)

    def GetTrial(self, request, context):  # noqa: N802
        """Return a trial. The request also counts as a message from the trial's worker."""
        with self.lock:
            self._require_trial(request.trial_id, context)
            for worker, trial in self.oracle.ongoing_trials.items():
                if trial.trial_id == request.trial_id:
                    self.last_message[worker] = time.monotonic()
            return super().GetTrial(request, context)

    def EndTrial(self, request, context):  # noqa: N802
        """Record the end of a trial, also of one that was given up before."""
        with self.lock:
            theirs = Trial.from_proto(request.trial)
            self._require_trial(theirs.trial_id, context)
            outcome = json.loads(theirs.hyperparameters.values[OUTCOME])
            self._end(theirs.trial_id, theirs.status, outcome)
            return protos.get_service().EndTrialResponse()

    def give_up_silent_workers(self) -> None:
        """Record the trials of workers without a message for longer than `patience` as failed."""
        with self.lock:
            now = time.monotonic()
            for worker, trial in list(self.oracle.ongoing_trials.items()):
                if now - self.last_message[worker] > self.patience:
                    reason = f"given up: no message from {worker} for {self.patience:g} s."
                    self._end(trial.trial_id, "FAILED", failed_outcome(reason))

    def finished(self) -> bool:
        """Return whether all trials have ended and all workers were told to stop or are silent."""
        with self.lock:
            full = self.oracle.max_trials and len(self.oracle.trials) >= self.oracle.max_trials
            if self.oracle.ongoing_trials or not (full or self.stop_triggered):
                return False
            now = time.monotonic()
            return all(now - last > self.patience for last in self.last_message.values())

    def _end(self, trial_id: str, status: str, outcome: dict) -> None:
        ours = self.oracle.trials[trial_id]
        if trial_id in self.oracle.end_order:
            self.oracle.end_order.remove(trial_id)
        self.outcomes[trial_id] = outcome
        # Keep the chosen values: those from the worker were rounded to seven digits.
        ended = Trial(
            ours.hyperparameters, trial_id=trial_id, status=status, message=outcome["problem"]
        )
        self.oracle.end_trial(ended)
        self._save()
        self._show()

    def _require_trial(self, trial_id: str, context) -> None:
        if trial_id not in self.oracle.trials:
            context.abort(grpc.StatusCode.NOT_FOUND, f"trial {trial_id} is not in this search")

    def _show(self) -> None:
        self.bar.workers = max(1, len(self.oracle.ongoing_trials))
        self.bar.show(self.outcomes.values())

    def _save(self) -> None:
        trials = {trial_id: trial.get_state() for trial_id, trial in self.oracle.trials.items()}
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
                f"{self.file}: expected the record of this search, found that of another one. "
                "Choose another --out, or delete the file."
            )
        self.oracle.trials = {
            trial_id: Trial.from_state(trial) for trial_id, trial in state["trials"].items()
        }
        self.oracle.set_state(state["oracle"])
        self.outcomes = state["outcomes"]
        for worker in self.oracle.ongoing_trials:
            self.oracle.tuner_ids.add(worker)
            self.last_message[worker] = time.monotonic()
