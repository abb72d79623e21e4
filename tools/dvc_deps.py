"""Which packages a stage imports from; `python tools/dvc_deps.py` lists them in dvc.yaml, among its deps."""

import ast
import re
import sys
from pathlib import Path

import nbformat

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))  # this tree's package, whatever is installed

from fer_utils.cli.stage import STAGES  # noqa: E402
from fer_utils.reports.notebooks import NOTEBOOKS  # noqa: E402

PACKAGE = "fer_utils"

ENTRY = {"prepare": ["data.sources"], "index": ["reports.index"]}


def stage_packages(stage: str) -> list[str]:
    """Packages, and modules beside them, that hold what decides what a stage leaves, sorted.

    They hold each module that the stage's code imports, directly or not. A whole package is named where one of its
    modules is imported: trainings are found again in the run store, so a stage that runs for nothing takes minutes.
    A notebook's HTML is made by `fer_utils.reports`. The command line is left out.
    """
    if stage in NOTEBOOKS:
        notebook = nbformat.read(PROJECT / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb", as_version=4)
        lines = [
            line for c in notebook.cells if c.cell_type == "code" for line in c.source.splitlines()
        ]
        code = "\n".join(line for line in lines if not line.startswith("%"))
        start = _imported(ast.parse(code)) | {f"{PACKAGE}.reports.notebooks"}
    else:
        start = {f"{PACKAGE}.{name}" for name in ENTRY[stage]}
    files = {path.relative_to(PROJECT) for path in _closure(start)}
    found = {"/".join(path.parts[:2]) for path in files}
    if f"{PACKAGE}/recognition" in found:
        found.add(f"{PACKAGE}/pretrained")  # which is no code, and is read
    return sorted(found)


def _closure(names: set[str]) -> set[Path]:
    """The files of these modules, of the packages they lie in, and of all that they import in turn."""
    found: set[Path] = set()
    left = set(names)
    while left:
        path = _file(left.pop())
        if path is None or path in found:
            continue
        found.add(path)
        text = path.read_text(encoding="utf-8")
        left |= _imported(ast.parse(text))
        if "import_module(" in text:  # imports by name what lies beside it
            left |= {
                ".".join(p.relative_to(PROJECT).with_suffix("").parts)
                for p in path.parent.glob("*.py")
            }
        left |= {
            ".".join(p.relative_to(PROJECT).parts)
            for p in path.parents
            if (p / "__init__.py").is_file()
        }
    return found


def _imported(tree: ast.Module) -> set[str]:
    # What a module's __getattr__ imports, it imports for who asks for it by that name.
    tree.body = [node for node in tree.body if getattr(node, "name", None) != "__getattr__"]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module or something in it.
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _file(name: str) -> Path | None:
    base = PROJECT.joinpath(*name.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def with_packages(pipeline: str) -> str:
    """The text of dvc.yaml, each stage's deps ending with the packages that it imports from."""
    for stage in STAGES:
        block = re.search(rf"^  {stage}:\n(?:    .*\n)*", pipeline, re.M)[0]
        deps = re.search(r"^    deps:\n((?:    - .*\n)*)", block, re.M)
        others = [line for line in deps[1].splitlines() if not line.startswith(f"    - {PACKAGE}/")]
        lines = [*others, *(f"    - {package}" for package in stage_packages(stage))]
        pipeline = pipeline.replace(
            block, block.replace(deps[1], "".join(f"{line}\n" for line in lines))
        )
    return pipeline


if __name__ == "__main__":
    file = PROJECT / "dvc.yaml"
    file.write_text(with_packages(file.read_text(encoding="utf-8")), encoding="utf-8")
