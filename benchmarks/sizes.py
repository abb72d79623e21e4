"""Time whole photos, from file to answer, at several sizes: this tree beside another one, or `fer`.

    python benchmarks/sizes.py OTHER --photo FILE [--yunet FILE] [--sizes 640 1280 3000 4600]
    python benchmarks/sizes.py --fer --photo FILE [--yunet FILE] [--sizes 640 1280 3000 4600]

The photo is saved as a JPEG of each longer side. Each measurement runs in a new process on one
thread. What is compared alternates, --rounds times.

OTHER is a folder with another version of the project, such as a clone of an earlier commit. One
call is not counted, and of the next --repeats calls the median is taken. Processor time is
measured, which other work on the machine affects less than time on the clock. The program prints
medians of the rounds in milliseconds, the median and the range of their ratios, and the peak memory
of the processes.

--fer compares with the package `fer` 25.10 and its Haar cascade, in the environment of
recognize.py, which is created if it is missing. The detector auto is YuNet where --yunet names its
file. The program prints medians of the rounds by the clock and of the processor. The ratios are
those of the same round: their geometric mean, and its 95 % t-interval.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import recognize
from PIL import Image
from scipy import stats

PROJECT = Path(__file__).resolve().parents[1]

MEASURE = """
import json, statistics, sys, time
import cv2
from fer_utils.recognition.detectors import make_detector
from fer_utils.recognition.recognizer import Recognizer
photo, yunet, repeats, benchmarks = json.loads(sys.argv[1])
sys.path.append(benchmarks)
from peak_memory import peak_mb
cv2.setNumThreads(1)
detector = make_detector("yunet", yunet) if yunet else make_detector("haar")
recognizer = Recognizer(detector=detector)
recognizer.recognize(photo)
times = []
for _ in range(repeats):
    started = time.process_time()
    faces = recognizer.recognize(photo)
    times.append(1e3 * (time.process_time() - started))
print(json.dumps([statistics.median(times), peak_mb(), len(faces)]))
"""


def measured(tree: Path, photo: Path, yunet: Path | None, repeats: int) -> tuple[float, float, int]:
    """Return milliseconds, megabytes and faces of one photo with the code of a tree."""
    benchmarks = str(PROJECT / "benchmarks")
    job = json.dumps([str(photo), str(yunet) if yunet else None, repeats, benchmarks])
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", MEASURE, job]
    # In its own folder, because Python prefers modules of the working folder.
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=photo.parent
    )
    if done.returncode:
        sys.exit(f"{tree}: the measurement failed:\n{done.stderr}")
    return tuple(json.loads(done.stdout))


def saved(photo: Path, sizes: list[int], folder: Path) -> dict[int, Path]:
    """Save the photo as a JPEG of each longer side. Returns the files."""
    files = {}
    with Image.open(photo) as original:
        whole = original.convert("RGB")
    for side in sizes:
        scale = side / max(whole.size)
        files[side] = folder / f"{side}.jpg"
        size = (round(scale * whole.width), round(scale * whole.height))
        whole.resize(size).save(files[side], quality=92)
    return files


def interval(ratios: list[float]) -> str:
    """The geometric mean of ratios and its 95 % t-interval as text; without it for a single one."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.mean(logs)
    text = f"{math.exp(mean):.2f}"
    if len(logs) > 1:
        error = statistics.stdev(logs) / math.sqrt(len(logs))
        reach = stats.t.ppf(0.975, len(logs) - 1) * error
        text += f" ({math.exp(mean - reach):.2f} to {math.exp(mean + reach):.2f})"
    return text


def compare_with_fer(
    python: Path, photo: Path, model: Path, yunet: Path | None, sizes: list[int], rounds: int
) -> str:
    """Return the table of this tree beside `fer`, which the Python at `python` has."""
    names = {"fer": "fer, Haar", "ours": "ours, Haar"}
    if yunet:
        names["ours, yunet"] = "ours, auto"
    job = {"threads": 1, "seconds": 1, "model": str(model), "yunet": yunet and str(yunet)}
    results: dict[str, list[dict]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        files = saved(photo, sizes, Path(folder))
        job["photos"] = [str(file) for file in files.values()]
        for number in range(rounds):
            for name in names if number % 2 == 0 else reversed(names):
                interpreter = python if name == "fer" else Path(sys.executable)
                measurement = recognize.measure_afresh(interpreter, job | {"contender": name})
                results[name].append(measurement)
    lines = [
        f"{'longer side':>11} {'':10} | {'clock, ms':>9} {'processor, ms':>13} | "
        f"{'times as fast by the clock':>26} {'of the processor':>23} | faces"
    ]
    for side, file in files.items():
        for name, shown in names.items():
            of_photo = {
                what: {each: [one[what][file.name] for one in results[each]] for each in names}
                for what in ("photos_ms", "photos_processor_ms")
            }
            medians, ratios = [], []
            for times in of_photo.values():
                medians.append(statistics.median(times[name]))
                pairs = zip(times["fer"], times[name], strict=True)
                ratios.append("" if name == "fer" else interval([a / b for a, b in pairs]))
            lines.append(
                f"{side:11} {shown:10} | {medians[0]:9.1f} {medians[1]:13.1f} | {ratios[0]:>26} "
                f"{ratios[1]:>23} | {results[name][0]['found'][file.name]}"
            )
    lines += [f"{shown}: {results[name][0]['versions']}" for name, shown in names.items()]
    return "\n".join(lines)


def compare(
    other: Path, photo: Path, yunet: Path | None, sizes: list[int], repeats: int, rounds: int
) -> str:
    """Return the table."""
    lines = [
        f"{'longer side':>11} {'detector':>8} | {'other, ms':>9} {'here, ms':>9} "
        f"{'times as fast':>21} | {'other, MB':>9} {'here, MB':>8} | faces"
    ]
    with tempfile.TemporaryDirectory() as folder:
        for side, file in saved(photo, sizes, Path(folder)).items():
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
                    f"{side:11} {name:>8} | {times[0]:9.2f} {times[1]:9.2f} {span:>21} | "
                    f"{peaks[0]:9.0f} {peaks[1]:8.0f} | {before[0][2]}, {now[0][2]}"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "other", type=Path, nargs="?", help="folder with another version of the project"
    )
    parser.add_argument("--fer", action="store_true", help="compare with the package fer instead")
    parser.add_argument(
        "--fer-env",
        type=Path,
        default=recognize.default_env(),
        help="fer's environment; default: %(default)s",
    )
    parser.add_argument("--photo", type=Path, required=True, help="a large photo with faces")
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; default: without YuNet")
    parser.add_argument("--sizes", type=int, nargs="+", default=[640, 1280, 3000, 4600])
    parser.add_argument("--repeats", type=int, default=5, help="timed calls; default: 5")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    given = parser.parse_args()
    if given.fer == (given.other is not None):
        parser.error("expected either the folder OTHER or --fer")
    yunet = given.yunet.resolve() if given.yunet else None
    python = recognize.ensure_fer(given.fer_env, mtcnn=False) if given.fer else None
    print(
        f"{recognize.processor()}; load {os.getloadavg()[0]:.1f} at the start; one thread each",
        flush=True,
    )
    if python:
        model = PROJECT / "fer_utils" / "pretrained"
        print(compare_with_fer(python, given.photo, model, yunet, given.sizes, given.rounds))
    else:
        other = given.other.resolve()
        print(compare(other, given.photo, yunet, given.sizes, given.repeats, given.rounds))
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
