"""`make study` and `fer-study predict` with other locales, homes, networks, paths and folders."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from clone import Clone
from PIL import Image
from skimage import data
from study_cases import ODD_NAMES, STAGES, ran, setting, write_csv

pytestmark = pytest.mark.slow

WITHOUT_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--")

# Changes of the environment, and a prefix of the command.
CONDITIONS = {
    "c_locale": ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, ()),
    "no_network": ({}, WITHOUT_NETWORK),
    "read_only_home": ({"HOME": "/proc/1"}, ()),
    "no_home": ({"HOME": "/nonexistent"}, ()),
}


def expect_allowed(before: tuple[str, ...]) -> None:
    if before and subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip(f"the system does not allow `{' '.join(before)}`")


# --- predict ---


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("schöne Bilder") / "Grüße aus [Ulm], 1.jpg"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_predict(condition, kind, photo, project, tmp_path):
    changes, before = CONDITIONS[condition]
    expect_allowed(before)
    path = photo if kind == "absolute" else photo.relative_to(photo.parent.parent)
    command = [*before, sys.executable, "-m", "fer_utils.cli", "predict", path, "--json"]
    done = subprocess.run(
        [*map(str, command), "--annotate", str(tmp_path / "gemalt.png")],
        cwd=photo.parent.parent,  # outside of the project
        env=os.environ | {"PYTHONPATH": str(project)} | changes,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert len(json.loads(done.stdout)["faces"]) == 1
    assert (tmp_path / "gemalt.png").is_file()


# --- the first stage of the study ---


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone whose path has a blank and umlauts, and whose `dvc exp run` runs only `prepare`."""
    folder = tmp_path_factory.mktemp("das Büro")
    made = Clone(folder)
    dvc = shutil.which("dvc", path=made.environment["PATH"])
    (folder / "tools").mkdir()
    (folder / "tools" / "dvc").write_text(f'#!/bin/sh\nexec "{dvc}" "$@" prepare\n')
    (folder / "tools" / "dvc").chmod(0o755)
    made.environment["PATH"] = f"{folder / 'tools'}{os.pathsep}{made.environment['PATH']}"
    return made


def first_stage(clone, *settings, before=(), cwd=None, **changes) -> dict:
    """Run `make study`. Returns the record of data/prepared."""
    shutil.rmtree(clone.root / "data" / "prepared", ignore_errors=True)
    environment = clone.environment | changes
    command = [
        *before,
        "make",
        "-C",
        str(clone.root),
        "study",
        "BIN=.none",
        f"PATH={environment['PATH']}",
        *settings,
    ]
    done = subprocess.run(command, cwd=cwd or clone.root, env=environment, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:].decode() + done.stderr[-2000:].decode()
    return yaml.safe_load(
        (clone.root / "data" / "prepared" / "about.json").read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("name", ODD_NAMES)
def test_make_study_reads_data_at_any_path(clone, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write_csv(path)
    about = first_stage(clone, f"DATA={path}")
    assert (about["source"], about["images"]) == ("csv", 420)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_make_study_prepares(condition, clone, tmp_path):
    changes, before = CONDITIONS[condition]
    expect_allowed(before)
    about = first_stage(clone, "SET=+prepare.count=210", before=before, cwd=tmp_path, **changes)
    assert (about["source"], about["images"]) == ("sample", 210)


# --- the whole study under several conditions at once ---


def test_the_whole_study(tmp_path):
    expect_allowed(WITHOUT_NETWORK)
    (tmp_path / "ein Büro").mkdir()
    whole = Clone(tmp_path / "ein Büro")
    environment = whole.environment | {"LC_ALL": "C", "HOME": "/nonexistent"}
    command = [
        *WITHOUT_NETWORK,
        "sh",
        "-c",
        'ip link set lo up && exec make -C "$0" study "$1"',
        whole.root,
        setting(),
    ]
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ran(done) == STAGES
    assert (whole.root / "reports" / "index.html").is_file()
