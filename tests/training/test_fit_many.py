"""Several trainings at once: equal weights for any number of workers, failures, interruptions."""

import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from kill_cases import kill_once

from fer_utils.emotions import TRAINING
from fer_utils.errors import StudyError
from fer_utils.training import fit_many as module
from fer_utils.training.fit_many import Training, fit_many, memory_of, run_many, threads_of_each


@pytest.fixture
def parts(faces):
    """The faces without PrivateTest."""
    return faces.without_private()


def weights_of(runs) -> list:
    return [[weight.tobytes() for weight in run.model().get_weights()] for run in runs]


def test_the_number_of_workers_changes_no_weight(parts, recipe, tmp_path):
    trainings = [(recipe, 1), (recipe.but(width=0.05), 1), (recipe, 2), (recipe.but(epochs=1), 1)]

    def train(workers: int):
        return fit_many(trainings, parts, tmp_path / str(workers), workers=workers, progress=False)

    one, many = train(1), train(16)

    assert [(run.recipe, run.seed) for run in many] == trainings
    assert weights_of(one) == weights_of(many)
    assert [list(run.history["val_loss"]) for run in one] == [
        list(run.history["val_loss"]) for run in many
    ]


def test_a_repeated_training_is_one_run_and_finished_runs_stay(parts, recipe, tmp_path):
    trainings = [(recipe, 1), (recipe, 2), (recipe, 1)]
    first = fit_many(trainings, parts, tmp_path, progress=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    assert first[0].folder == first[2].folder and len(list(tmp_path.iterdir())) == 2
    again = fit_many(trainings, parts, tmp_path, progress=False)
    assert [each.folder for each in again] == [each.folder for each in first]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_failed_training_is_named_and_the_others_finish(parts, recipe, tmp_path):
    trainings = [(recipe.but(learning_rate=1e38), 1), (recipe, 1), (recipe, 2)]
    with pytest.raises(StudyError, match=r"1 of 3 trainings failed(.|\n)*baseline_cnn-seed1: .*fi"):
        fit_many(trainings, parts, tmp_path, progress=False)

    assert len(list(tmp_path.glob("*/run.json"))) == 2


def test_a_killed_process_is_one_failed_training(parts, recipe, tmp_path):
    trainings = [Training(recipe, seed) for seed in (1, 2, 3, 4)]
    outcomes = run_many(kill_once, trainings, parts, tmp_path, 1, 2, progress=False)

    assert outcomes[0] == (recipe.name, 1) and outcomes[2:] == [(recipe.name, 3), (recipe.name, 4)]
    assert isinstance(outcomes[1], StudyError)
    assert "seed2" in str(outcomes[1]) and "SIGKILL, perhaps out of memory" in str(outcomes[1])


def test_a_full_disk_is_reported_as_such(parts, recipe, tmp_path):
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StudyError, match=r"2 of 2 trainings failed(.|\n)*(File|Not a d)"):
        fit_many([(recipe, 1), (recipe, 2)], parts, tmp_path / "store", progress=False)


def test_more_workers_than_memory_are_refused_before_any_starts(
    parts, recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "free_memory", lambda: 2.5 * memory_of(recipe, parts))
    trainings = [(recipe, seed) for seed in range(8)]
    with pytest.raises(StudyError, match=r"at most 2, found 4.* 4 need .* GB, and .* GB are free"):
        fit_many(trainings, parts, tmp_path / "runs", workers=4, progress=False)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("cores", "free", "trainings", "threads", "workers"),
    [
        (2, 100, 8, 1, 2),
        (16, 100, 4, 4, 4),
        (16, 100, 3, 5, 3),
        (16, 2.5, 4, 4, 2),
        (4, 0.5, 4, 1, 1),
    ],
)
def test_cores_are_divided_among_trainings_and_memory_limits_workers(
    parts, recipe, monkeypatch, cores, free, trainings, threads, workers
):
    monkeypatch.setattr(module.joblib, "cpu_count", lambda: cores)
    monkeypatch.setattr(module, "free_memory", lambda: free * memory_of(recipe, parts))
    many = [Training(recipe, seed) for seed in range(trainings)]

    assert threads_of_each(trainings) == threads
    assert module._affordable(many, parts, threads, None) == workers


@pytest.mark.parametrize("value", ["two", "-1", "0"])
def test_a_wrong_number_of_workers_is_an_error(parts, recipe, tmp_path, monkeypatch, value):
    monkeypatch.setenv("FER_STUDY_WORKERS", value)
    with pytest.raises(StudyError, match=r"orkers|WORKERS"):
        fit_many([(recipe, 1), (recipe, 2)], parts, tmp_path / "runs", progress=False)
    assert not (tmp_path / "runs").exists()


def test_an_epoch_has_as_many_images_as_the_bar_expects(faces, recipe):
    images = int(np.count_nonzero(faces.usage == TRAINING))

    assert module._images(recipe, faces) == images
    assert module._images(recipe.but(drop_last=True), faces) == images // 32 * 32
    assert module._images(recipe.but(folds=4, fold=1), faces) == images - images // 4


INTERRUPTED = """
import signal, sys
from pathlib import Path
from fer_utils.data.faces import load_faces
from fer_utils.training.fit_many import fit_many
from fer_utils.training.recipes import get_recipe

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    recipe = get_recipe("baseline_cnn").but(width=0.03, epochs=int(sys.argv[3]), batch_size=32)
    trainings = [(recipe, seed) for seed in (1, 2, 3)]
    fit_many(trainings, load_faces(Path(sys.argv[1])), Path(sys.argv[2]), progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_trainings_end_and_continue(faces, recipe, tmp_path, how):
    faces.save(tmp_path / "faces")
    (tmp_path / "train.py").write_text(INTERRUPTED)

    def start(store: str) -> subprocess.Popen:
        command = [
            sys.executable,
            tmp_path / "train.py",
            tmp_path / "faces",
            tmp_path / store,
            "30",
        ]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    process = start("runs")
    deadline = time.monotonic() + 300
    while len(list(tmp_path.glob("runs/*/checkpoint.npz"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    process.wait(timeout=10)
    assert process.returncode != 0 and not psutil.wait_procs(children, timeout=10)[1]
    kept = len(list(tmp_path.glob("runs/*/checkpoint.npz")))
    assert kept >= 2, "nothing that was trained may be lost"

    assert start("runs").wait() == 0 and start("whole").wait() == 0
    folders = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert folders == sorted(path.name for path in (tmp_path / "runs").iterdir())
    for folder in folders:
        ours, theirs = (
            np.load(tmp_path / store / folder / "predictions.npz")["logits"]
            for store in ("runs", "whole")
        )
        np.testing.assert_array_equal(ours, theirs)
