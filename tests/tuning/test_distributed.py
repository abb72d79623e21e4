"""A chief and its workers on one machine: no trial is lost when one of them is killed."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest
from tuning_cases import SPACE, Interrupted, Trainings

from fer_utils.errors import StudyError
from fer_utils.tuning import search
from fer_utils.tuning import trials as tuning_trials
from fer_utils.tuning.chief import search_as_chief
from fer_utils.tuning.worker import attach_outcome, work

# isort: split
import grpc
from keras_tuner.src import protos
from keras_tuner.src.engine.trial import Trial


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def chief(faces, recipe, tmp_path):
    """Start a chief in a thread; return its address and a function that waits for its ledger."""
    started = []

    def start(folder="chief", address=None, **changes):
        address, result = address or free_address(), {}
        options = {
            "oracle": "random",
            "trials": 4,
            "seed": 1,
            "patience": 20,
            "progress": False,
        } | changes

        def run() -> None:
            try:
                result["ledger"] = search_as_chief(
                    SPACE,
                    recipe,
                    faces.without_private(),
                    address=address,
                    folder=tmp_path / folder,
                    **options,
                )
            except StudyError as problem:
                result["problem"] = problem

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append(thread)

        def ledger() -> pd.DataFrame:
            thread.join(60)
            assert not thread.is_alive(), "the chief still waits"
            if "problem" in result:
                raise result["problem"]
            return result["ledger"]

        return address, ledger

    return start


@pytest.fixture
def working(faces, recipe, tmp_path, monkeypatch):
    """Run a worker with a replacement of `fit`; return the number of its trials."""

    def run(fit, address, worker="1", space=SPACE, **changes) -> int:
        monkeypatch.setattr(tuning_trials, "fit", fit)
        options = {
            "oracle": "random",
            "trials": 4,
            "seed": 1,
            "patience": 20,
            "store": tmp_path / "store",
        } | changes
        return work(
            space,
            recipe,
            faces.without_private(),
            address=address,
            worker=worker,
            isolated=False,
            **options,
        )

    return run


class Client:
    """A worker that the test controls."""

    def __init__(self, address: str, name: str) -> None:
        self.stub = protos.get_service_grpc().OracleStub(grpc.insecure_channel(address))
        self.name, self.service = name, protos.get_service()

    def trial(self) -> Trial:
        request = self.service.CreateTrialRequest(tuner_id=self.name)
        return Trial.from_proto(
            self.stub.CreateTrial(request, wait_for_ready=True, timeout=30).trial
        )

    def end(self, trial: Trial, score: float) -> None:
        outcome = {
            "run": "late",
            "status": "completed",
            "problem": "",
            "parameters": 1,
            "val_accuracy": score,
        }
        attach_outcome(
            trial, outcome | {"epoch_kept": 1, "epochs": 1, "seconds": 1.0, "curve": [score]}
        )
        self.stub.UpdateTrial(
            self.service.UpdateTrialRequest(
                trial_id=trial.trial_id, metrics={"val_accuracy": score}, step=0
            )
        )
        trial.status = "COMPLETED"
        self.stub.EndTrial(self.service.EndTrialRequest(trial=trial.to_proto()))


@pytest.mark.parametrize("oracle", ["random", "hyperband"])
def test_one_worker_gives_the_ledger_of_a_local_search(
    chief, working, faces, recipe, tmp_path, oracle, capfd
):
    """Trials, runs and the reasons of three failures in a row are the same."""
    address, ledger = chief(oracle=oracle, trials=6)
    assert working(Trainings(fail_at=(2, 3, 4)), address, oracle=oracle, trials=6) == 6
    ours = ledger()
    assert (ours["status"] == "failed").sum() == 3 and len(ours) == 6
    assert capfd.readouterr().out == ""
    local = search(
        SPACE,
        recipe,
        faces.without_private(),
        oracle=oracle,
        trials=6,
        seed=1,
        store=tmp_path / "store",
        progress=False,
        isolated=False,
    )
    pd.testing.assert_frame_equal(ours, local, check_exact=True)


def test_chief_with_a_bayesian_oracle_hides_warnings_of_its_fit(chief, recwarn):
    address, ledger = chief(oracle="bayesian", trials=6)
    client = Client(address, "worker-1")
    for score in (0.1, 0.1, 0.1, 0.2, 0.2, 0.1):
        client.end(client.trial(), score)
    assert client.trial().status == "STOPPED" and len(ledger()) == 6
    assert [str(one.message) for one in recwarn if "sklearn" in one.filename] == []


def test_worker_that_restarts_under_its_name_continues_its_trial(chief, working):
    address, ledger = chief(trials=3)
    with pytest.raises(Interrupted):
        working(Trainings(stop_at=2), address, trials=3)
    assert working(Trainings(), address, trials=3) == 2
    ours = ledger()
    assert set(ours["status"]) == {"completed"} and ours["run"].is_unique and len(ours) == 3


def test_worker_that_never_returns_is_given_up(chief, working):
    address, ledger = chief(patience=2)
    lost = Client(address, "worker-lost").trial()
    time.sleep(2.5)  # the next worker starts after the patience is over
    assert working(Trainings(), address) == 3
    ours = ledger()
    given_up = ours[ours["trial"] == int(lost.trial_id) + 1].iloc[0]
    assert given_up["status"] == "failed"
    assert given_up["problem"] == "given up: no message from worker-lost for 2 s."
    assert sorted(ours["trial"]) == [1, 2, 3, 4] and (ours["status"] == "completed").sum() == 3


def test_worker_with_a_long_training_is_not_given_up(chief, working):
    """The training takes longer than the patience, but the worker sends messages."""

    def slow(*args, **options):
        time.sleep(4)
        return quick(*args, **options)

    quick = Trainings()
    address, ledger = chief(trials=1, patience=2)
    working(slow, address, trials=1)
    assert ledger()["status"].tolist() == ["completed"]


def test_outcome_of_a_worker_that_was_given_up_is_accepted(chief, working):
    address, ledger = chief(patience=1, trials=2)
    late = Client(address, "worker-late")
    trial = late.trial()
    time.sleep(2)
    late.end(trial, 0.875)
    assert working(Trainings(), address, trials=2) == 1
    ours = ledger()
    assert (
        set(ours["status"]) == {"completed"}
        and ours.loc[0, "run"] == "late"
        and ours.loc[0, "val_accuracy"] == 0.875
    )


def test_chief_continues_after_a_kill(chief, working):
    """A second chief reads the record: ended trials stay, and the worker continues its trial."""
    first, _ = chief(trials=3)
    with pytest.raises(Interrupted):
        working(Trainings(stop_at=2), first, trials=3)
    # The first chief still runs, but no worker uses it.
    second, ledger = chief(trials=3)
    assert working(Trainings(), second, trials=3) == 2
    ours = ledger()
    assert set(ours["status"]) == {"completed"} and sorted(ours["trial"]) == [1, 2, 3]


def test_worker_and_record_of_another_search_are_refused(chief, working):
    address, _ = chief(trials=2)
    with pytest.raises(StudyError, match=r"expected the chief .* to run this search"):
        working(Trainings(), address, trials=3)
    assert working(Trainings(), address, trials=2) == 2
    with pytest.raises(StudyError, match=r"search\.json: expected the record of this search"):
        chief(trials=3)[1]()


def test_missing_chief_is_an_error(working):
    with pytest.raises(StudyError, match=r"within 1 s, found (DEADLINE_EXCEEDED|UNAVAILABLE)"):
        working(Trainings(), free_address(), patience=1)


def test_invalid_names_and_addresses_are_refused(chief, working):
    with pytest.raises(StudyError, match="--id: expected"):
        working(Trainings(), free_address(), worker="chief-2")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StudyError, match="expected a free HOST:PORT"):
            chief(address=f"127.0.0.1:{taken.getsockname()[1]}")[1]()


# --- processes ---


@pytest.fixture
def processes(faces, tmp_path):
    """Start `fer-study tune` processes with given arguments; kill them after the test."""
    faces.save(tmp_path / "faces")
    started = []

    def start(*arguments: str) -> subprocess.Popen:
        command = [
            *(
                sys.executable,
                "-m",
                "fer_utils.cli",
                "tune",
                "baseline_cnn",
                "--data",
                tmp_path / "faces",
            ),
            *("--set", "width=0.03", "--set", "batch_norm_momentum=0.5", "--set", "epochs=40"),
            *("--search", "dropout=0.1..0.5", "--search", "learning_rate=1e-4..1e-2"),
            *("--oracle", "random", "--trials", "5", "--patience", "30", *arguments),
        ]
        log = (tmp_path / f"log-{len(started)}").open("w")
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        started.append(
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_two_workers_are_killed_and_one_restarts(processes, tmp_path):
    address = free_address()
    chief = processes("--chief", address, "--out", str(tmp_path / "out"))

    def worker(number: int) -> subprocess.Popen:
        return processes(
            "--worker", address, "--id", str(number), "--runs", str(tmp_path / f"runs-{number}")
        )

    def in_a_trial(number: int) -> list:
        deadline = time.monotonic() + 600
        while not (checkpoints := list(tmp_path.glob(f"runs-{number}/*/checkpoint.npz"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return checkpoints

    first, second = worker(1), worker(2)
    (begun,), _ = in_a_trial(1), in_a_trial(2)
    first.send_signal(signal.SIGKILL)
    second.send_signal(signal.SIGKILL)
    first.wait()
    assert worker(1).wait(900) == 0
    assert chief.wait(600) == 0
    ledger = pd.read_csv(tmp_path / "out" / "ledger.csv")
    assert sorted(ledger["trial"]) == [1, 2, 3, 4, 5]
    assert ledger.loc[ledger["run"] == begun.parent.name, "status"].tolist() == ["completed"]
    failed = ledger[ledger["status"] == "failed"]
    assert failed["problem"].tolist() == ["given up: no message from worker-2 for 30 s."]
