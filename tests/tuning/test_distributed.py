"""A chief and its workers on the loopback: nothing is lost, whoever dies."""

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
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture
def chief(faces, recipe, tmp_path):
    """Starts a chief in a thread; gives its address, and a function that waits for its ledger."""
    started = []

    def start(folder="chief", address=None, **changes):
        address, got = address or free_address(), {}
        given = {
            "oracle": "random",
            "trials": 4,
            "seed": 1,
            "patience": 20,
            "progress": False,
        } | changes

        def run() -> None:
            try:
                got["ledger"] = search_as_chief(
                    SPACE,
                    recipe,
                    faces.without_private(),
                    address=address,
                    folder=tmp_path / folder,
                    **given,
                )
            except StudyError as problem:
                got["problem"] = problem

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append(thread)

        def ledger() -> pd.DataFrame:
            thread.join(60)
            assert not thread.is_alive(), "the chief waits"
            if "problem" in got:
                raise got["problem"]
            return got["ledger"]

        return address, ledger

    return start


@pytest.fixture
def working(faces, recipe, tmp_path, monkeypatch):
    """Works for the chief at an address, with a stand-in for `fit`."""

    def run(fit, address, worker="1", space=SPACE, **changes) -> int:
        monkeypatch.setattr(tuning_trials, "fit", fit)
        given = {
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
            **given,
        )

    return run


class Client:
    """A worker that does as it is told here."""

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
def test_one_worker_finds_what_a_search_of_its_own_finds(
    chief, working, faces, recipe, tmp_path, oracle, capfd
):
    """The same trials, the same runs, the same reasons of three failures in a row, though they went over the wire."""
    address, ledger = chief(oracle=oracle, trials=6)
    assert working(Trainings(fail_at=(2, 3, 4)), address, oracle=oracle, trials=6) == 6
    ours = ledger()
    assert (ours["status"] == "failed").sum() == 3 and len(ours) == 6
    assert capfd.readouterr().out == ""
    alone = search(
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
    pd.testing.assert_frame_equal(ours, alone, check_exact=True)


def test_a_chief_that_follows_the_scores_says_nothing_of_its_fit(chief, recwarn):
    address, ledger = chief(oracle="bayesian", trials=6)
    client = Client(address, "worker-1")
    for score in (0.1, 0.1, 0.1, 0.2, 0.2, 0.1):
        client.end(client.trial(), score)
    assert client.trial().status == "STOPPED" and len(ledger()) == 6
    assert [str(each.message) for each in recwarn if "sklearn" in each.filename] == []


def test_a_worker_restarted_under_its_name_has_its_trial_again(chief, working):
    address, ledger = chief(trials=3)
    with pytest.raises(Interrupted):
        working(Trainings(stop_at=2), address, trials=3)
    assert working(Trainings(), address, trials=3) == 2
    ours = ledger()
    assert set(ours["status"]) == {"completed"} and ours["run"].is_unique and len(ours) == 3


def test_a_worker_that_never_comes_back_is_given_up(chief, working):
    address, ledger = chief(patience=2)
    lost = Client(address, "worker-lost").trial()
    time.sleep(2.5)  # longer than the patience: only then does another one come
    assert working(Trainings(), address) == 3
    ours = ledger()
    given_up = ours[ours["trial"] == int(lost.trial_id) + 1].iloc[0]
    assert given_up["status"] == "failed"
    assert given_up["problem"] == "given up: worker-lost was not heard of for 2 s."
    assert sorted(ours["trial"]) == [1, 2, 3, 4] and (ours["status"] == "completed").sum() == 3


def test_a_worker_that_gives_signs_of_life_is_not_given_up(chief, working):
    """Its training takes longer than the patience."""

    def slow(*args, **options):
        time.sleep(4)
        return quick(*args, **options)

    quick = Trainings()
    address, ledger = chief(trials=1, patience=2)
    working(slow, address, trials=1)
    assert ledger()["status"].tolist() == ["completed"]


def test_what_a_worker_hands_in_after_it_was_given_up_counts(chief, working):
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


def test_a_chief_goes_on_after_it_was_killed(chief, working, faces, recipe, tmp_path, monkeypatch):
    """Another chief with the same record: trials that ended stay, and the one in progress is its worker's."""
    first, _ = chief(trials=3)
    with pytest.raises(Interrupted):
        working(Trainings(stop_at=2), first, trials=3)
    # The first is not told: as far as the second knows it is dead.
    second, ledger = chief(trials=3)
    assert working(Trainings(), second, trials=3) == 2
    ours = ledger()
    assert set(ours["status"]) == {"completed"} and sorted(ours["trial"]) == [1, 2, 3]


def test_another_search_is_refused_on_both_sides(chief, working):
    address, _ = chief(trials=2)
    with pytest.raises(StudyError, match=r"expected the chief .* to search as this worker does"):
        working(Trainings(), address, trials=3)
    assert working(Trainings(), address, trials=2) == 2
    with pytest.raises(StudyError, match=r"search\.json: expected this search"):
        chief(trials=3)[1]()


def test_a_chief_that_does_not_answer(working):
    with pytest.raises(StudyError, match=r"within 1 s, found (DEADLINE_EXCEEDED|UNAVAILABLE)"):
        working(Trainings(), free_address(), patience=1)


def test_names_and_addresses_that_are_none(chief, working):
    with pytest.raises(StudyError, match="--id: expected"):
        working(Trainings(), free_address(), worker="chief-2")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StudyError, match="that is free"):
            chief(address=f"127.0.0.1:{taken.getsockname()[1]}")[1]()


# --- processes ---


@pytest.fixture
def processes(faces, tmp_path):
    """Starts `fer-study tune` with these arguments; ends what is left of them."""
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
def test_two_workers_of_which_both_are_killed_and_one_comes_back(processes, tmp_path):
    address = free_address()
    boss = processes("--chief", address, "--out", str(tmp_path / "out"))

    def worker(number: int) -> subprocess.Popen:
        return processes(
            "--worker", address, "--id", str(number), "--runs", str(tmp_path / f"runs-{number}")
        )

    def in_a_trial(number: int) -> list:
        deadline = time.monotonic() + 600
        while not (found := list(tmp_path.glob(f"runs-{number}/*/checkpoint.npz"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return found

    first, second = worker(1), worker(2)
    (begun,), _ = in_a_trial(1), in_a_trial(2)
    first.send_signal(signal.SIGKILL)
    second.send_signal(signal.SIGKILL)
    first.wait()
    assert worker(1).wait(900) == 0
    assert boss.wait(600) == 0
    ledger = pd.read_csv(tmp_path / "out" / "ledger.csv")
    assert sorted(ledger["trial"]) == [1, 2, 3, 4, 5]
    assert ledger.loc[ledger["run"] == begun.parent.name, "status"].tolist() == ["completed"]
    failed = ledger[ledger["status"] == "failed"]
    assert failed["problem"].tolist() == ["given up: worker-2 was not heard of for 30 s."]
