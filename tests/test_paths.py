"""The study's folder, found in each of four ways."""

from pathlib import Path

import pytest

from fer_utils import paths


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A package outside of any study, without FER_STUDY_ROOT."""
    monkeypatch.delenv("FER_STUDY_ROOT", raising=False)
    monkeypatch.setattr(
        paths, "__file__", str(tmp_path / "site-packages" / "fer_utils" / "paths.py")
    )
    return tmp_path


def make_study(folder: Path) -> Path:
    (folder / "fer_utils").mkdir(parents=True)
    (folder / "dvc.yaml").touch()
    return folder


def test_the_variable_wins(elsewhere, monkeypatch):
    monkeypatch.chdir(make_study(elsewhere / "study"))
    monkeypatch.setenv("FER_STUDY_ROOT", str(elsewhere / "named" / ".." / "named"))
    assert paths.root() == elsewhere / "named"


def test_then_the_working_directory_and_its_parents(elsewhere, monkeypatch):
    outer = make_study(elsewhere / "outer")
    inner = make_study(outer / "copies" / "inner")
    for folder in (inner, inner / "notebooks" / "deep"):
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)
        assert paths.root() == inner
    monkeypatch.chdir(outer / "copies")
    assert paths.root() == outer


def test_a_copy_wins_over_the_folder_of_the_package(elsewhere, monkeypatch):
    home, copy = make_study(elsewhere / "home"), make_study(elsewhere / "copy")
    monkeypatch.setattr(paths, "__file__", str(home / "fer_utils" / "paths.py"))
    monkeypatch.chdir(copy)
    assert paths.root() == copy


def test_then_the_folder_of_the_package(elsewhere, monkeypatch):
    home = make_study(elsewhere / "home")
    monkeypatch.setattr(paths, "__file__", str(home / "fer_utils" / "paths.py"))
    (elsewhere / "desk").mkdir()
    monkeypatch.chdir(elsewhere / "desk")
    assert paths.root() == home


def test_at_last_the_working_directory(elsewhere, monkeypatch):
    # A project with a pipeline but without the package is no study.
    (elsewhere / "other" / "desk").mkdir(parents=True)
    (elsewhere / "other" / "dvc.yaml").touch()
    monkeypatch.chdir(elsewhere / "other" / "desk")
    assert paths.root() == elsewhere / "other" / "desk"


def test_this_project_is_found(project, tmp_path, monkeypatch):
    monkeypatch.delenv("FER_STUDY_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert paths.root() == project


def test_resolve(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert paths.resolve("data/raw") == tmp_path / "data" / "raw"
    assert paths.resolve("/data/raw") == Path("/data/raw")
    assert paths.resolve("~/raw") == tmp_path / "me" / "raw"
