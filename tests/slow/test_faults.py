"""A full disk, a read-only folder, no network, and a missing package.

The first three use Linux' namespaces, in which a process has its own disks and network.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from kill_cases import FER_STUDY, content, litter, same_runs, small_pipeline
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from skimage import data
from study_cases import STAGES, ran

ALONE = ("unshare", "--user", "--map-root-user")


def alone(kind: str, script: str, **options) -> subprocess.CompletedProcess:
    """Run a shell script as root of its own mounts (`kind` "--mount") or network ("--net").

    The test is skipped if the system does not allow it.
    """
    given = {"capture_output": True, "text": True, **options}
    first = {"--mount": "mount -t tmpfs none /mnt", "--net": "ip link set lo up"}[kind]
    if subprocess.run([*ALONE, kind, "sh", "-c", first], capture_output=True).returncode:
        pytest.skip(f"the system does not allow `unshare --user {kind}`")
    return subprocess.run([*ALONE, kind, "sh", "-c", f"{first}\n{script}"], **given)


def fer_study(*arguments) -> str:
    return shlex.join(map(str, [*FER_STUDY, *arguments]))


def the_one_message(output: str) -> str:
    """The error message: the only one, in the last line, without a traceback.

    Progress bars do not count as lines.
    """
    lines = [line.rpartition("\r")[2] for line in output.splitlines()]
    (message,) = [line for line in lines if line.startswith("fer-study: ")]
    assert "Traceback" not in output and lines[-1] == message, output
    return message


# --- a full disk ---


def on_a_full_disk(
    tmp_path: Path, kilobytes: int, command: str
) -> tuple[subprocess.CompletedProcess, Path, Path]:
    """Run a command on a disk that is too small for it, and again after the disk has grown.

    The disk is mounted at `tmp_path / "disk"`, and starts with a copy of that folder.

    Returns:
        The first process, and copies of the disk after the first and the second one.
    """
    disk, first, second = (tmp_path / name for name in ("disk", "first", "second"))
    disk.mkdir(exist_ok=True)
    shutil.copytree(disk, tmp_path / "before")
    script = f"""
        mount -t tmpfs -o size={kilobytes}k none {disk} || exit 9
        cp -r {tmp_path}/before/. {disk} || exit 9
        {command}
        code=$?
        cp -r {disk} {first} && mount -o remount,size=100m {disk} || exit 9
        {command} > {tmp_path}/output 2>&1 || exit 8
        cp -r {disk} {second} || exit 9
        exit $code
    """
    done = alone("--mount", script)
    assert done.returncode == 2, done.stderr
    return done, first, second


def test_prepare_on_a_full_disk_keeps_the_old_faces(faces, tmp_path):
    old, new = tmp_path / "disk" / "faces", tmp_path / "new"
    faces.save(old)
    again = ("prepare", "--count", 100)
    subprocess.run([*FER_STUDY, *map(str, again), "--out", new], check=True, capture_output=True)
    done, first, second = on_a_full_disk(tmp_path, 600, fer_study(*again, "--out", old))
    assert (
        f"{old}: " in the_one_message(done.stderr)
        and "0 bytes are free on that disk" in done.stderr
    )
    assert content(first / "faces") == content(old)
    assert content(second / "faces") == content(new)
    assert [path.name for path in (*first.iterdir(), *second.iterdir())] == ["faces", "faces"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kilobytes", "file"),
    [
        (50, "checkpoint.npz"),
        (200, "model.keras"),
    ],  # the second disk has room for the checkpoint
)
def test_a_training_on_a_full_disk_continues_when_there_is_space(faces, tmp_path, kilobytes, file):
    faces.save(tmp_path / "faces")

    def train(runs: Path) -> str:
        return fer_study(
            *("train", "baseline_cnn", "--set", "width=0.03", "--set", "epochs=2"),
            *("--data", tmp_path / "faces", "--runs", runs),
        )

    subprocess.run(train(tmp_path / "undisturbed"), shell=True, check=True, capture_output=True)
    done, first, second = on_a_full_disk(tmp_path, kilobytes, train(tmp_path / "disk" / "runs"))
    assert the_one_message(done.stderr).endswith(
        f"No space left on device: '{tmp_path}/disk/runs/{name_in(first)}/{file}'"
    )
    left = [path.name for path in first.glob("runs/*/*")]
    assert left == (["checkpoint.npz"] if file == "model.keras" else [])
    assert same_runs(second / "runs", tmp_path / "undisturbed")
    assert litter(second) == []


def name_in(disk: Path) -> str:
    (folder,) = (disk / "runs").iterdir()
    return folder.name


# --- a notebook's stage ---


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study with one small notebook, and a stand-in for the output of an earlier run."""
    study = tmp_path / "study"
    for folder in ("notebooks", "reports/notebooks"):
        (study / folder).mkdir(parents=True)
    (study / "reports" / "notebooks" / "01_explore.ipynb").write_text("old" * 100_000)
    code = "from pathlib import Path\nPath('ran').touch()\nprint('\\n'.join([word * 20] * 5_000))"
    cells = [
        new_markdown_cell("# Small"),
        new_code_cell("word = ''", metadata={"tags": ["parameters"]}),
    ]
    nbformat.write(
        new_notebook(cells=[*cells, new_code_cell(code)]), study / "notebooks" / "01_explore.ipynb"
    )
    (study / "params.yaml").write_text("explore: {word: new}")
    monkeypatch.setenv("FER_STUDY_ROOT", str(study))
    return study


def test_read_only_reports_are_an_error_before_the_notebook_runs(study):
    folder = study / "reports"
    before = content(folder)
    mount = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} || exit 9"
    done = alone("--mount", f"{mount}\n{fer_study('stage', 'explore')}")
    assert done.returncode == 2
    message = the_one_message(done.stderr)
    assert "Read-only file system" in message and f"{folder}/notebooks/" in message
    assert not (study / "ran").exists()
    assert content(folder) == before


@pytest.mark.slow
def test_a_stage_on_a_full_disk_keeps_the_old_reports(study, tmp_path):
    before = content(study / "reports")
    (study / "reports").rename(tmp_path / "disk")
    (study / "reports").symlink_to(tmp_path / "disk")
    done, first, second = on_a_full_disk(tmp_path, 500, fer_study("stage", "explore"))
    message = the_one_message(done.stderr)
    assert "No space left on device" in message and "01_explore." in message
    assert (study / "ran").exists()
    assert content(first) == before
    after = content(second)
    assert sorted(after) == sorted(before)
    assert all(b"newnewnew" in text and b"oldoldold" not in text for text in after.values())


# --- no network ---


def test_commands_that_need_the_network_fail_with_one_message(tmp_path):
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    token = {"KAGGLE_API_TOKEN": "KGAT_0123456789abcdef0123456789abcdef"}
    for arguments, remedy in (
        (
            ["prepare", "--source", "kaggle", "--out", tmp_path / "faces"],
            "--source csv --path FILE",
        ),
        (["fetch-yunet"], "--yunet FILE"),
    ):
        done = alone("--net", fer_study(*arguments), env=os.environ | home | token)
        assert done.returncode == 2
        assert remedy in the_one_message(done.stderr)
    assert not (tmp_path / "faces").exists()


SERVED = """
import sys, urllib.request
from fer_utils.serving import running
with running() as url:
    request = urllib.request.Request(f"{url}/api/v1/predict", open(sys.argv[1], "rb").read())
    request.add_header("Content-Type", "image/png")
    print(urllib.request.urlopen(request).read().decode())
"""


@pytest.mark.slow
def test_all_other_commands_need_no_network(tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()).save(photo)
    given = [
        "--set",
        "width=0.03",
        "--set",
        "epochs=1",
        "--data",
        tmp_path / "faces",
        "--runs",
        tmp_path / "runs",
    ]
    commands = [
        fer_study("prepare", "--count", 210, "--out", tmp_path / "faces") + " > /dev/null",
        fer_study("train", "baseline_cnn", *given) + " > /dev/null",
        fer_study("predict", photo, "--json") + f" > {tmp_path / 'predicted'}",
        shlex.join([sys.executable, "-c", SERVED, str(photo)]),
    ]
    done = alone("--net", " && ".join(commands))
    assert done.returncode == 0, done.stderr
    predicted = json.loads((tmp_path / "predicted").read_text())
    [served] = json.loads(done.stdout)["images"]
    assert len(predicted["faces"]) == len(served["faces"]) == 1
    assert served["faces"][0]["emotion"] == predicted["faces"][0]["emotion"]
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 1


@pytest.mark.slow
def test_the_pipeline_needs_no_network(tmp_path):
    clone = small_pipeline(tmp_path)
    done = alone("--net", "dvc repro", cwd=clone.root, env=clone.environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ran(done) == STAGES
    assert (clone.root / "reports" / "index.html").is_file()


# --- a missing package ---

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from fer_utils.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("keras", "study", ["train", "baseline_cnn"]),
        ("pandas", "study", ["prepare"]),
        ("flask", "serve", ["serve"]),
        ("prometheus_client", "serve", ["serve"]),
        ("nbformat", "study", ["stage", "explore"]),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    faces, tmp_path, monkeypatch, package, extra, command
):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    faces.save(tmp_path / "data" / "prepared")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *command], capture_output=True, text=True
    )
    assert done.returncode == 2
    message = the_one_message(done.stderr)
    assert f"the package {package}," in message and f'pip install ".[{extra}]"' in message
