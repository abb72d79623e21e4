"""Strict runs of notebooks, and the normalised notebooks that they write."""

import io
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from fer_utils.errors import StudyError
from fer_utils.notebooks.runner import run_notebook

DECLARED = """\
epochs = 2  # passes over Training; b=64
name = "a=b"  # free text
rates: list = [
    0.1,
]"""


@pytest.fixture(autouse=True)
def study_root(tmp_path, monkeypatch):
    """Set a temporary root: partly executed notebooks must not land in the checkout."""
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))


def write(folder: Path, *cells: str, tagged: bool = True) -> Path:
    """Write a notebook with a title, a parameters cell and these code cells."""
    first = new_code_cell(DECLARED, id="p", metadata={"tags": ["parameters"]} if tagged else {})
    code = [new_code_cell(source, id=f"c{number}") for number, source in enumerate(cells)]
    path = folder / "small.ipynb"
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Small\n\nOne sentence.", id="t"), first, *code]),
        path,
    )
    return path


def run(source: Path, parameters: dict, name: str = "executed") -> Path:
    """Run `source` in its own folder. Return the path of the executed notebook."""
    executed = source.parent / "out" / f"{name}.ipynb"
    run_notebook(source, executed, parameters, source.parent)
    return executed


def test_runs_with_parameters_in_cwd_with_this_interpreter(tmp_path, monkeypatch):
    """A kernelspec named python3 in the user's folders must not replace the kernel."""
    spec = tmp_path / "user" / "kernels" / "python3"
    spec.mkdir(parents=True)
    other = {
        "argv": ["/bin/false", "{connection_file}"],
        "display_name": "Other",
        "language": "python",
    }
    (spec / "kernel.json").write_text(json.dumps(other))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "user"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    source = write(
        tmp_path,
        "import sys, pathlib",
        "print(epochs, name, rates, sys.executable, pathlib.Path.cwd())",
    )
    executed = nbformat.read(run(source, {"epochs": 7}), as_version=4)
    printed = executed.cells[-1].outputs[0].text.split()
    assert printed == ["7", "a=b", "[0.1]", sys.executable, str(tmp_path)]
    assert not list((tmp_path / "build" / "failed").iterdir())


def test_unknown_parameter_lists_the_declared(tmp_path):
    source = write(tmp_path, "1")
    with pytest.raises(StudyError, match=r"small\.ipynb.*'epoch'.*epochs, name, rates"):
        run(source, {"epoch": 3})
    assert not (tmp_path / "out").exists()


def test_without_parameters_cell_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="tagged 'parameters'"):
        run(write(tmp_path, "1", tagged=False), {})


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"no json", b"\xff\xfe"])
def test_unreadable_notebook_is_an_error(tmp_path, content):
    source = tmp_path / "wrong.ipynb"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(StudyError, match=r"wrong\.ipynb: expected a Jupyter notebook"):
        run(source, {})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "limit = 3\nraise KeyError('lost')",
            r"code cell 3 \(`limit = 3`\) failed with KeyError: 'lost'",
        ),
        ("import sys; sys.exit()", r"code cell 3 .* failed with SystemExit"),
        ("import os\nos._exit(1)", r"code cell 3 \(`import os`\) failed with DeadKernelError"),
    ],
)
def test_failing_cell_is_named_and_nothing_published(tmp_path, capsys, code, expected):
    source = write(tmp_path, "1 + 1", code, "2 + 2")
    with pytest.raises(StudyError, match=expected) as failure:
        run(source, {"epochs": 1})
    assert "small.ipynb" in str(failure.value)
    assert list((tmp_path / "out").iterdir()) == []
    partial = tmp_path / "build" / "failed" / "executed.ipynb"
    assert partial.name in str(failure.value)
    assert nbformat.read(partial, as_version=4).cells
    if "KeyError" in expected:
        assert "KeyError" in capsys.readouterr().err


NOISY = """
import sys, time, os
import pandas as pd
from IPython.display import display
from tqdm import tqdm
from tqdm.notebook import tqdm as widget
for _ in widget(range(3)):
    time.sleep(0.01)
for _ in tqdm(range(3), desc="fit"):
    time.sleep(0.01)
for _ in tqdm(iter(range(3))):
    pass
print("kept on stdout")
print("kept on stderr", file=sys.stderr)
sys.stderr.write(f"E0000 00:00:{time.time():.6f}    {os.getpid()} cuda.cc:1] kept too\\n")
display(pd.DataFrame({"a": [1]}).style)
object()
"""


def test_two_runs_give_the_same_bytes(tmp_path):
    source = write(tmp_path, NOISY)
    first, second = run(source, {"epochs": 3}, "first"), run(source, {"epochs": 3}, "second")
    assert first.read_bytes() == second.read_bytes()

    executed = nbformat.read(first, as_version=4)
    assert [cell.id for cell in executed.cells] == ["t", "p", "injected-parameters", "c0"]
    assert set(executed.metadata) == {"kernelspec", "language_info"}
    assert all(not set(cell.metadata) - {"tags"} for cell in executed.cells)
    out, err, *shown = executed.cells[-1].outputs
    assert out.text == "kept on stdout\n"
    assert err.text == "kept on stderr\nE cuda.cc:1] kept too\n"
    assert [output.output_type for output in shown] == ["display_data", "execute_result"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_notebooks_own_bars(tmp_path, monkeypatch):
    """The bar of the trainings, not only that of the cells. Other output stays in the notebook."""
    bar = (
        "import sys, time\n"
        "from tqdm.std import tqdm\n"
        "print('a warning', file=sys.stderr)\n"
        "for _ in tqdm(range(3), desc='3 trainings', mininterval=0):\n"
        "    time.sleep(0.1)\n"
    )
    source = write(tmp_path, bar)
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        executed = run(source, {})
    assert re.search(r"\rsmall: 3 trainings: +\d+%\|", terminal.getvalue())
    assert "a warning" not in terminal.getvalue()
    outputs = nbformat.read(executed, as_version=4).cells[-1].outputs
    assert [output.text for output in outputs] == ["a warning\n"]
