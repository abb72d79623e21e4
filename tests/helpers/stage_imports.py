"""The packages that a stage of the pipeline imports, directly or not."""

import ast
from pathlib import Path

import grimp
import nbformat

from fer_utils.notebooks.parameters import NOTEBOOKS

ENTRIES = {
    "prepare": {"fer_utils.data.sources"},
    "report": {"fer_utils.reports.index", "fer_utils.reports.trials"},
}
PAGE = {"fer_utils.reports.html"}


def stage_packages(stage: str, project: Path) -> list[str]:
    """Packages and single modules of fer_utils that decide what a stage writes, as sorted paths.

    plots/ is left out on purpose: a change of a figure's style must not rerun the pipeline. warm.py
    is left out because it only decides how fast an interpreter starts.
    """
    graph = grimp.build_graph("fer_utils", cache_dir=None)
    for module in {m for m in graph.modules if m.startswith(("fer_utils.plots", "fer_utils.warm"))}:
        graph.remove_module(module)
    if stage in NOTEBOOKS:
        notebook = project / "notebooks" / f"{NOTEBOOKS[stage]}.ipynb"
        names = _imports(notebook) | {"fer_utils.notebooks.runner"}
    else:
        names = ENTRIES.get(stage, PAGE)
    modules: set[str] = set()
    for name in names:
        # `from fer_utils.data import x` imports a module x, or a name from the package.
        module = name if name in graph.modules else name.rpartition(".")[0]
        if module in graph.modules and module != "fer_utils":
            modules |= {module} | graph.find_upstream_modules(module)
    tops = {module.split(".")[1] for module in modules if "." in module}
    paths = {f"fer_utils/{top}" for top in tops if (project / "fer_utils" / top).is_dir()}
    paths |= {f"fer_utils/{top}.py" for top in tops if not (project / "fer_utils" / top).is_dir()}
    # Both read the released model. Trainings name the weights that they start from in their
    # parameters.
    if "fer_utils/recognition" in paths or any("training.released" in name for name in names):
        paths.add("fer_utils/pretrained")
    return sorted(paths | {"fer_utils/__init__.py"})


def _imports(notebook: Path) -> set[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = [line for line in "\n".join(code).splitlines() if not line.startswith("%")]
    names = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("fer_utils.")}
