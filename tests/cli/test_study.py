"""`make study` and `fer-study study`: the settings that DVC receives, for any path of the data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from study_cases import ODD_NAMES

from fer_utils.cli.study import quoted, run_study
from fer_utils.errors import StudyError


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=30))
def test_hydra_reads_a_quoted_text_as_it_is(text):
    override = OverridesParser.create().parse_override(f"prepare.path={quoted(text)}")
    assert override.value() == text


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Replace `dvc` by a program that only records its arguments.

    Returns a function that returns the recorded settings, as Hydra reads them.
    """
    tools, notes = tmp_path / "tools", tmp_path / "notes"
    tools.mkdir()
    dvc = tools / "dvc"
    dvc.write_text(
        f"#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done > {notes}\nexit "
        f"${{DVC_STATUS:-0}}\n"
    )
    dvc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    def settings() -> dict:
        words = notes.read_bytes().decode().split("\0")[:-1]
        assert words[:2] == ["exp", "run"] and set(words[2::2]) == {"-S"}
        parsed = OverridesParser.create().parse_overrides(words[3::2])
        return {each.key_or_group: each.value() for each in parsed}

    return settings


@pytest.mark.parametrize("name", ODD_NAMES)
def test_data_with_any_path_is_studied(asked, tmp_path, name):
    path = tmp_path / "données" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    run_study(data=path)
    assert asked() == {"profile": "sample", "prepare.source": "csv", "prepare.path": str(path)}


def test_a_folder_of_images_is_recognised_by_its_layout(asked, tmp_path):
    (tmp_path / "mine" / "train" / "happy").mkdir(parents=True)
    run_study("cpu", tmp_path / "mine", changes=["prepare.test_usage=split"])
    assert asked()["prepare.source"] == "folder" and asked()["prepare.test_usage"] == "split"


def test_paths_are_relative_to_the_working_folder_or_home(asked, tmp_path, monkeypatch):
    (tmp_path / "fer2013.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in ("fer2013.csv", "./fer2013.csv", "~/fer2013.csv"):
        run_study(data=Path(typed), votes=Path(typed))
        assert asked()["prepare.path"] == asked()["prepare.votes"] == str(tmp_path / "fer2013.csv")


def test_without_options_the_profile_is_unchanged(asked):
    run_study("full")
    assert asked() == {"profile": "full"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "big"}, "PROFILE: expected one of cpu, full, published, sample, found 'big'"),
        (
            {"data": Path("gone.csv")},
            "DATA: expected a file or a folder, found nothing at .*gone.csv",
        ),
        (
            {"votes": Path("gone.csv")},
            "VOTES: expected a file or a folder, found nothing at .*gone.csv",
        ),
    ],
)
def test_bad_options_are_errors_before_dvc_starts(asked, tmp_path, options, message):
    with pytest.raises(StudyError, match=message):
        run_study(**options)
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"two\nlines.csv", b"${HOME}.csv"])
def test_a_name_that_dvcs_files_cannot_contain_is_named(asked, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.touch()
    with pytest.raises(StudyError, match=r"DATA: expected a path .* Rename it"):
        run_study(data=path)


def test_a_failed_stage_fails_the_command(asked, monkeypatch):
    monkeypatch.setenv("DVC_STATUS", "255")
    with pytest.raises(StudyError, match="found status 255 of `dvc exp run`"):
        run_study()


def test_make_passes_the_typed_path(asked, project, tmp_path):
    """In make $ has a meaning, in the shell ' and blanks."""
    path = tmp_path / 'o\'neil $HOME (1) "x".csv'
    path.touch()
    environment = os.environ | {"PYTHONPATH": str(project)}
    for name in ("MAKEFLAGS", "MAKELEVEL", "PROFILE", "VOTES", "SET"):
        environment.pop(name, None)
    fer_study = tmp_path / "tools" / "fer-study"
    fer_study.write_text(f'#!/bin/sh\nexec {sys.executable} -m fer_utils.cli "$@"\n')
    fer_study.chmod(0o755)
    command = [
        "make",
        "-o",
        ".venv/.ready",
        "BIN=.none",
        f"PATH={os.environ['PATH']}",
        "study",
        f"DATA={path}",
    ]
    done = subprocess.run(
        [*command, "SET=tune.trials=3 tune.width=[0.1,0.2]"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert asked() == {
        **{"profile": "sample", "prepare.source": "csv", "prepare.path": str(path)},
        **{"tune.trials": 3, "tune.width": [0.1, 0.2]},
    }
    assert done.stdout.splitlines()[-1] == f"The study is at {project / 'reports' / 'index.html'}"
