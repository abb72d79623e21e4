"""Nothing leaves this machine, and nothing is left in the user's home but caches that are known
here."""

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
# Python's own resolver refuses, and says which names it was asked for.
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
    """An environment with an empty home, none of whose programs finds a host's address."""

    def __init__(self, folder: Path) -> None:
        self.home, self.asked = folder / "home", folder / "asked"
        self.home.mkdir()
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(REFUSES)
        kept = {
            key: value
            for key, value in os.environ.items()
            # What tells a program that it is tested, or where its cache is.
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
        """The files in the home that are no known cache."""
        files = [
            str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()
        ]
        return [file for file in files if not any(re.fullmatch(cache, file) for cache in CACHES)]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("script", [RECOGNISES, SERVES], ids=["library", "server"])
def test_recognising_leaves_nothing_in_the_home(machine, photo, script):
    assert "happy" in machine.run(sys.executable, "-c", script, photo).stdout
    assert list(machine.home.rglob("*")) == [] and not machine.asked.exists()


def test_predicting_leaves_nothing_in_the_home(machine, photo, tmp_path):
    machine.run(*FER_STUDY, "predict", photo, "--annotate", tmp_path / "drawn.png")
    assert list(machine.home.rglob("*")) == [] and not machine.asked.exists()


@pytest.mark.parametrize(("given", "held"), [(None, "1"), ("", "1"), ("0", "0")])
def test_onnx_runtime_sends_nothing_unless_asked_to(machine, given, held):
    if given is not None:
        machine.environment["ORT_DISABLE_TELEMETRY"] = given
    said = machine.run(
        sys.executable, "-c", "import fer_utils, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    assert said.stdout.strip() == held


@pytest.mark.slow
def test_no_command_asks_for_an_address_or_leaves_anything(machine, photo, tmp_path):
    """All that work without a download, one after another; JupyterLab's questions are the
    Makefile's."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: what libraries in C++ ask for cannot be seen")
    small = ["--set", "width=0.03", "--set", "epochs=1"]
    faces, runs = ["--data", tmp_path / "faces"], ["--runs", tmp_path / "runs"]
    commands = [
        ["prepare", "--count", "210", "--out", tmp_path / "faces"],
        ["audit", "--faces", tmp_path / "faces"],
        ["networks"],
        ["train", "baseline_cnn", *small, *faces, *runs],
        [
            *(
                "tune",
                "baseline_cnn",
                *small,
                "--search",
                "dropout=0.1..0.5",
                "--trials",
                "1",
                *faces,
                *runs,
            ),
            *("--out", tmp_path / "search"),
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
def test_the_stages_of_the_pipeline_ask_for_no_address(machine, tmp_path):
    """The first two and the last; the others run the same kernel and libraries."""
    clone = Clone(tmp_path)
    machine.environment["FER_STUDY_ROOT"] = str(clone.root)
    machine.run(*FER_STUDY, "prepare", "--count", "300")
    for stage in ("explore", "index"):
        machine.run(*FER_STUDY, "stage", stage)
        assert machine.left() == [] and not machine.asked.exists(), stage
