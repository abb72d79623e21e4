"""The benchmarks of the server's load and memory. Speeds are not tested."""

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_load_benchmark_prints_its_table(model_folder, project, processes):
    command = [
        sys.executable,
        project / "benchmarks/serve.py",
        "--model",
        model_folder,
        "--requests",
        "100",
        "--processes",
        processes,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{processes} processes, ")
    rows = re.findall(
        r"^ +(\d+) +(\d+) +[\d.]+ +([\d.]+) +([\d.]+) +([\d.]+) +(\d+) +(\d+)$",
        done.stdout,
        re.MULTILINE,
    )
    assert [(row[0], row[1]) for row in rows] == [("1", "20"), ("8", "40"), ("64", "40")]
    assert all(float(p50) <= float(p95) <= float(p99) for _, _, p50, p95, p99, *_ in rows)
    assert [row[6] for row in rows] == ["0"] * 3  # errors
    assert [row[5] for row in rows[:2]] == ["0"] * 2  # refusals: eight requests are admitted
    assert re.search(
        r"^resident memory: .* after 100 requests more, ratio \d\.\d+ ", done.stdout, re.MULTILINE
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory in /proc")
def test_the_largest_photos_take_the_memory_that_they_may(project):
    command = [sys.executable, project / "benchmarks/server_memory.py", "--requests", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"\d+ x (\d+)", done.stdout) == ["200"] * 3  # no refusals, no errors
    peaks = re.findall(r"at the peak \(\+(\d+)\)", done.stdout)
    assert len(peaks) == 3
    assert max(map(int, peaks)) < 400, done.stdout
    assert int(re.search(r"idle at the end: (\d+) MB", done.stdout)[1]) < 250
