"""The benchmarks of training and of searches: they run, and print all that they promise, whatever
the times are."""

import re
import subprocess
import sys

import pytest

ROW = re.compile(
    r"^(\S.*?\S) {2,}(the seed's|ours) +\d+ +\(\d+ to \d+\) +\d+\.\d\dx +\d+ +\d+%$", re.MULTILINE
)


@pytest.fixture(scope="module")
def benchmark(faces, project, tmp_path_factory):
    """Runs a benchmark on drawn faces with these arguments; gives what it printed."""
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
    networks = ("seed's CNN, mirrored", "Tang's, not augmented", "Tang's, augmented")
    assert ROW.findall(printed) == [
        (network, way) for network in networks for way in ("the seed's", "ours")
    ]
    assert len(re.findall(r"^round 1: .* images/s$", printed, re.MULTILINE)) == 6
    assert re.search(r"^matrix product +\d+ +100%", printed, re.MULTILINE)
    assert re.search(
        r"^oneDNN: (on|off) in the seed's way .*, (on|off) in ours$", printed, re.MULTILINE
    )
    assert len(re.findall(r"(met|missed)$", printed, re.MULTILINE)) == 4


@pytest.mark.slow
def test_the_profile_has_a_step_s_parts_and_the_layers(benchmark):
    printed = benchmark("train.py", "--profile", "tang-augmented", "--seconds", "0.5")
    for part in (
        "a step in all",
        "preparing a batch",
        "forward",
        "backward",
        "the optimiser",
        "Conv2D 5x5x32x64",
        "sum",
    ):
        assert re.search(rf"^ +{part}\b.* \d+\.\d\d ms", printed, re.MULTILINE), part


@pytest.mark.slow
def test_searches_are_timed_with_one_worker_and_with_two(benchmark):
    said = benchmark("tune.py", "--trials", "4")
    rates = [
        float(rate)
        for rate in re.findall(r"^round 1: \d workers?: ([\d.]+) trials/min$", said, re.M)
    ]
    assert len(rates) == 2 and min(rates) > 0
    ratio = float(re.search(r"^1 worker .*: ([\d.]+)x \(\d+ cores\)$", said, re.M)[1])
    assert ratio == pytest.approx(rates[1] / rates[0], rel=0.02)
