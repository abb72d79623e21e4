"""The peers, and an environment for each, which is created if it is missing.

- `fer` 25.10: its network, and the Haar cascade or MTCNN.
- `facex` 1.1.0 of PyPI: its network, and the Haar cascade. npm has no package of this name.
- `face-api.js`: its expression network, and TinyFaceDetector or SSD MobileNet. The npm package
  face-api.js 0.22.2 has no weights in it, so its maintained fork @vladmandic/face-api is taken,
  which has. TensorFlow.js runs it in WebAssembly.

Left out, because their packages download their weights when they are first used: deepface 0.0.103,
rmn 3.3.0, hsemotion-onnx 0.3.1.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import recognize

from fer_utils.errors import StudyError

FER_MTCNN = "fer, mtcnn"  # its name in contenders.py

FACEX = "facex==1.1.0"
# By hand, because its own list has no upper limits. facex uses tf.lite.Interpreter, which
# TensorFlow 2.19 plans to delete, and Haar cascades, which OpenCV 5 does not have.
FACEX_NEEDS = ("tensorflow==2.19.*", "opencv-contrib-python<5", "scikit-image")

FACE_API = (
    "@vladmandic/face-api@1.7.15",
    "@tensorflow/tfjs@4.22.0",
    "@tensorflow/tfjs-backend-wasm@4.22.0",
    "sharp@0.35.5",
)
FACE_API_CHECK = (
    "const folder = process.argv[1]; const path = require('node:path');"
    "const from = require('node:module').createRequire(path.join(folder, 'package.json'));"
    "const version = from('@vladmandic/face-api/package.json').version;"
    "if (version !== '1.7.15') throw new Error(version);"
    "from('@tensorflow/tfjs'); from('@tensorflow/tfjs-backend-wasm'); from('sharp');"
)


@dataclass(frozen=True)
class Peer:
    """A package with a network of its own.

    Attributes:
        name: its name in tables.
        package: what is installed, with its version.
        folder: the name of its environment's folder.
        ensure: creates the environment in a folder if it is missing, with what a detector needs.
            Returns the interpreter, and raises StudyError.
        detectors: its detectors: the name in tables, and the one that `contenders.py` or
            face-api.js has for it.
        node: True if it runs in Node.js, False if in Python.
    """

    name: str
    package: str
    folder: str
    ensure: Callable[[Path, str | None], Path]
    detectors: dict[str, str]
    node: bool = False


def run(command: list, name: str, wanted: str = "an environment of its own") -> None:
    """Run a command that installs, or that gets what is `wanted`.

    Raises:
        StudyError: it cannot be started, or it fails. The error has the command and its end.
    """
    shown = " ".join(map(str, command))
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as problem:
        raise StudyError(f"{name}: expected to run `{shown}`, found {problem}.") from None
    if done.returncode:
        raise StudyError(
            f"{name}: expected {wanted}, found that `{shown}` ended with "
            f"{done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"
        )


def works(command: list) -> bool:
    """Whether a command that checks an environment starts and ends without an error."""
    if not shutil.which(command[0]):
        return False
    environment = recognize.quiet(1)
    return subprocess.run(command, capture_output=True, env=environment).returncode == 0


def unfinished(name: str, folder: Path) -> StudyError:
    return StudyError(
        f"{name}: expected an environment in which it works, found none in {folder}. Remove the "
        "folder and try again."
    )


def ensure_fer(folder: Path, detector: str | None = None) -> Path:
    """Create fer's environment if it is missing, as recognize.py does.

    Raises:
        StudyError: it cannot be made.
    """
    try:
        return recognize.ensure_fer(folder, mtcnn=detector == FER_MTCNN)
    except (SystemExit, OSError, subprocess.CalledProcessError) as problem:
        raise StudyError(f"fer: expected an environment of its own, found: {problem}") from None


def ensure_facex(folder: Path, detector: str | None = None) -> Path:
    """Create facex's environment if it is missing. Returns its Python.

    Raises:
        StudyError: it cannot be made.
    """
    python = recognize.env_python(folder)
    code = "import importlib.metadata as m, facex; assert m.version('facex') == '1.1.0'"
    if works([python, "-c", code]):
        return python
    print(f"installing {FACEX} into {folder}", flush=True)
    if not python.is_file():
        run([sys.executable, "-m", "venv", folder], "facex")
    for arguments in (FACEX_NEEDS, ("--no-deps", FACEX)):
        run([python, "-m", "pip", "install", "--quiet", *arguments], "facex")
    if not works([python, "-c", code]):
        raise unfinished("facex", folder)
    return python


def ensure_face_api(folder: Path, detector: str | None = None) -> Path:
    """Create the folder of face-api.js if it is missing. Returns Node.

    Raises:
        StudyError: it cannot be made, or Node or npm is missing.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise StudyError(
            "face-api.js: expected Node.js 20.9 or later with npm, found "
            f"node {node or 'nowhere'} and npm {npm or 'nowhere'}. Install Node.js."
        )
    check = [node, "-e", FACE_API_CHECK, folder.resolve()]
    if not works(check):
        print(f"installing {', '.join(FACE_API)} into {folder}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        # Scripts of packages do not run, because none of these needs one.
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"]
        run([npm, "install", "--prefix", folder, *options, *FACE_API], "face-api.js")
        if not works(check):
            raise unfinished("face-api.js", folder)
    return Path(node)


PEERS = (
    Peer(
        "face-api.js",
        FACE_API[0],
        "face-api-1.7.15",
        ensure_face_api,
        {"TinyFaceDetector": "tinyFaceDetector", "SSD MobileNet": "ssdMobilenetv1"},
        node=True,
    ),
    Peer(
        "fer",
        recognize.FER,
        recognize.default_env().name,
        ensure_fer,
        {"Haar": "fer", "MTCNN": FER_MTCNN},
    ),
    Peer(
        "facex",
        FACEX,
        f"facex-1.1-python{sys.version_info.major}.{sys.version_info.minor}",
        ensure_facex,
        {"Haar": "facex"},
    ),
)
