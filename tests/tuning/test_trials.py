"""Trials in their own process: its end is a failed trial, and it ends with a killed search."""

import os
import signal
import subprocess
import sys
import threading
import time

import pandas as pd
import psutil
import pytest
from tuning_cases import SPACE

from fer_utils.errors import StudyError
from fer_utils.training.processes import TrainingProcess
from fer_utils.training.runs import run_folder
from fer_utils.tuning import search, trials
from fer_utils.tuning.trials import FAILED, recorded_outcome, train_isolated, train_trial


def test_trial_in_a_killed_process_fails_and_the_next_one_is_trained(faces, recipe, tmp_path):
    """The system kills a process in this way when memory runs out."""
    faces = faces.without_private()
    process = TrainingProcess(train_trial, faces, tmp_path)
    endless = recipe.but(epochs=100_000)
    folder = run_folder(tmp_path, endless, 1, faces)

    def kill() -> None:
        while not (folder / "checkpoint.npz").is_file():
            time.sleep(0.05)
        os.kill(process.process.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        outcome = train_isolated(process, endless, 1)
        thread.join()
        assert outcome["status"] == "failed" and outcome["epochs"] >= 1
        assert outcome["problem"] == (
            f"{folder.name}: the training process ended with SIGKILL, perhaps out of memory."
        )
        assert train_isolated(process, endless, 1) == outcome, (
            "a recorded trial must not be trained again"
        )
        assert train_isolated(process, recipe, 1)["status"] == "completed"
    finally:
        process.close()
    assert process.process is None


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (MemoryError("no room for 8 GiB"), "MemoryError: no room for 8 GiB"),
        (StudyError("the loss is no longer finite."), "the loss is no longer finite."),
        (RuntimeError("OOM when allocating\nmany lines"), "RuntimeError: OOM when allocating"),
    ],
)
def test_error_of_a_training_is_recorded(faces, recipe, tmp_path, monkeypatch, problem, reason):
    def fail(*_, **__):
        raise problem

    monkeypatch.setattr(trials, "fit", fail)
    outcome = train_trial(recipe, faces, 1, tmp_path)
    assert (outcome["status"], outcome["problem"], outcome["curve"]) == ("failed", reason, [])
    assert recorded_outcome(recipe, faces, 1, tmp_path) == outcome
    assert recorded_outcome(recipe, faces, 2, tmp_path) is None


def test_full_disk_ends_the_search_without_a_failed_trial(faces, recipe, tmp_path, monkeypatch):
    """Every other trial would fail too."""

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trials, "fit", fail)
    options = {
        "oracle": "random",
        "trials": 2,
        "seed": 1,
        "store": tmp_path,
        "progress": False,
        "isolated": False,
    }
    with pytest.raises(OSError, match="No space left"):
        search(SPACE, recipe, faces.without_private(), **options)
    assert not list(tmp_path.glob(f"*/{FAILED}"))


def test_unreadable_checkpoint_does_not_fail_the_trial(faces, recipe, tiny_network, tmp_path):
    faces = faces.without_private()
    folder = run_folder(tmp_path, recipe, 1, faces)
    folder.mkdir()
    (folder / "checkpoint.npz").write_bytes(b"torn")
    assert train_trial(recipe, faces, 1, tmp_path)["status"] == "completed"


@pytest.mark.slow
def test_killed_search_ends_its_training_and_continues(faces, tmp_path):
    faces.save(tmp_path / "faces")
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
        *(
            "--runs",
            tmp_path / "runs",
            "--out",
            tmp_path / "out",
            "--oracle",
            "bayesian",
            "--trials",
            "3",
        ),
        *("--set", "width=0.03", "--set", "batch_norm_momentum=0.5", "--set", "epochs=10"),
        *("--search", "dropout=0.1..0.5", "--search", "learning_rate=1e-4..1e-2"),
    ]
    kept = {}
    # Killed in the first trial, then in the second.
    for ended in (0, 1):
        with (tmp_path / f"log-{ended}").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 600
        while len(list(tmp_path.glob("runs/*/run.json"))) < ended or not list(
            tmp_path.glob("runs/*/checkpoint.npz")
        ):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert not psutil.wait_procs(children, timeout=10)[1]
        kept |= {run: run.read_bytes() for run in tmp_path.glob("runs/*/run.json")}
    subprocess.run(command, check=True, capture_output=True)
    ledger = pd.read_csv(tmp_path / "out" / "ledger.csv")
    assert (
        set(ledger["status"]) == {"completed"}
        and len(ledger) == 3
        and set(ledger["epochs"]) == {10}
    )
    assert kept and all(run.read_bytes() == before for run, before in kept.items())
