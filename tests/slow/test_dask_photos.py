"""The example for very many photos on a cluster of two workers, of which one is killed."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack

import pytest
from kill_cases import litter
from PIL import Image
from skimage import data

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'dask[distributed]'")

pytestmark = pytest.mark.slow

PHOTOS, PER_PART, PATIENCE = 60, 4, 300


@pytest.fixture
def photos(tmp_path):
    """Links to a portrait, in a folder in which every fifth photo is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(data.astronaut()).resize((640, 640)).save(tmp_path / "face.jpg")
    (tmp_path / "damaged.jpg").write_bytes((tmp_path / "face.jpg").read_bytes()[:9000])
    for number in range(PHOTOS):
        kind = "face" if number % 5 else "damaged"
        os.link(tmp_path / f"{kind}.jpg", folder / f"{number:03}.jpg")
    return folder


@pytest.fixture
def cluster(tmp_path):
    """A scheduler's address, and the processes of its two workers."""
    with ExitStack() as running:

        def start(*arguments):
            command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            log = running.enter_context((tmp_path / f"{arguments[0]}.log").open("a"))
            process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
            running.callback(process.wait, PATIENCE)
            running.callback(process.kill)
            return process

        file = tmp_path / "scheduler.json"
        own = ["--host", "127.0.0.1", "--no-dashboard"]
        start("scheduler", "--port", "0", "--scheduler-file", str(file), *own)
        wait_until(lambda: file.is_file() and file.stat().st_size)
        address = json.loads(file.read_text())["address"]
        # Without a nanny, a killed worker does not come back: the other one has all its work.
        yield (
            address,
            [start("worker", address, "--nthreads", "1", "--no-nanny", *own) for _ in "ab"],
        )


def wait_until(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(project, model_folder, *arguments):
    options = ["--per-part", str(PER_PART), "--detector", "haar", "--model", str(model_folder)]
    return [sys.executable, project / "examples" / "dask_photos.py", *arguments, *options]


def rows_in(out):
    return [
        json.loads(line)
        for part in sorted(out.glob("part-*.jsonl"))
        for line in part.read_text(encoding="utf-8").splitlines()
    ]


def test_each_photo_is_there_once_after_a_workers_end(
    project, model_folder, photos, cluster, tmp_path
):
    (address, workers), out = cluster, tmp_path / "out"
    parts = PHOTOS // PER_PART
    arguments = command(project, model_folder, out, photos, "--scheduler", address)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        # Each worker has one thread, so two unfinished files mean that both work.
        wait_until(lambda: any(out.glob("part-*.jsonl")) and len(litter(out)) == 2)
        workers[0].kill()
        workers[0].wait(PATIENCE)
        assert len(list(out.glob("part-*.jsonl"))) < parts
        said, _ = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0
    assert workers[1].poll() is None
    assert (
        said.splitlines()[-1]
        == f"{PHOTOS} photos, {PHOTOS * 4 // 5} faces, {PHOTOS // 5} unreadable"
    )
    rows = rows_in(out)
    assert Counter(row["file"] for row in rows) == Counter(map(str, photos.iterdir()))
    assert sum("error" in row for row in rows) == PHOTOS // 5
    assert litter(out) == []

    # Started again, on workers of its own, it does what is missing and nothing else.
    missing = sorted(out.glob("part-*.jsonl"))[3]
    missing.unlink()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    again = command(project, model_folder, out, "--workers", "2")
    done = subprocess.run(again, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [f"{parts} parts, {parts - 1} of them done before", "4 photos, 3 faces, 1 unreadable"],
    )
    assert missing.is_file()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted(rows_in(out), key=lambda row: row["file"]) == rows


def test_without_a_scheduler_the_address_is_named(project, model_folder, photos, tmp_path):
    arguments = command(project, model_folder, tmp_path / "out", photos)
    environment = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s"}
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        done = subprocess.run(
            [*arguments, "--scheduler", address],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 1
        assert f"{address}: expected a Dask scheduler, found none" in done.stderr
