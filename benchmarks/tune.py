"""Time a search with one worker and with two, each with one core and one thread.

    python benchmarks/tune.py [--faces data/prepared] [--trials 12] [--rounds 1]

A chief and its workers run as `fer-study tune` starts them: in processes of their own, over the
loopback, each worker with its own run store. A worker that used all cores would leave none for a
second worker on the same machine. Each worker therefore has one thread, and one core if the system
allows the choice.

Trials per minute are counted from the end of a worker's first trial to the end of its last. The
first trial is left out, because it includes the start and the import of TensorFlow. The rates of
two workers are added. A trial includes compiling its network, as in any search. With `--rounds` the
two searches alternate, and the program prints medians.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fer_utils.data.sample import draw_sample


def search(folder: Path, faces: Path, trials: int, workers: int) -> float:
    """Run a search. Returns the trials per minute of all its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        *(sys.executable, "-m", "fer_utils.cli", "tune", "baseline_cnn", "--data", str(faces)),
        *("--set", "width=0.1", "--set", "batch_norm_momentum=0.5", "--set", "epochs=3"),
        *("--search", "dropout=0.1..0.5", "--search", "learning_rate=1e-4..1e-2"),
        *("--oracle", "random", "--trials", str(trials)),
    ]
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", **dict.fromkeys(threads, "1")}
    with (folder / "log").open("w") as log:
        given = {"stdout": log, "stderr": subprocess.STDOUT, "env": environment}
        chief = subprocess.Popen(
            [*command, "--chief", address, "--out", str(folder / "out")], **given
        )
        started = []
        for number in range(workers):
            store = folder / f"runs-{number}"
            process = subprocess.Popen(
                [*command, "--worker", address, "--id", str(number), "--runs", str(store)], **given
            )
            if hasattr(os, "sched_setaffinity"):
                cores = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(process.pid, {cores[number % len(cores)]})
            started.append(process)
        if any([process.wait() for process in (*started, chief)]):
            sys.exit((folder / "log").read_text()[-2000:])
    return 60 * sum(_rate(folder / f"runs-{number}") for number in range(workers))


def _rate(store: Path) -> float:
    """Trials per second of one worker, without its first trial."""
    ends = sorted(run.stat().st_mtime for run in store.glob("*/run.json"))
    return (len(ends) - 1) / (ends[-1] - ends[0]) if len(ends) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, help="prepared faces; default: 420 drawn faces")
    parser.add_argument("--trials", type=int, default=12, help="trials per search; default: 12")
    parser.add_argument("--rounds", type=int, default=1, help="rounds; default: 1")
    given = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as scratch:
        faces = given.faces or Path(scratch) / "faces"
        if not given.faces:
            draw_sample(420, seed=0).save(faces)
        for number in range(given.rounds):
            for workers, measured in rates.items():
                folder = Path(scratch) / f"round-{number}-{workers}"
                folder.mkdir()
                measured.append(search(folder, faces, given.trials, workers))
                print(
                    f"round {number + 1}: {workers} worker{'s' * (workers > 1)}: "
                    f"{measured[-1]:.1f} trials/min"
                )
    one, two = (statistics.median(measured) for measured in rates.values())
    print(
        f"1 worker {one:.1f} trials/min, 2 workers {two:.1f} trials/min: {two / one:.2f}x "
        f"({os.cpu_count()} cores)"
    )


if __name__ == "__main__":
    main()
