"""Time whole photos, from file to answer, at several sizes: this tree beside another one.

    python benchmarks/sizes.py OTHER --photo FILE [--yunet FILE] [--sizes 640 1280 3000 4600]

OTHER is a folder with another version of the project, such as a clone of an earlier commit. The
photo is saved as a JPEG of each longer side. Each measurement runs in a new process on one thread:
one call that is not counted, then --repeats calls, of which the median is taken. The trees
alternate, --rounds times. Processor time is measured, which other work on the machine affects less
than time on the clock. The program prints medians of the rounds in milliseconds, the median and the
range of their ratios, and the peak memory of the processes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]

MEASURE = """
import json, resource, statistics, sys, time
import cv2
from fer_utils.recognition.detectors import make_detector
from fer_utils.recognition.recognizer import Recognizer
photo, yunet, repeats = json.loads(sys.argv[1])
cv2.setNumThreads(1)
detector = make_detector("yunet", yunet) if yunet else make_detector("haar")
recognizer = Recognizer(detector=detector)
recognizer.recognize(photo)
times = []
for _ in range(repeats):
    started = time.process_time()
    faces = recognizer.recognize(photo)
    times.append(1e3 * (time.process_time() - started))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([statistics.median(times), peak, len(faces)]))
"""


def measured(tree: Path, photo: Path, yunet: Path | None, repeats: int) -> tuple[float, float, int]:
    """Return milliseconds, megabytes and faces of one photo with the code of a tree."""
    job = json.dumps([str(photo), str(yunet) if yunet else None, repeats])
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", MEASURE, job]
    # In its own folder, because Python prefers modules of the working folder.
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=photo.parent
    )
    if done.returncode:
        sys.exit(f"{tree}: the measurement failed:\n{done.stderr}")
    return tuple(json.loads(done.stdout))


def compare(
    other: Path, photo: Path, yunet: Path | None, sizes: list[int], repeats: int, rounds: int
) -> str:
    """Return the table."""
    lines = [
        f"{'longer side':>11} {'detector':>8} | {'other, ms':>9} {'here, ms':>9} "
        f"{'times as fast':>21} | {'other, MB':>9} {'here, MB':>8} | faces"
    ]
    with tempfile.TemporaryDirectory() as folder, Image.open(photo) as original:
        for side in sizes:
            scale = side / max(original.size)
            file = Path(folder) / f"{side}.jpg"
            size = (round(scale * original.width), round(scale * original.height))
            original.convert("RGB").resize(size).save(file, quality=92)
            for name, model in (("haar", None), ("yunet", yunet)):
                if name == "yunet" and not model:
                    continue
                results = {other: [], PROJECT: []}
                for number in range(rounds):
                    for tree in (other, PROJECT) if number % 2 == 0 else (PROJECT, other):
                        results[tree].append(measured(tree, file, model, repeats))
                before, now = results[other], results[PROJECT]
                ratios = [one[0] / two[0] for one, two in zip(before, now, strict=True)]
                span = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                times = [statistics.median(each[0] for each in tree) for tree in (before, now)]
                peaks = [statistics.median(each[1] for each in tree) for tree in (before, now)]
                lines.append(
                    f"{side:11} {name:>8} | {times[0]:9.1f} {times[1]:9.1f} {span:>21} | "
                    f"{peaks[0]:9.0f} {peaks[1]:8.0f} | {before[0][2]}, {now[0][2]}"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, help="folder with another version of the project")
    parser.add_argument("--photo", type=Path, required=True, help="a large photo with faces")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[640, 1280, 3000, 4600])
    parser.add_argument("--repeats", type=int, default=5, help="timed calls; default: 5")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    given = parser.parse_args()
    yunet = given.yunet.resolve() if given.yunet else None
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; one thread each")
    other = given.other.resolve()
    print(compare(other, given.photo, yunet, given.sizes, given.repeats, given.rounds))


if __name__ == "__main__":
    main()
