"""Time the stages of the study on drawn faces: wall time and processor time.

    python benchmarks/study.py [REVISION ...]

Each revision is cloned to a temporary folder, and its stages run one after another with
`dvc repro --single-item`, as `make study` runs them in a fresh clone. The default is the present
commit. With two revisions the program also prints the ratios to the first. Both then use the
packages of the environment that runs this program.

Processor time is user plus system time of a stage's whole tree of processes. Processes that outlive
their parent are counted too, because this program adopts and awaits them (Linux only).
"""

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


def time_stages(clone: Path) -> dict[str, tuple[float, float]]:
    """Run the stages of a fresh clone. Returns wall and processor seconds of each."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone), "DVC_NO_ANALYTICS": "true"}
    stages = yaml.safe_load((clone / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    times = {}
    for stage in stages:
        wall, processor = time.monotonic(), _processor_seconds()
        command = ["dvc", "repro", "--single-item", stage]
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{stage} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        wall = time.monotonic() - wall
        _await_orphans()
        times[stage] = wall, _processor_seconds() - processor
        print(f"{stage:16}{wall:8.0f} s{times[stage][1]:8.0f} s of the processor", flush=True)
    return times


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _await_orphans() -> None:
    """Wait for adopted processes; only then does the system count their time."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main() -> None:
    """Time each revision, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revisions", nargs="*", default=["HEAD"])
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
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
