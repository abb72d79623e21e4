"""The check of the notebooks' saved outputs fails when it should, and changes no file."""

import hashlib
import shutil
import subprocess
import sys

import nbformat
import pytest
from budget import BUDGET

from fer_utils.notebooks.parameters import NOTEBOOKS

pytestmark = pytest.mark.slow
NAME = f"{NOTEBOOKS['explore']}.ipynb"
MARK = "# NBVAL_CHECK_OUTPUT"


@pytest.fixture
def copy(project, tmp_path):
    """A copy of the notebooks, which tests may change."""
    return shutil.copytree(project / "notebooks", tmp_path / "notebooks")


@pytest.fixture
def check(project, copy):
    """Run the check on the first notebook of the copy."""

    def run(*options: str) -> subprocess.CompletedProcess:
        script = project / "tests" / "notebooks" / "check.py"
        command = [sys.executable, script, "explore", "--notebooks", copy, *options]
        return subprocess.run(command, cwd=copy, capture_output=True, text=True)

    return run


def change(copy, how) -> None:
    """Apply `how` to the first marked cell."""
    notebook = nbformat.read(copy / NAME, as_version=4)
    how(next(cell for cell in notebook.cells if cell.cell_type == "code" and MARK in cell.source))
    nbformat.write(notebook, copy / NAME)


def test_every_stage_with_a_notebook_has_a_budget():
    assert list(BUDGET) == list(NOTEBOOKS)


def test_the_saved_outputs_pass_and_an_update_changes_no_byte(project, copy, check):
    before = state(project)
    passed = check()
    assert passed.returncode == 0, passed.stdout + passed.stderr
    saved = (copy / NAME).read_bytes()
    again = check("--update")
    assert again.returncode == 0, again.stderr
    assert (copy / NAME).read_bytes() == saved
    assert state(project) == before


def state(project) -> dict:
    """git's status of the study, and hashes of the pipeline's outputs, without the run store."""
    paths = ["data", "reports", "notebooks", "dvc.yaml", "dvc.lock", "params.yaml"]
    command = ["git", "status", "--porcelain", "--", *paths]
    status = subprocess.run(command, cwd=project, check=True, capture_output=True).stdout
    folders = [
        project / "data" / "prepared",
        project / "data" / "final_model",
        *(project / "reports").iterdir(),
    ]
    files = [
        file for folder in folders for file in (folder.rglob("*") if folder.is_dir() else [folder])
    ]
    digests = {file: hashlib.md5(file.read_bytes()).hexdigest() for file in files if file.is_file()}
    return {"status": status, "files": digests}


def test_a_changed_saved_output_fails(copy, check):
    def add_one_image(cell):
        text = cell.outputs[0].text
        assert "3200" in text
        cell.outputs[0].text = text.replace("3200", "3201")

    change(copy, add_one_image)
    failed = check()
    assert failed.returncode == 1
    assert "Cell outputs differ" in failed.stdout
    assert "3201" in failed.stdout


def test_a_cell_that_raises_fails(copy, check):
    change(copy, lambda cell: cell.update(source=cell.source + "\nraise ValueError('spoilt')"))
    failed = check()
    assert failed.returncode == 1
    assert "spoilt" in failed.stdout


def test_a_stripped_output_fails(copy, check):
    """nbval alone would compare nothing and pass."""
    change(copy, lambda cell: cell.update(outputs=[], execution_count=None))
    failed = check()
    assert failed.returncode == 2
    assert "01_explore, cell 01-" in failed.stderr
    assert "--update" in failed.stderr
