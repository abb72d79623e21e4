"""Time the study on drawn faces by stage: wall time and processor time.

    python benchmarks/study.py [REVISION ...]

Each revision is cloned to a temporary folder, where `fer-study study` runs as `make study` calls it
in a fresh clone. The default is the present commit. With two revisions the program also prints the
ratios to the first. Both use the packages of the environment that runs this program.

Processor time is that of the whole machine, user plus system, because processes that start warm
are no children of their stage. Run nothing else meanwhile. The time before the first stage is
listed as "start".
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parent.parent


def time_stages(clone: Path) -> dict[str, tuple[float, float]]:
    """Run the study in a fresh clone. Returns wall and processor seconds of each stage."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone), "DVC_NO_ANALYTICS": "true"}
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "fer_utils.cli", "study"],
        cwd=clone,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    marks = [("start", time.monotonic(), _processor_seconds())]
    assert process.stdout is not None
    for line in process.stdout:
        if stage := re.match(r"Running stage '(\w+)'", line):
            marks.append((stage[1], time.monotonic(), _processor_seconds()))
    if process.wait():
        sys.exit(f"The study ended with status {process.returncode}.")
    marks.append(("", time.monotonic(), _processor_seconds()))
    times = {}
    for (stage, wall, used), (_, next_wall, next_used) in itertools.pairwise(marks):
        times[stage] = next_wall - wall, next_used - used
        print(f"{stage:16}{times[stage][0]:8.0f} s{times[stage][1]:8.0f} s of the processor")
    return times


def _processor_seconds() -> float:
    used = psutil.cpu_times()
    return used.user + used.nice + used.system


def main() -> None:
    """Time each revision, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revisions", nargs="*", default=["HEAD"])
    given = parser.parse_args()
    times = []
    for revision in given.revisions:
        print(f"{revision}:")
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "clone"
            subprocess.run(["git", "clone", "--quiet", PROJECT, clone], check=True)
            subprocess.run(["git", "checkout", "--quiet", revision], cwd=clone, check=True)
            times.append(time_stages(clone))
    print("\n" + f"{'stage':16}" + "".join(f"{name[:10]:>22}" for name in given.revisions))
    print(" " * 16 + "     wall, s  processor" * len(times))
    for stage in times[0]:
        cells = [of_one.get(stage, (0.0, 0.0)) for of_one in times]
        print(f"{stage:16}" + "".join(f"{wall:12.0f}{used:10.0f}" for wall, used in cells))
    sums = [[sum(column) for column in zip(*one.values(), strict=True)] for one in times]
    print(f"{'all':16}" + "".join(f"{wall:12.0f}{used:10.0f}" for wall, used in sums))
    for name, (wall, used) in list(zip(given.revisions, sums, strict=True))[1:]:
        first_wall, first_used = sums[0]
        print(
            f"{name} takes {wall / first_wall:.2f} times the wall time and "
            f"{used / first_used:.2f} times the processor time of {given.revisions[0]}."
        )


if __name__ == "__main__":
    main()
