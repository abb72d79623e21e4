"""Time the audits on 1, 2, 5 and 10 times as many images.

    python benchmarks/audit.py [--faces FOLDER] [--sizes 1 2 5 10] [--limit SECONDS]

FOLDER contains prepared faces; the default is 3,500 drawn faces. A larger set consists of the same
images, changed in up to 16 ways: rotated by quarter turns, then also inverted, then also shifted
cyclically by half the width. An image and its changed versions are neither duplicates nor
near-duplicates. The duplicates within each copy of the set remain. The statistics of photos remain
too, and the number of compared pairs depends on them. Each size runs in a new process, so that its
peak memory is its own.

The program prints for each audit and size the CPU seconds of all threads, their ratio to the
smallest size, and the exponent of the growth: 1 is linear, 2 is quadratic. The baseline `all pairs`
compares the coarsest frequencies of every image with those of all others, as a matrix product in
blocks. It replaces the search trees of the near-duplicates' first step. The baseline is left out at
sizes for which its expected time is above --limit.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peak_memory import peak_mb

from fer_utils.audits import near_duplicates
from fer_utils.audits.duplicates import (
    copied,
    copy_groups,
    duplicates_by_usage,
    leaked,
    leaked_same_label,
)
from fer_utils.audits.pictures import brightness, contrast, near_constant, sharpness
from fer_utils.data.faces import Faces, load_faces
from fer_utils.emotions import PRIVATE, SIDE

SIZES = (1, 2, 5, 10)
MOST = 16
BASELINE = "all pairs"


def grown(faces: Faces, times: int) -> Faces:
    """The faces and `times` - 1 changed copies of them, as the module's docstring describes."""
    if not 1 <= times <= MOST:
        sys.exit(f"sizes: expected 1 to {MOST} times as many, found {times}.")
    images = np.empty((times, *faces.images.shape), np.uint8)
    for number, changed in enumerate(images):
        changed[:] = np.rot90(faces.images, number % 4, axes=(1, 2))
        if number // 4 % 2:
            np.subtract(255, changed, out=changed)
        if number >= 8:
            changed[:] = np.roll(changed, SIDE // 2, axis=2)
    return Faces(
        images=images.reshape(-1, SIDE, SIDE),
        emotion=np.tile(faces.emotion, times),
        usage=np.tile(faces.usage, times),
        row=np.arange(len(faces) * times),
        source=faces.source,
    )


def all_pairs(faces: Faces) -> int:
    """Count the pairs whose coarsest frequencies agree, plain or flipped, by comparing all."""
    from threadpoolctl import threadpool_limits

    spectra = near_duplicates._spectra(faces.images, np.flatnonzero(~near_constant(faces)))
    even, odd = near_duplicates._parts(
        spectra[:, : near_duplicates.COARSE, : near_duplicates.COARSE]
    )
    found, block = 0, near_duplicates.LEAF
    with threadpool_limits(1, "blas"):
        for start in range(0, len(even), block):
            for other in range(start, len(even), block):
                some, others = slice(start, start + block), slice(other, other + block)
                agreement = even[some] @ even[others].T + np.abs(odd[some] @ odd[others].T)
                found += int((agreement > near_duplicates.COARSE_SIMILAR).sum())
    return found


AUDITS: dict[str, Callable[[Faces], object]] = {
    "exact duplicates": lambda faces: (
        copy_groups(faces),
        copied(faces),
        duplicates_by_usage(faces),
    ),
    "leaks": lambda faces: (leaked(faces, PRIVATE), leaked_same_label(faces, PRIVATE)),
    "near-duplicates": near_duplicates.near_duplicates,
    "light and sharpness": lambda faces: (brightness(faces), contrast(faces), sharpness(faces)),
    BASELINE: all_pairs,
}


def measure(folder: Path, times: int, names: list[str]) -> dict:
    """Run audits once in this process. Returns seconds and peak memory so far, by name."""
    faces = grown(load_faces(folder), times)
    measured = {"images": len(faces), "before_mb": peak_mb(), "seconds": {}, "peak_mb": {}}
    for name in names:
        start = time.process_time()
        AUDITS[name](faces)
        measured["seconds"][name] = time.process_time() - start
        measured["peak_mb"][name] = peak_mb()
    return measured


def measure_afresh(folder: Path, times: int, names: list[str]) -> dict:
    """Call `measure` in a new process."""
    command = [sys.executable, __file__, "--faces", str(folder), "--one", str(times), *names]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{times} times as many images: status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def exponent(first: dict, later: dict, name: str) -> float:
    """The power of the number of images with which an audit's seconds grow."""
    return math.log(later["seconds"][name] / first["seconds"][name]) / math.log(
        later["images"] / first["images"]
    )


def report(results: list[dict]) -> str:
    """The table, with one row per audit and size."""
    lines = [f"{'audit':20} {'images':>9} {'CPU s':>9} {'ratio':>8} {'exponent':>9}"]
    first = results[0]
    for name in AUDITS:
        for each in results:
            if name not in each["seconds"]:
                continue
            seconds = each["seconds"][name]
            ratio = seconds / first["seconds"][name]
            power = "-"
            if each["images"] > first["images"]:
                power = f"{exponent(first, each, name):.2f}"
            lines.append(f"{name:20} {each['images']:9,} {seconds:9.2f} {ratio:8.1f} {power:>9}")
    for each in results:
        most = max(each["peak_mb"].values())
        lines.append(
            f"{each['images']:,} images: {each['images'] * SIDE * SIDE / 1e6:,.0f} MB of pixels, "
            f"peak {each['before_mb']:,.0f} MB before the audits, {most:,.0f} MB with them"
        )
    return "\n".join(lines)


def compare(folder: Path, sizes: list[int], limit: float) -> None:
    results: list[dict] = []
    for times in sorted(sizes):
        names = list(AUDITS)
        if results:
            expected = results[0]["seconds"][BASELINE] * (times / min(sizes)) ** 2
            if expected > limit:
                names.remove(BASELINE)
                print(
                    f"{BASELINE} at {times} times as many: about {expected:.0f} s, left out",
                    flush=True,
                )
        results.append(measure_afresh(folder, times, names))
        seconds = ", ".join(f"{name} {took:.2f} s" for name, took in results[-1]["seconds"].items())
        print(f"{results[-1]['images']:,} images: {seconds}", flush=True)
    print(report(results))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, help="prepared faces; default: 3,500 drawn faces")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="1 to 16; default: 1 2 5 10"
    )
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds of the baseline; default: 60"
    )
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        times, *names = given.one
        print(json.dumps(measure(given.faces, int(times), names)))
    elif given.faces:
        compare(given.faces, given.sizes, given.limit)
    else:
        from fer_utils.data.sample import draw_sample

        with tempfile.TemporaryDirectory() as folder:
            draw_sample(3500).save(Path(folder) / "faces")
            compare(Path(folder) / "faces", given.sizes, given.limit)


if __name__ == "__main__":
    main()
