"""The benchmarks of training and of searches run, and print all their figures."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import speedrun

ROW = re.compile(
    r"^(\S.*?\S) {2,}(the baseline's|ours) +\d+ +\(\d+ to \d+\) +\d+\.\d\dx +\d+ +\d+%$", re.M
)


@pytest.fixture(scope="module")
def benchmark(faces, project, tmp_path_factory):
    """Run a benchmark on drawn faces with these arguments, and return its output."""
    folder = tmp_path_factory.mktemp("benchmark") / "faces"
    faces.save(folder)

    def run(script: str, *arguments: str) -> str:
        command = [sys.executable, project / "benchmarks" / script, "--faces", folder, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_training_is_timed_both_ways_on_each_network(benchmark):
    printed = benchmark("train.py", "--seconds", "0.5", "--rounds", "1")
    networks = ("baseline CNN, flipped", "Tang's, not augmented", "Tang's, augmented")
    ways = ("the baseline's", "ours")
    assert ROW.findall(printed) == [(network, way) for network in networks for way in ways]
    assert len(re.findall(r"^round 1: .* images/s$", printed, re.M)) == 6
    assert re.search(r"^matrix product +\d+ +100%", printed, re.M)
    assert re.search(
        r"^oneDNN: (on|off) in the baseline's way .*, (on|off) in ours$", printed, re.M
    )


@pytest.mark.slow
def test_the_profile_has_the_parts_of_a_step_and_the_layers(benchmark):
    printed = benchmark("train.py", "--profile", "tang-augmented", "--seconds", "0.5")
    for part in (
        "a step in all",
        "preparing a batch",
        "forward",
        "backward",
        "the optimizer",
        "Conv2D 5x5x32x64",
        "sum",
    ):
        assert re.search(rf"^ +{part}\b.* \d+\.\d\d ms", printed, re.M), part


@pytest.mark.slow
def test_searches_are_timed_with_one_worker_and_with_two(benchmark):
    printed = benchmark("tune.py", "--trials", "4")
    rounds = re.findall(r"^round 1: \d workers?: ([\d.]+) trials/min$", printed, re.M)
    one, two = map(float, rounds)
    assert min(one, two) > 0
    ratio = float(re.search(r"^1 worker .*: ([\d.]+)x \(\d+ cores\)$", printed, re.M)[1])
    assert ratio == pytest.approx(two / one, rel=0.02)


@pytest.mark.slow
def test_trainings_are_timed_side_by_side_and_one_after_another(benchmark):
    printed = benchmark(
        "side_by_side.py", "--seconds", "1", "--rounds", "1", "--recipes", "mini_xception"
    )
    row = re.search(
        r"^mini_xception +(\d+) +(\d+) +(\d+\.\d\d)  \S+ to \S+ +([\d.]+) +([\d.]+)$", printed, re.M
    )
    alone, at_once, ratio, memory, estimate = map(float, row.groups())
    assert ratio == pytest.approx(at_once / alone, rel=0.02)
    assert 0 < memory < 2 * estimate


@pytest.mark.slow
def test_the_speedrun_times_both_ways_to_the_same_accuracy(benchmark):
    printed = benchmark(
        "speedrun.py", "--seeds", "1", "3", "--epochs", "2", "--baseline-epochs", "1"
    )
    for name, epochs in (("ours, seed 1", 2), ("ours, seed 3", 2), ("baseline", 1)):
        shown = re.findall(rf"^{name}: epoch \d, [\d.]+ minutes, [\d.]+%$", printed, re.M)
        assert len(shown) == epochs
        assert re.search(rf"^{name} .* minutes to 63\.18%; \d epochs?: ", printed, re.M)


def test_a_large_parents_memory_is_not_counted():
    """`ru_maxrss` would be the parent's peak."""
    folder = Path(speedrun.__file__).parent
    code = "from peak_memory import peak_mb; print(peak_mb())"
    large = np.ones(300_000_000, np.uint8)  # bytes
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert 1 < float(child.stdout) < 100
    del large


def test_the_speedrun_reports_who_reached_the_accuracy():
    first, second = ([(1.0, 0.5), (2.0, 0.64), (3.0, 0.63)], [(1.0, 0.5), (2.5, 0.64)])
    theirs = [(10.0, 0.5), (20.0, 0.62)]
    epochs = {"ours, seed 1": first, "ours, seed 2": second, "baseline": theirs}
    used = {"ours, seed 1": 5.0, "ours, seed 2": 5.0, "baseline": 38.0}
    printed = speedrun.report(epochs, used)
    assert "2.0 minutes to 63.18%" in printed and "more than 20.0 minutes" in printed
    assert printed.endswith("ratio at least 8.0"), "of the slowest seed"
    printed = speedrun.report(epochs | {"baseline": [*theirs, (30.0, 0.6318)]}, used)
    assert printed.endswith("ratio 12.0")
    printed = speedrun.report(epochs | {"ours, seed 2": second[:1]}, used)
    assert "ratio" not in printed and "more than 1.0 minutes" in printed


@pytest.mark.slow
def test_teaching_is_compared_in_three_ways(project, faces, tmp_path):
    faces.without_private().save(tmp_path / "faces")
    command = [sys.executable, project / "benchmarks" / "teaching.py", "--epochs", "1"]
    command += ["--data", tmp_path / "faces", "--runs", tmp_path / "runs", "--seeds", "1", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    row = r"^\S.* [\d.]+% of PublicTest \([\d.]+%, [\d.]+%\)$"
    assert len(re.findall(row, done.stdout, re.M)) == 2 * 3
    difference = r"^taught on .* − .*: [+-][\d.]+ points \(95 % interval .*\)$"
    assert len(re.findall(difference, done.stdout, re.M)) == 2 * 3
    assert len(list((tmp_path / "runs").glob("*-seed*"))) == 6
