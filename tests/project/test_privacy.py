"""No data leave this machine, and the user's home gets no files except known caches.

Commands that find faces fetch YuNet's file once, and say so. FER_STUDY_OFFLINE=1, which all tests
have, forbids it. The tests of that download remove the variable.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clone import Clone
from PIL import Image
from skimage import data

FER_STUDY = [sys.executable, "-m", "fer_utils.cli"]

CACHES = (
    r"\.cache/matplotlib/fontlist-.*\.json",  # matplotlib's list of fonts
    r"\.keras/keras\.json",  # Keras' own settings
    r"\.ipython/profile_default/.*",  # the kernels that run notebooks
    r"\.local/share/jupyter/runtime/.*",
)

SERVES = """
import sys, urllib.request
from fer_utils.serving import running
with running() as url:
    request = urllib.request.Request(f"{url}/api/v1/predict", open(sys.argv[1], "rb").read())
    request.add_header("Content-Type", "image/png")
    print(urllib.request.urlopen(request).read().decode())
"""
RECOGNISES = """
import sys
from fer_utils import Recognizer
print(Recognizer().recognize(sys.argv[1]))
"""
# Replaces Python's resolver: it refuses every name, and records it.
REFUSES = """
import os, socket
def refuse(host, *arguments, **options):
    if host not in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"):
        with open(os.environ["ASKED_FOR"], "a") as file:
            print(host, file=file)
        raise socket.gaierror(f"{host}: refused by a test")
    return resolve(host, *arguments, **options)
resolve, socket.getaddrinfo = socket.getaddrinfo, refuse
"""


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


class Machine:
    """An environment with an empty home, whose programs cannot resolve any host name."""

    def __init__(self, folder: Path) -> None:
        self.home, self.asked = folder / "home", folder / "asked"
        self.home.mkdir()
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(REFUSES)
        kept = {
            key: value
            for key, value in os.environ.items()
            # These tell a program that it is tested, or where its cache is.
            if key not in ("CI", "ORT_DISABLE_TELEMETRY", "MPLCONFIGDIR")
            and not key.startswith(("XDG_", "KERAS"))
        }
        paths = [str(folder / "site"), str(Path(__file__).resolve().parents[2])]
        self.environment = kept | {
            "HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(paths),
            "ASKED_FOR": str(self.asked),
        }

    def run(self, *command, traced: Path | None = None) -> subprocess.CompletedProcess:
        before = (
            ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect", "-o", traced]
            if traced
            else []
        )
        done = subprocess.run(
            [str(word) for word in (*before, *command)],
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    def left(self) -> list[str]:
        """The files in the home that are not known caches."""
        files = [
            str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()
        ]
        return [file for file in files if not any(re.fullmatch(cache, file) for cache in CACHES)]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("script", [RECOGNISES, SERVES], ids=["library", "server"])
def test_recognition_writes_nothing_to_the_home(machine, photo, script):
    assert "happy" in machine.run(sys.executable, "-c", script, photo).stdout
    assert list(machine.home.rglob("*")) == [] and not machine.asked.exists()


def test_predict_writes_nothing_to_the_home(machine, photo, tmp_path):
    machine.run(*FER_STUDY, "predict", photo, "--annotate", tmp_path / "drawn.png")
    assert list(machine.home.rglob("*")) == [] and not machine.asked.exists()


def test_predict_asks_for_the_detector_once_and_says_so(machine, photo):
    del machine.environment["FER_STUDY_OFFLINE"]
    done = machine.run(*FER_STUDY, "predict", photo)
    assert machine.asked.read_text().split() == ["github.com"]
    assert "FER_STUDY_OFFLINE=1" in done.stderr
    assert "happy" in done.stdout
    done = machine.run(*FER_STUDY, "predict", photo)
    assert machine.asked.read_text().split() == ["github.com"]
    assert "YuNet" not in done.stderr
    assert machine.left() == [".cache/fer-study/yunet_n_640_640.onnx.tried"]


def test_the_library_and_the_haar_cascade_ask_for_nothing(machine, photo):
    del machine.environment["FER_STUDY_OFFLINE"]
    machine.run(sys.executable, "-c", RECOGNISES, photo)
    machine.run(sys.executable, "-c", SERVES, photo)
    machine.run(*FER_STUDY, "predict", photo, "--detector", "haar")
    assert list(machine.home.rglob("*")) == [] and not machine.asked.exists()


@pytest.mark.parametrize(("value", "used"), [(None, "1"), ("", "1"), ("0", "0")])
def test_onnx_runtimes_telemetry_is_off_unless_allowed(machine, value, used):
    if value is not None:
        machine.environment["ORT_DISABLE_TELEMETRY"] = value
    done = machine.run(
        sys.executable, "-c", "import fer_utils, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    assert done.stdout.strip() == used


@pytest.mark.slow
def test_no_command_resolves_a_name_or_leaves_files(machine, photo, tmp_path):
    """All commands that need no download, in order. The Makefile configures JupyterLab."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed, which records the connections of C++ libraries")
    small = ["--set", "width=0.03", "--set", "epochs=1"]
    faces, runs = ["--data", tmp_path / "faces"], ["--runs", tmp_path / "runs"]
    commands = [
        ["prepare", "--count", "210", "--out", tmp_path / "faces"],
        ["audit", "--faces", tmp_path / "faces"],
        ["networks"],
        ["train", "baseline_cnn", *small, *faces, *runs],
        [
            *("tune", "baseline_cnn", *small, "--search", "dropout=0.1..0.5", "--trials", "1"),
            *(*faces, *runs, "--out", tmp_path / "search"),
        ],
        ["predict", photo],
    ]
    for number, command in enumerate(commands):
        traced = tmp_path / f"connections-{number}"
        machine.run(*FER_STUDY, *command, traced=traced)
        outside = [
            line
            for line in traced.read_text().splitlines()
            if "AF_INET" in line and "127.0.0.1" not in line
        ]
        assert outside == [], command
        assert machine.left() == [] and not machine.asked.exists(), command
    run = next((tmp_path / "runs").glob("baseline_cnn-*"))
    for command in (
        ["export", run, *faces, "--out", tmp_path / "model"],
        ["score", run, *faces],
        ["teach", run, *faces, *runs],
    ):
        machine.run(*FER_STUDY, *command)
        assert machine.left() == [] and not machine.asked.exists(), command


@pytest.mark.slow
def test_a_notebooks_stage_resolves_no_name_and_leaves_no_files(machine, tmp_path):
    """The other stages use the same kernel and libraries."""
    clone = Clone(tmp_path)
    machine.environment["FER_STUDY_ROOT"] = str(clone.root)
    machine.run(*FER_STUDY, "prepare", "--count", "300")
    machine.run(*FER_STUDY, "stage", "explore")
    assert machine.left() == [] and not machine.asked.exists()
