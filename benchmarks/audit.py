"""Time the audits on as many images as there are, and on 2, 5 and 10 times as many.

    python benchmarks/audit.py [--faces FOLDER] [--sizes 1 2 5 10] [--limit SECONDS]

FOLDER holds prepared faces; without it 3,500 are drawn. Larger sets are the images again, each time
changed otherwise: turned by quarters, then turned and made negatives, then these wound round by
half the width. So an image of one set neither equals nor resembles its own in another, copies
within a set stay copies, near ones too, and all sets keep a photo's statistics, on which the number
of pairs to be looked at depends. The audits run in a fresh process for each size, so that its peak
memory is its own.

Prints for each audit and size the processor's seconds (of all threads, so that what else the
machine does falls out), the ratio to those of the first size, and the exponent: 1 where time grows
as the number of images, 2 where it grows as its square. The comparison is `all pairs`, one matrix
product of every image's coarsest frequencies with all others', in
blocks: the first step of near copies without trees. It is left out for the sizes at which it would
take longer than --limit, by its own growth.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

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
    """The faces, and `times` - 1 further sets of them (of 15 that there are), changed as the
    module says."""
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
    """How many pairs agree in their coarsest frequencies, plain or flipped, by comparing all."""
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
    "exact copies": lambda faces: (copy_groups(faces), copied(faces), duplicates_by_usage(faces)),
    "leaks": lambda faces: (leaked(faces, PRIVATE), leaked_same_label(faces, PRIVATE)),
    "near copies": near_duplicates.near_duplicates,
    "light and sharpness": lambda faces: (brightness(faces), contrast(faces), sharpness(faces)),
    BASELINE: all_pairs,
}


def peak_mb() -> float:
    """Peak memory of this process, MB."""
    # Linux counts in KiB, macOS in bytes.
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e6
    )


def measure(folder: Path, times: int, names: list[str]) -> dict:
    """Run audits once, in this process: seconds and peak memory so far, by name."""
    faces = grown(load_faces(folder), times)
    found = {"images": len(faces), "before_mb": peak_mb(), "seconds": {}, "peak_mb": {}}
    for name in names:
        start = time.process_time()
        AUDITS[name](faces)
        found["seconds"][name] = time.process_time() - start
        found["peak_mb"][name] = peak_mb()
    return found


def measure_afresh(folder: Path, times: int, names: list[str]) -> dict:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--faces", str(folder), "--one", str(times), *names]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{times} times as many images: ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def exponent(first: dict, later: dict, name: str) -> float:
    """The power of the number of images that an audit's seconds grew with."""
    return math.log(later["seconds"][name] / first["seconds"][name]) / math.log(
        later["images"] / first["images"]
    )


def report(results: list[dict]) -> str:
    """The table: a row an audit and size, audits in turn."""
    lines = [f"{'audit':20} {'images':>9} {'CPU s':>9} {'ratio':>8} {'exponent':>9}"]
    for name in AUDITS:
        first = results[0]
        for each in results:
            if name not in each["seconds"]:
                continue
            ratio = each["seconds"][name] / first["seconds"][name]
            power = (
                f"{exponent(first, each, name):9.2f}"
                if each["images"] > first["images"]
                else f"{'-':>9}"
            )
            lines.append(
                f"{name:20} {each['images']:9,} {each['seconds'][name]:9.2f} {ratio:8.1f} {power}"
            )
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
    parser.add_argument(
        "--faces", type=Path, help="folder of prepared faces (default: 3,500 drawn ones)"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=list(SIZES), help="1 to 16; default: 1 2 5 10"
    )
    parser.add_argument(
        "--limit", type=float, default=60, help="seconds for all pairs (default: 60)"
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
