"""Run the notebooks with nbval: each cell must run, and marked cells must print their saved output.

`python tests/notebooks/check.py` runs copies in a temporary study, with the built-in sample and a
small budget. It changes nothing that DVC tracks. The output of a cell marked `# NBVAL_CHECK_OUTPUT`
must not depend on the budget.

`python tests/notebooks/check.py --update` runs them and saves the outputs of marked cells in
notebooks/.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

PROJECT = Path(__file__).resolve().parents[2]
# This checkout precedes an installed package, here and in the kernels.
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "helpers")]

from budget import BUDGET  # noqa: E402
from strip import MARK, strip  # noqa: E402

from fer_utils.cli.stage import prepare  # noqa: E402
from fer_utils.cli.study import PRELOADED  # noqa: E402
from fer_utils.notebooks.parameters import NOTEBOOKS, declared_parameters  # noqa: E402
from fer_utils.notebooks.runner import run_notebook  # noqa: E402
from fer_utils.warm import preloaded_python, wake, warm_python  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "stages", nargs="*", metavar="STAGE", help=f"default: all, which are {', '.join(NOTEBOOKS)}"
    )
    parser.add_argument(
        "--notebooks", type=Path, default=PROJECT / "notebooks", help="folder; default: notebooks/"
    )
    parser.add_argument("--update", action="store_true", help="save the marked cells' outputs")
    given = parser.parse_args()
    if unknown := set(given.stages) - set(NOTEBOOKS):
        parser.error(f"STAGE: expected {', '.join(NOTEBOOKS)}, found {', '.join(unknown)}")

    sources = {
        stage: given.notebooks / f"{NOTEBOOKS[stage]}.ipynb" for stage in given.stages or NOTEBOOKS
    }
    if not given.update and (
        never := [cell for source in sources.values() for cell in unsaved(source)]
    ):
        print(
            f"No saved output to compare with: {', '.join(never)}. Save it: {sys.argv[0]} --update",
            file=sys.stderr,
        )
        return 2

    with (
        TemporaryDirectory(prefix="fer-study-") as folder,
        nullcontext({}) if warm_python() else preloaded_python(PRELOADED) as variables,
    ):
        study = Path(folder)
        os.environ |= variables
        kernel = kernelspec(study)
        os.environ["FER_STUDY_ROOT"] = folder
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(PROJECT), os.environ.get("PYTHONPATH", "")]
        ).strip(os.pathsep)
        (study / "notebooks").mkdir()
        shutil.copytree(PROJECT / "reports" / "evidence", study / "reports" / "evidence")
        wake()
        prepare("sample", None, None, study / "data" / "prepared")
        if given.update:
            for stage, source in sources.items():
                update(source, BUDGET[stage], study)
            return 0
        copies = [with_budget(source, BUDGET[stage], study) for stage, source in sources.items()]
        return nbval(copies, study, kernel)


def unsaved(source: Path) -> list[str]:
    """Marked cells that nbval would not compare. It skips cells without an execution count."""
    cells = nbformat.read(source, as_version=4).cells
    marked = [cell for cell in cells if cell.cell_type == "code" and MARK in cell.source]
    return [
        f"{source.stem}, cell {cell.id}"
        for cell in marked
        if not cell.outputs or cell.execution_count is None
    ]


def with_budget(source: Path, budget: dict, study: Path) -> Path:
    """A copy whose parameters cell ends with the budget's values.

    They are in the same cell, because nbval compares cells by their number.
    """
    notebook = nbformat.read(source, as_version=4)
    declared = {parameter.name for parameter in declared_parameters(notebook, source.name)}
    assert budget.keys() <= declared, f"{source.name} does not declare {budget.keys() - declared}"
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in budget.items())
    copy = study / "notebooks" / source.name
    nbformat.write(notebook, copy)
    return copy


def kernelspec(study: Path) -> str:
    """Make a kernel of this interpreter that starts warm, and return its name."""
    kernel = study / "jupyter" / "kernels" / "warm"
    kernel.mkdir(parents=True)
    arguments = [warm_python() or sys.executable, "-m", "ipykernel_launcher", "-f"]
    spec = {"display_name": "Python", "language": "python"}
    spec["argv"] = [*arguments, "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = str(study / "jupyter")
    return kernel.name


def nbval(notebooks: list[Path], study: Path, kernel: str) -> int:
    # Without a configuration here, pytest would use one of the folders above.
    (study / "pytest.ini").write_text("[pytest]\n")
    options = [
        "--nbval-lax",
        f"--nbval-kernel-name={kernel}",
        "--nbval-cell-timeout=600",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *notebooks], cwd=study
    ).returncode


def update(source: Path, budget: dict, study: Path) -> None:
    """Run the notebook strictly, and save the outputs of its marked cells in it."""
    name = source.stem
    run_notebook(source, study / f"{name}.ipynb", budget, cwd=study / "notebooks")
    ran = {cell.id: cell for cell in nbformat.read(study / f"{name}.ipynb", as_version=4).cells}
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = ran[cell.id].outputs
    strip(notebook)
    nbformat.write(notebook, source)


if __name__ == "__main__":
    sys.exit(main())
