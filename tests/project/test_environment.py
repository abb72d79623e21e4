"""One list of direct dependencies: pyproject.toml's, and what environment.yml and
requirements.lock make of it."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from itertools import chain

import pytest
import yaml
from clone import Clone
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image
from skimage import data

from fer_utils.cli import SERVE_EXTRA

PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = {
    "linux": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "x86_64",
    },
    "arm": {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": "aarch64",
    },
    "mac": {
        "sys_platform": "darwin",
        "platform_system": "Darwin",
        "os_name": "posix",
        "platform_machine": "arm64",
    },
    "windows": {
        "sys_platform": "win32",
        "platform_system": "Windows",
        "os_name": "nt",
        "platform_machine": "AMD64",
    },
}


@pytest.fixture(scope="module")
def pyproject(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def direct(pyproject) -> list[Requirement]:
    """What the study asks for itself, with all extras; `dev` has the others in it."""
    extras = pyproject["optional-dependencies"]
    asked = [Requirement(line) for line in chain(pyproject["dependencies"], *extras.values())]
    inner = [requirement for requirement in asked if requirement.name == "fer-study"]
    assert [requirement.extras for requirement in inner] == [{"serve"}, {"study"}]
    return [requirement for requirement in asked if requirement.name != "fer-study"]


@pytest.fixture(scope="module")
def environment(project):
    return yaml.safe_load((project / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lock(project) -> list[str]:
    lines = (project / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip()]


def test_conda_installs_the_project_with_all_extras(environment):
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-e .[dev]"]


def test_a_package_of_the_serve_extra_that_is_missing_is_named_as_such(pyproject):
    asked = pyproject["optional-dependencies"]["serve"]
    assert sorted(SERVE_EXTRA) == sorted(Requirement(line).name.replace("-", "_") for line in asked)


def test_conda_gets_the_same_pythons(pyproject, environment):
    assert environment["name"] == "fer-study"
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert [entry.split()[0] for entry in plain] == ["python", "pip"]
    assert SpecifierSet(plain[0].split()[1]) == SpecifierSet(pyproject["requires-python"])
    assert [
        version
        for version in ("3.10", *PYTHONS, "3.14")
        if version in SpecifierSet(plain[0].split()[1])
    ] == list(PYTHONS)


def test_the_lock_holds_only_pins(lock):
    """No index, host, address or path: only NAME==VERSION, with a marker where a platform
    matters."""
    pin = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,._-]+\])?==[0-9][a-z0-9.+!]*( ; .+)?", re.I)
    assert [line for line in lock if not pin.fullmatch(line)] == []
    for line in lock:
        requirement = Requirement(line)
        assert requirement.url is None, line
        assert "://" not in line, line


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_lock_pins_what_is_asked_for(direct, lock, python, machine):
    there = MACHINES[machine] | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "extra": "",
    }

    def applies(marker: Marker | None) -> bool:
        return marker is None or marker.evaluate(there)

    pins = [requirement for requirement in map(Requirement, lock) if applies(requirement.marker)]
    names = Counter(canonicalize_name(pin.name) for pin in pins)
    assert [name for name, times in names.items() if times > 1] == [], "pinned twice"

    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    wanted = [requirement for requirement in direct if applies(requirement.marker)]
    assert [r.name for r in wanted if canonicalize_name(r.name) not in versions] == [], "not pinned"
    unfit = [
        (str(r), v) for r in wanted if (v := versions[canonicalize_name(r.name)]) not in r.specifier
    ]
    assert unfit == [], "pinned at a version that pyproject.toml forbids"


@pytest.mark.slow
def test_the_serve_extra_alone_recognises_and_serves(project, tmp_path):
    """A machine that serves needs no training library: a new environment has what the extra says,
    and no more."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    Clone(tmp_path).run(str(python), "-m", "pip", "install", "--quiet", ".[serve]")
    photo = tmp_path / "face.png"
    Image.fromarray(data.astronaut()).save(photo)
    code = (
        "import importlib.util, sys\n"
        "from fer_utils import Recognizer\n"
        "from fer_utils.serving import create_app\n"
        "client = create_app(Recognizer()).test_client()\n"
        "answer = client.post('/api/v1/predict', data=open(sys.argv[1], 'rb').read(), "
        "content_type='image/png')\n"
        "assert len(answer.json['images'][0]['faces']) == 1, answer.json\n"
        "assert client.get('/').status_code == client.get('/docs').status_code == 200\n"
        "print([name for name in ('keras', 'tensorflow', 'pandas', 'scipy') if "
        "importlib.util.find_spec(name)])"
    )
    ran = subprocess.run([python, "-c", code, photo], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr
