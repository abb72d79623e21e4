"""Time the study's reader of Kaggle's CSV against the loop that tutorials use.

    python benchmarks/read_csv.py fer2013.csv.gz [--repeats 3]

PATH is the CSV or its .csv.gz. The other one of the two is made in a temporary folder. Each reading
runs in a new process, so that its peak memory is its own. The readers alternate, so that other work
on the machine affects both. The program prints seconds, the ratio of the medians, peak memory, and
whether all pixels are equal.
"""

import argparse
import gzip
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from peak_memory import peak_mb


def slow_loop(path: Path) -> np.ndarray:
    """Read uint8 (n, 48, 48) by splitting each row's text."""
    table = pd.read_csv(path)
    images = [np.array(pixels.split(), dtype=np.uint8) for pixels in table["pixels"]]
    return np.stack(images).reshape(-1, 48, 48)


def study_reader(path: Path) -> np.ndarray:
    from fer_utils.data.sources import read

    return read("csv", path).images


READERS = {"slow loop": slow_loop, "fer_utils": study_reader}


def measure(reader: str, path: Path) -> dict:
    """Read once in this process."""
    start = time.perf_counter()
    images = READERS[reader](path)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak_mb": peak_mb(),
        "sha256": hashlib.sha256(np.ascontiguousarray(images)).hexdigest(),
    }


def measure_afresh(reader: str, path: Path) -> dict:
    """Call `measure` in a new process."""
    command = [sys.executable, __file__, str(path), "--one", reader]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def both_packings(path: Path, folder: Path) -> tuple[Path, Path]:
    """The CSV and its .csv.gz; one is `path`, and the other one is made in `folder`."""
    if path.name.endswith(".gz"):
        plain, packed = folder / "fer2013.csv", path
        with gzip.open(packed) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    else:
        plain, packed = path, folder / "fer2013.csv.gz"
        with plain.open("rb") as source, gzip.open(packed, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    return plain, packed


def compare(path: Path, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = both_packings(path, Path(folder))
        runs = (("slow loop", plain), ("fer_utils", plain), ("fer_utils", packed))
        results = {run: [] for run in runs}
        for _ in range(repeats):
            for run in runs:
                results[run].append(measure_afresh(*run))
    medians = {}
    for (reader, file), measured in results.items():
        seconds = sorted(one["seconds"] for one in measured)
        median = medians[reader, file] = statistics.median(seconds)
        peak = max(one["peak_mb"] for one in measured)
        print(
            f"{reader:10} {''.join(file.suffixes):8} median {median:6.2f} s"
            f"  ({seconds[0]:.2f} to {seconds[-1]:.2f})  peak {peak:5.0f} MB"
        )
    print(f"ratio of medians, unpacked CSV: {medians[runs[0]] / medians[runs[1]]:.1f}")
    hashes = {one["sha256"] for measured in results.values() for one in measured}
    print("pixels: equal in all readings" if len(hashes) == 1 else "pixels: DIFFERENT")
    if len(hashes) != 1:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="fer2013.csv or fer2013.csv.gz")
    parser.add_argument("--repeats", type=int, default=3, help="readings per reader; default: 3")
    parser.add_argument("--one", choices=READERS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.path)))
    else:
        compare(given.path, given.repeats)


if __name__ == "__main__":
    main()
