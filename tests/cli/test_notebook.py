"""`fer-study notebook`: one notebook with other parameters, into a folder of its own."""

import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fer_utils.cli import main
from fer_utils.notebooks.parameters import NOTEBOOKS

DECLARED = """\
faces_folder = "data/prepared"  # an input
model_folder = "data/final_model"  # an input
split = "PrivateTest"
metrics_file = "reports/metrics/analyse_errors.json"
figures_folder = "reports/figures/analyse_errors"
corrupted_images = 200
share = 1.0
names = ["a"]"""

WRITES = """\
import json, pathlib
pathlib.Path(figures_folder).mkdir(parents=True)
pathlib.Path(metrics_file).write_text(json.dumps([split, corrupted_images, share, names]))
print(faces_folder, model_folder)"""


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    """A study with one notebook, whose pipeline has run."""
    root = tmp_path / "study"
    (root / "notebooks").mkdir(parents=True)
    parameters = new_code_cell(DECLARED, metadata={"tags": ["parameters"]})
    cells = [new_markdown_cell("# What goes wrong?"), parameters, new_code_cell(WRITES)]
    nbformat.write(new_notebook(cells=cells), root / "notebooks" / "05_analyse_errors.ipynb")
    (root / "params.yaml").write_text("analyse_errors: {corrupted_images: 50}\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  analyse_errors:\n    outs: [reports/figures/analyse_errors]\n"
        "    metrics: [reports/metrics/analyse_errors.json]\n"
    )
    (root / "reports" / "metrics").mkdir(parents=True)
    (root / "reports" / "metrics" / "analyse_errors.json").write_text("the pipeline's")
    monkeypatch.setenv("FER_STUDY_ROOT", str(root))
    return root


def content(root) -> dict:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_writes_only_into_a_new_folder_and_prints_where_the_page_is(study, capsys):
    before = content(study)
    for number in (1, 2):
        assert main(["notebook", "05", "-p", "split=PublicTest", "-p", "share=2"]) == 0
        folder = study / "reports" / "own" / f"05_analyse_errors-{number}"
        page = folder / "05_analyse_errors.html"
        assert capsys.readouterr().out == f"The report is {page}\n"
        saved = json.loads((folder / "analyse_errors.json").read_text())
        assert saved == ["PublicTest", 50, 2, ["a"]]
        assert (folder / "figures").is_dir()
        text = page.read_text(encoding="utf-8")
        assert "data/prepared data/final_model" in text and "PublicTest" in text
        assert not [name for name in NOTEBOOKS.values() if f'href="{name}' in text]
    after = content(study)
    assert before.items() <= after.items()
    assert all(name.startswith("reports/own/") for name in after.keys() - before.keys())


@pytest.mark.parametrize("name", ["5", "analyse_errors", "05_analyse_errors.ipynb"])
def test_a_notebook_has_several_names(name, tmp_path):
    out = tmp_path / "out"
    assert main(["notebook", name, "--out", str(out)]) == 0
    assert (out / "05_analyse_errors.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["07"], "expected one of 01_explore, .* found '07'"),
        (["05", "-p", "splits=PublicTest"], "unknown parameter 'splits'"),
        (["05", "-p", "split"], "expected NAME=VALUE, found 'split'"),
        (["05", "-p", "split=3"], 'parameter split a value like "PrivateTest", found 3'),
        (["05", "-p", "corrupted_images=1.5"], "a value like 200, found 1.5"),
        (["05", "-p", "corrupted_images=true"], "a value like 200, found True"),
        (["05", "-p", "names=a"], "a value like .*, found 'a'"),
        (["05", "-p", "names=[a"], "expected a value in YAML"),
        (["05", "--out", "{full}"], "expected nothing at .*, or an empty folder"),
    ],
)
def test_mistakes_run_nothing(study, tmp_path, capsys, arguments, message):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    before = content(tmp_path)
    assert main(["notebook", *(word.format(full=full) for word in arguments)]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert content(tmp_path) == before
