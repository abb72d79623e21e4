"""Time recognition against the `fer` package, `keras.Model.predict` and a compiled Keras model.

    python benchmarks/recognize.py --photos FOLDER [--model FOLDER] [--rounds 3] [--threads 1]

FOLDER contains photos and faces.csv (columns file and faces). `fer` 25.10 gets an environment of
its own in --fer-env. The first run creates it (1 GB; with --mtcnn several), and later runs use it
again.

Each measurement runs in a new process, so that import time and peak memory are its own. The
contenders alternate, in reverse order every second round, so that other work on the machine affects
all. Every library uses --threads threads. A face is classified by the contender's own call on a
finished crop. A photo's time includes reading the file, detection and classification, and is the
median of several calls. The program prints medians over the rounds with minimum and maximum, and
ratios of measurements of the same round. The ratio for photos is that of the sums of their times.
A detector that finds more or fewer faces does other work in that time: see the last column.

The program prints the machine's load. Times on a machine with other work are unreliable.
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

# Only the standard library, because a child's peak memory starts at that of its parent.
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent

FER = "fer==25.10.*"
# Its dependencies, listed by hand: pip would add a PyTorch of several GB, which only MTCNN needs.
FER_NEEDS = (
    "tensorflow>=2.19",
    "opencv-contrib-python<5",  # fer uses Haar cascades, which OpenCV 5 does not have
    "matplotlib",
    "pandas",
    "requests",
    "tqdm",
    "moviepy<2",
    "ffmpeg-python",
    "Pillow",
)
# facenet-pytorch requires PyTorch below 2.3 and NumPy below 2, but works with later versions.
MTCNN = "facenet-pytorch==2.6.0"
MTCNN_NEEDS = ("torch", "torchvision")
# fer imports pkg_resources, which setuptools 81 and later lack. It is installed last, because
# PyTorch installs a later version.
FER_SETUPTOOLS = "setuptools<81"

MAIN = ("fer", "Model.predict", "compiled Keras", "ours")
MEASURES = {"face_ms": "one face classified", "photos_ms": "all photos"}


# --- fer's environment ---


def default_env() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cache / "fer-study" / f"fer-25.10-python{python}"


def env_python(env: Path) -> Path:
    return env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(env: Path, mtcnn: bool) -> bool:
    """True if fer 25.10 can be imported there, and MTCNN if requested."""
    python = env_python(env)
    if not python.is_file():
        return False
    code = "import facenet_pytorch; " if mtcnn else ""  # before TensorFlow: see contenders.py
    code += "import importlib.metadata as m; assert m.version('fer').startswith('25.10.'); "
    code += "import fer.fer"
    return subprocess.run([python, "-c", code], capture_output=True, env=quiet(1)).returncode == 0


def installs(mtcnn: bool) -> list[list[str]]:
    """The arguments of the pip commands that make fer's environment, in their order."""
    commands = [[*FER_NEEDS], ["--no-deps", FER]]
    if mtcnn:
        commands += [[*MTCNN_NEEDS], ["--no-deps", MTCNN]]
    return [*commands, [FER_SETUPTOOLS]]


def ensure_fer(env: Path, mtcnn: bool) -> Path:
    """Create fer's environment if it is missing. Returns its Python."""
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
    """The environment of a measurement, with this number of threads for every library."""
    limits = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    )
    return {
        **os.environ,
        **dict.fromkeys(limits, str(threads)),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def measure_afresh(python: Path, job: dict) -> dict:
    """Run contenders.py in a new process. Returns its measurement."""
    environment = quiet(job["threads"])
    if not job["contender"].startswith(("fer", "facex")):
        paths = [str(PROJECT), os.environ.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    command = [python, HERE / "contenders.py", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    if done.returncode:
        sys.exit(f"{job['contender']} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


# --- the comparison ---


def read_counts(folder: Path) -> dict[str, int]:
    with (folder / "faces.csv").open(newline="", encoding="utf-8") as table:
        return {row["file"]: int(row["faces"]) for row in csv.DictReader(table)}


def total(measured: dict, what: str) -> float:
    """One number of a measurement; for photos, the sum of their times."""
    return sum(measured[what].values()) if what == "photos_ms" else measured[what]


def ratios(results: dict[str, list[dict]], what: str, contender: str, baseline: str) -> list[float]:
    """The baseline's time divided by the contender's, by round."""
    pairs = zip(results[contender], results[baseline], strict=True)
    return [total(other, what) / total(one, what) for one, other in pairs]


def span(numbers: list[float], digits: int) -> str:
    """Median, minimum and maximum as text."""
    low, median, high = min(numbers), statistics.median(numbers), max(numbers)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def faces_found(found: dict[str, int], counts: dict[str, int]) -> str:
    """The numbers of found, missed and false faces, by their counts in each photo."""
    correct = sum(min(counts[name], number) for name, number in found.items())
    missed = sum(max(0, counts[name] - number) for name, number in found.items())
    false = sum(max(0, number - counts[name]) for name, number in found.items())
    return f"{correct}, {missed}, {false}"


def report(results: dict[str, list[dict]], counts: dict[str, int]) -> str:
    """Table and ratios.

    Args:
        results: one measurement per round, by contender.
        counts: number of faces by photo.
    """
    lines = [
        f"{'':15} {'one face, ms':>24} {'a photo, ms':>24} {'import, s':>20} "
        f"{'then ready, s':>20} {'peak, MB':>9}  faces found, missed, false"
    ]
    for name, rounds in results.items():
        photo, faces = "-", "-"
        if rounds[0]["photos_ms"]:
            photo = span([total(one, "photos_ms") / len(one["photos_ms"]) for one in rounds], 1)
            faces = faces_found(rounds[0]["found"], counts)
        lines.append(
            f"{name:15} {span([one['face_ms'] for one in rounds], 3):>24} {photo:>24} "
            f"{span([one['import_s'] for one in rounds], 2):>20} "
            f"{span([one['prepare_s'] for one in rounds], 2):>20} "
            f"{statistics.median(one['peak_mb'] for one in rounds):9.0f}  {faces}"
        )
    lines += ["", "times as fast, median of the rounds (minimum to maximum)"]
    for what, label in MEASURES.items():
        measured = [name for name in results if results[name][0][what]]
        ours = [name for name in measured if name.startswith("ours")]
        others = [name for name in measured if not name.startswith("ours")]
        for one in ours:
            for other in others:
                ratio = span(ratios(results, what, one, other), 2)
                lines.append(f"  {label:20} {one:12} as {other:15} {ratio}")
    by_photo = []
    for name in results["ours"][0]["photos_ms"]:
        rounds = zip(results["ours"], results["fer"], strict=True)
        ratio = statistics.median(
            other["photos_ms"][name] / one["photos_ms"][name] for one, other in rounds
        )
        by_photo.append(f"{name} {ratio:.1f}")
    lines.append("  by photo, ours as fer: " + ", ".join(by_photo))
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
    names = [*MAIN]
    if given.mtcnn:
        names.append("fer, mtcnn")
    if given.yunet:
        names.append("ours, yunet")
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
        help="folder of an exported model; default: the released model",
    )
    parser.add_argument(
        "--fer-env",
        type=Path,
        default=default_env(),
        help="fer's environment; default: %(default)s",
    )
    parser.add_argument(
        "--mtcnn", action="store_true", help="also measure fer with MTCNN, which needs PyTorch"
    )
    parser.add_argument("--yunet", type=Path, help="YuNet's model file; also measure ours with it")
    parser.add_argument("--threads", type=int, default=1, help="threads per library; default: 1")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    parser.add_argument(
        "--seconds",
        type=float,
        default=3,
        help="seconds of calls for the face; each photo gets a fifth of it; default: 3",
    )
    print(compare(parser.parse_args()))


if __name__ == "__main__":
    main()
