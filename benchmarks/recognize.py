"""Time recognition against what people use now: the `fer` package, Keras's predict, and a compiled
Keras model.

    python benchmarks/recognize.py --photos FOLDER [--model FOLDER] [--rounds 3] [--threads 1]
    [--mtcnn]

FOLDER holds photos and faces.csv (columns file and faces). All contenders see the same photos in
one run. `fer` 25.10 gets an environment of its own in --fer-env, made at the first run (a gigabyte;
with --mtcnn several) and used again.

Each measurement runs in a fresh process, so that import time and peak memory are its own; the
contenders take turns, in the other order every second round, so that what else the machine does
falls on all. Every library is held to --threads threads. A face is classified by each contender's
own call on a ready crop; a photo starts from its file and ends with its faces' emotions, and its
time is the median of several. Printed are medians over the rounds with smallest and largest, and
ratios to named baselines, each of measurements of the same round; photos are compared by the sum of
their times. Where a contender finds more or fewer faces than are there, a photo's time is of that
work: see the last column.

The machine's load is printed; numbers taken beside other work say little.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

# Only the standard library here: a child's peak memory is counted from its parent's on.
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent

FER = "fer==25.10.*"
# What it imports, by hand: with pip's own choice it comes with a PyTorch of gigabytes that only
# MTCNN needs.
FER_NEEDS = (
    "tensorflow>=2.19",
    "opencv-contrib-python<5",  # OpenCV 5 has no Haar cascades, which fer does not say
    "matplotlib",
    "pandas",
    "requests",
    "tqdm",
    "moviepy<2",
    "ffmpeg-python",
    "Pillow",
)
# facenet-pytorch asks for a PyTorch below 2.3 and NumPy below 2, and works with later ones.
MTCNN = "facenet-pytorch==2.6.0"
MTCNN_NEEDS = ("torch", "torchvision")
# Last, since PyTorch brings a later one: fer imports pkg_resources, which setuptools 81 and later
# lack.
FER_SETUPTOOLS = "setuptools<81"

MAIN = ("fer", "Model.predict", "compiled Keras", "ours")
AIMS = (
    # what, contender, baseline, ratio at least
    ("face_ms", "ours", "Model.predict", 10.0),
    ("face_ms", "ours", "compiled Keras", 1.0),
    ("photos_ms", "ours", "fer", 2.0),
)
IMPORT_AIM = 1.0
WORDS = {"face_ms": "one face classified", "photos_ms": "all photos"}


# --- fer's environment ---


def default_env() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        cache / "fer-study" / f"fer-25.10-python{sys.version_info.major}.{sys.version_info.minor}"
    )


def env_python(env: Path) -> Path:
    return env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(env: Path, mtcnn: bool) -> bool:
    """Whether fer 25.10 can be imported there, and MTCNN where it is asked for."""
    python = env_python(env)
    if not python.is_file():
        return False
    code = "import facenet_pytorch; " if mtcnn else ""  # before TensorFlow: see contenders.py
    code += "import importlib.metadata as m; assert m.version('fer').startswith('25.10.'); "
    code += "import fer.fer"
    return subprocess.run([python, "-c", code], capture_output=True, env=quiet(1)).returncode == 0


def installs(mtcnn: bool) -> list[list[str]]:
    """Arguments of the pip commands that make fer's environment, in their order."""
    commands = [[*FER_NEEDS], ["--no-deps", FER]]
    if mtcnn:
        commands += [[*MTCNN_NEEDS], ["--no-deps", MTCNN]]
    return [*commands, [FER_SETUPTOOLS]]


def ensure_fer(env: Path, mtcnn: bool) -> Path:
    """The Python of an environment in which fer works, made where it is not there."""
    if works(env, mtcnn):
        return env_python(env)
    print(f"installing fer 25.10 into {env}", flush=True)
    if not env_python(env).is_file():
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
    for arguments in installs(mtcnn):
        subprocess.run([env_python(env), "-m", "pip", "install", "--quiet", *arguments], check=True)
    if not works(env, mtcnn):
        sys.exit(
            f"{env}: expected an environment in which fer 25.10 works, found none. Remove it and "
            "try again."
        )
    return env_python(env)


# --- one measurement ---


def quiet(threads: int) -> dict[str, str]:
    """The environment of a measurement: every library held to so many threads."""
    held = {
        name: str(threads)
        for name in (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
        )
    }
    return (
        os.environ
        | held
        | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    )


def measure_afresh(python: Path, job: dict) -> dict:
    own = quiet(job["threads"])
    if not job["contender"].startswith("fer"):
        own["PYTHONPATH"] = os.pathsep.join(
            [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
    command = [python, HERE / "contenders.py", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env=own, timeout=900)
    if done.returncode:
        sys.exit(f"{job['contender']} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


# --- the comparison ---


def read_counts(folder: Path) -> dict[str, int]:
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as table:
        return {row["file"]: int(row["faces"]) for row in csv.DictReader(table)}


def total(measured: dict, what: str) -> float:
    """One number of a measurement; of the photos, their sum."""
    return sum(measured[what].values()) if what == "photos_ms" else measured[what]


def ratios(results: dict[str, list[dict]], what: str, contender: str, baseline: str) -> list[float]:
    """How many times faster than the baseline, round by round."""
    pairs = zip(results[contender], results[baseline], strict=True)
    return [total(other, what) / total(one, what) for one, other in pairs]


def span(numbers: list[float], digits: int) -> str:
    middle, low, high = statistics.median(numbers), min(numbers), max(numbers)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def faces_found(found: dict[str, int], counts: dict[str, int]) -> str:
    """By count, against what faces.csv says: found, missed and false."""
    missed = sum(max(0, counts[name] - number) for name, number in found.items())
    false = sum(max(0, number - counts[name]) for name, number in found.items())
    return f"{sum(min(counts[name], number) for name, number in found.items())}, {missed}, {false}"


def report(results: dict[str, list[dict]], counts: dict[str, int]) -> str:
    """Table, ratios and aims. `results` has a measurement a round for each contender."""
    lines = [
        f"{'':15} {'one face, ms':>24} {'a photo, ms':>24} {'import, s':>20} {'then ready, s':>20} "
        f"{'peak, MB':>9}  faces found, missed, false"
    ]
    for name, rounds in results.items():
        has_photos = bool(rounds[0]["photos_ms"])
        photo = (
            [total(one, "photos_ms") / len(one["photos_ms"]) for one in rounds]
            if has_photos
            else []
        )
        lines.append(
            f"{name:15} {span([one['face_ms'] for one in rounds], 3):>24} "
            f"{span(photo, 1) if photo else '-':>24} "
            f"{span([one['import_s'] for one in rounds], 2):>20} "
            f"{span([one['prepare_s'] for one in rounds], 2):>20} "
            f"{statistics.median(one['peak_mb'] for one in rounds):9.0f}  "
            f"{faces_found(rounds[0]['found'], counts) if photo else '-'}"
        )
    lines += ["", "times faster, median of the rounds (smallest to largest)"]
    for what in WORDS:
        ours = [name for name in results if name.startswith("ours") and results[name][0][what]]
        others = [
            name for name in results if not name.startswith("ours") and results[name][0][what]
        ]
        for one in ours:
            for other in others:
                lines.append(
                    f"  {WORDS[what]:20} {one:12} than {other:15} "
                    f"{span(ratios(results, what, one, other), 2)}"
                )
    by_photo = {
        name: statistics.median(
            other["photos_ms"][name] / one["photos_ms"][name]
            for one, other in zip(results["ours"], results["fer"], strict=True)
        )
        for name in results["ours"][0]["photos_ms"]
    }
    lines.append(
        "  photo by photo, ours than fer: " + ", ".join(f"{n} {r:.1f}" for n, r in by_photo.items())
    )
    lines += ["", "aims"]
    for what, contender, baseline, least in AIMS:
        reached = statistics.median(ratios(results, what, contender, baseline))
        aim = f"{WORDS[what]}: at least {least:g} times as fast as {baseline}"
        lines.append(f"  {aim:62} {reached:8.2f}  {'met' if reached >= least else 'missed'}")
    took = statistics.median(one["import_s"] for one in results["ours"])
    aim = f"import: under {IMPORT_AIM:g} s"
    lines.append(f"  {aim:62} {took:8.2f}  {'met' if took < IMPORT_AIM else 'missed'}")
    return "\n".join(lines)


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def compare(given: argparse.Namespace) -> str:
    counts = read_counts(given.photos)
    fer_python = ensure_fer(given.fer_env, given.mtcnn)
    names = [
        *MAIN,
        *(["fer, mtcnn"] if given.mtcnn else []),
        *(["ours, yunet"] if given.yunet else []),
    ]
    job = {
        "threads": given.threads,
        "seconds": given.seconds,
        "photos": [str((given.photos / name).resolve()) for name in counts],
        "model": str(given.model.resolve()),
        "yunet": str(given.yunet.resolve()) if given.yunet else None,
    }
    print(
        f"{processor()}; load {os.getloadavg()[0]:.1f} at the start; {given.threads} thread(s) each"
    )
    results = {name: [] for name in names}
    for number in range(given.rounds):
        for name in names if number % 2 == 0 else reversed(names):
            python = fer_python if name.startswith("fer") else Path(sys.executable)
            results[name].append(measure_afresh(python, job | {"contender": name}))
        print(f"round {number + 1} of {given.rounds}; load {os.getloadavg()[0]:.1f}", flush=True)
    for name, rounds in results.items():
        print(f"{name}: {rounds[0]['versions']}")
    return "\n" + report(results, counts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with photos and faces.csv"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=PROJECT / "fer_utils" / "pretrained",
        help="folder of an exported model (default: the released one)",
    )
    parser.add_argument(
        "--fer-env",
        type=Path,
        default=default_env(),
        help="fer's environment (default: %(default)s)",
    )
    parser.add_argument(
        "--mtcnn", action="store_true", help="fer with MTCNN too, which needs PyTorch"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file: ours with YuNet too")
    parser.add_argument("--threads", type=int, default=1, help="of every library (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of all contenders (default: 3)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=3,
        help="of calls for the face; a fifth a photo (default: 3)",
    )
    print(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
