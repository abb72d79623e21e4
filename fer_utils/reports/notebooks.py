"""Running a notebook strictly, and the same bytes for the same results.

The run is papermill's; what it lets pass in silence is an error here: an unknown parameter, a notebook
without a parameters cell, a run that stops half-way. The executed notebook is rid of what differs between two
runs with the same results, and rendered as HTML in the study's style.
"""

import ast
import io
import logging
import re
import sys
import tokenize
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from fer_utils.errors import StudyError
from fer_utils.paths import root
from fer_utils.storage import atomic_file

NOTEBOOKS = {
    "explore": "01_explore",
    "replicate": "02_replicate",
    "tune": "03_tune",
    "final_model": "04_final_model",
    "analyse_errors": "05_analyse_errors",
    "serve": "06_serve",
}
"""Stages of the pipeline that are a notebook, in the order they are read."""

TEMPLATES = Path(__file__).parent / "templates"
SHEETS = ("study.css", "study/report.css")

PARAMETERS, INJECTED = "parameters", "injected-parameters"


class Parameter(NamedTuple):
    """A parameter of a notebook: its name, its value as Python source, and the comment beside it."""

    name: str
    value: str
    comment: str


def run_notebook(
    source: Path, executed: Path, html: Path, parameters: dict[str, Any], cwd: Path
) -> None:
    """Run a notebook with papermill and write the executed notebook and its HTML, both or neither.

    The kernel is the running interpreter's, whatever kernelspecs are installed. A notebook that fails stays
    in build/failed/ below the study's root, as far as it got, and its traceback goes to stderr.

    Args:
        source: the notebook; it is not changed.
        executed: where the executed notebook goes, without timings, progress bars and widgets.
        html: where its HTML goes, one file that fetches nothing.
        parameters: values for names that the cell tagged `parameters` assigns; literals.
        cwd: the kernel's working directory.

    Raises:
        StudyError: the notebook is missing, unreadable or has no cell tagged `parameters`; a parameter is
            unknown; a cell fails, ends the run or kills the kernel.
    """
    notebook = read_notebook(source)
    declared = [parameter.name for parameter in declared_parameters(notebook, source.name)]
    if unknown := [name for name in parameters if name not in declared]:
        raise StudyError(
            f"{source.name}: unknown parameter {', '.join(map(repr, unknown))}. Its parameters cell declares "
            f"{', '.join(declared) or 'none'}. Correct the name, or declare it in that cell."
        )

    kept = root() / "build" / "failed" / executed.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Their places are taken before anything runs: where they cannot be had, nobody waits for it in vain.
    with atomic_file(html) as page, atomic_file(executed) as file:
        result = _execute(source, notebook, kept, parameters, Path(cwd).resolve())
        normalise(result, notebook)
        nbformat.write(result, file)
        page.write_text(render_html(result, source.stem), encoding="utf-8")
    kept.unlink(missing_ok=True)


def read_notebook(path: Path) -> NotebookNode:
    """The notebook at `path`. Raises StudyError where it is missing or no notebook of format 4."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except nbformat.reader.NotJSONError:
        raise StudyError(
            f"{path}: expected a Jupyter notebook, found a file that is no JSON."
        ) from None
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as problem:
        found = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise StudyError(
            f"{path}: expected a Jupyter notebook, found {found}. Check the path."
        ) from None
    return notebook


def declared_parameters(notebook: NotebookNode, name: str = "notebook") -> list[Parameter]:
    """What the cell tagged `parameters` assigns, in its order. Raises StudyError where there is none."""
    cell = _tagged(notebook, PARAMETERS)
    if cell is None:
        raise StudyError(
            f"{name}: expected one code cell tagged 'parameters', found none. Tag the cell that assigns the "
            "parameters (in JupyterLab: the gear at the top right, Cell Tags)."
        )
    try:
        return _assignments(cell.source)
    except SyntaxError as problem:
        raise StudyError(
            f"{name}: expected plain assignments in the parameters cell, found {problem.msg} "
            f"in its line {problem.lineno}."
        ) from None


def used_parameters(notebook: NotebookNode) -> list[Parameter]:
    """The parameters of an executed notebook with the values of its run and the source's comments."""
    injected = _tagged(notebook, INJECTED)
    given = {p.name: p.value for p in _assignments(injected.source)} if injected else {}
    return [p._replace(value=given.get(p.name, p.value)) for p in declared_parameters(notebook)]


def _tagged(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return next((cell for cell in code if tag in cell.metadata.get("tags", ())), None)


def _assignments(source: str) -> list[Parameter]:
    # papermill's own inspection goes by lines and loses a value or comment that holds an equals sign.
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for statement in ast.parse(source).body:
        targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        value = ast.get_source_segment(source, statement.value) or ""
        comment = comments.get(statement.end_lineno or 0, "")
        found += [
            Parameter(target.id, value, comment)
            for target in targets
            if isinstance(target, ast.Name)
        ]
    return found


def _execute(
    source: Path, notebook: NotebookNode, kept: Path, parameters: dict[str, Any], cwd: Path
) -> NotebookNode:
    import papermill
    import zmq
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import CellControlSignal, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets import default

    class OwnKernel(AsyncKernelManager):
        """Starts ipykernel with this interpreter: with no folder to look in, only the native one is found.

        A kernelspec named python3 in the user's folders would otherwise take its place.
        """

        @default("kernel_spec_manager")
        def _native_only(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

        @default("transport_encryption")
        def _private(self) -> str:
            return "auto" if zmq.has("curve") else "disabled"

    clean = deepcopy(notebook)
    # A notebook saved in another kernel names it here, and papermill would ask for its translator.
    clean.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    unparameterised = kept.with_name(f".{kept.name}")
    nbformat.write(clean, unparameterised)
    # Its checks of parameters go by lines, and warn of what it misread; ours came before.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        result = papermill.execute_notebook(
            _escaped(unparameterised),
            _escaped(kept),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": source.stem, "dynamic_ncols": True},
            cwd=cwd,
            kernel_manager_class=OwnKernel,
        )
    except PapermillExecutionError as failure:
        print("\n".join(failure.traceback), file=sys.stderr)
        raise _failed(source, kept, f"{failure.ename}: {failure.evalue}") from None
    except (DeadKernelError, CellControlSignal) as failure:
        raise _failed(source, kept, f"{type(failure).__name__}: {failure}") from None
    finally:
        unparameterised.unlink(missing_ok=True)

    # papermill takes sys.exit() for success and leaves the rest of the notebook unrun.
    code = [cell for cell in result.cells if cell.cell_type == "code" and cell.source.strip()]
    if any(cell.execution_count is None for cell in code):
        raise _failed(source, kept, "SystemExit: the run ended there, with cells left to run")
    return result


def _escaped(path: Path) -> str:
    """`path` for papermill, which reads braces in a path as places for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _failed(source: Path, kept: Path, what: str) -> StudyError:
    """The error for a run that stopped: papermill left the notebook at `kept`, as far as it got."""
    partial = nbformat.read(kept, as_version=4)
    code = [cell for cell in partial.cells if cell.cell_type == "code"]
    own = [cell for cell in code if INJECTED not in cell.metadata.get("tags", ())]
    # Not the execution count: a kernel that dies at once never reports it.
    ran = [number for number, cell in enumerate(own, start=1) if cell.metadata.papermill.start_time]
    number = ran[-1] if ran else 1
    lines = own[number - 1].source.strip().splitlines() if own else []
    with suppress(ValueError):
        kept = kept.relative_to(Path.cwd())
    return StudyError(
        f"{source.name}, code cell {number} (`{lines[0] if lines else ''}`) failed with {what}\n"
        f"The notebook as far as it got is {kept}."
    )


# What text in a notebook says about one run only. tqdm's line is "fit:  40%|####  | 2/5 [...]" or, with no
# total, "2it [00:01, 1.9it/s]". absl and TensorFlow stamp their log with time and process.
_TQDM = re.compile(r"\d+%\|.*\| .*\[.*\]\s*$|\d+\S* \[\d\d:\d\d.*/s\]\s*$")
_STAMP = re.compile(
    r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?=[IWEF] )|([IWEF])\d{4} \d\d:\d\d:\d+\.\d+ +\d+ )",
    re.M,
)
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]+")
_STYLER = re.compile(r'<table id="(T_[0-9a-f]{5})"')
_WIDGET = "application/vnd.jupyter.widget-view+json"


def normalise(executed: NotebookNode, source: NotebookNode) -> None:
    """Take out of an executed notebook, in place, what differs between two runs with the same results.

    That is timings, papermill's notes, cell ids that `source` does not have, widgets and their state, tqdm's
    bars, stamps of the log, addresses of objects, and the random ids of pandas' styled tables. Neighbouring
    pieces of stdout and stderr become one each.
    """
    for key in ("papermill", "widgets"):
        executed.metadata.pop(key, None)
    own = {cell.get("id") for cell in source.cells}
    for number, cell in enumerate(executed.cells):
        if INJECTED in cell.metadata.get("tags", ()):
            cell.id = INJECTED
        elif cell.get("id") not in own:
            cell.id = f"cell-{number}"
        for key in ("papermill", "execution", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
            cell.outputs = _merge_streams(shown)
            for output in cell.outputs:
                _normalise_data(output.get("data", {}), cell.id)


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed between two other outputs: one stdout, then one stderr, neither empty."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            run: list[NotebookNode] = []
            while merged and merged[-1].output_type == "stream":
                run.insert(0, merged.pop())
            same = next((stream for stream in run if stream.name == output.name), None)
            if same:
                same.text += output.text
            else:
                run.append(output)
            merged += sorted(run, key=lambda stream: stream.name == "stderr")
        else:
            merged.append(output)
    for output in merged:
        if output.output_type == "stream":
            output.text = _settled(output.text, drop_bars=output.name == "stderr")
    return [output for output in merged if output.output_type != "stream" or output.text]


def _settled(text: str, drop_bars: bool) -> str:
    """What a terminal would show in the end, without progress bars, stamps and addresses."""
    if drop_bars:
        pieces = re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", text)
        text = "".join(piece for piece in pieces if not _TQDM.search(piece))
    while (shorter := re.sub(r"[^\n\x08]\x08", "", text)) != text:
        text = shorter
    *lines, last = text.split("\n")
    # A carriage return begins its line anew, unless it ends it.
    lines = [
        line.removesuffix("\r").rpartition("\r")[2] + "\r" * line.endswith("\r") for line in lines
    ]
    text = "\n".join([*lines, last.rpartition("\r")[2]]).replace("\x1b[A", "")
    return _ADDRESS.sub("0x…", _STAMP.sub(lambda stamp: f"{stamp[1]} " if stamp[1] else "", text))


def _normalise_data(data: dict[str, Any], cell: str) -> None:
    for kind, value in data.items():
        if kind == "text/plain":
            data[kind] = _ADDRESS.sub("0x…", value)
        elif kind == "text/html":
            for number, styled in enumerate(_STYLER.findall(value)):
                value = value.replace(styled, f"T_{cell}_{number}")
            data[kind] = value


def label(name: str) -> str:
    """What a notebook is called in a link: "Analyse errors" for 05_analyse_errors."""
    return name.partition("_")[2].replace("_", " ").capitalize()


def render_html(notebook: NotebookNode, name: str) -> str:
    """The executed notebook as one HTML page in the study's style, which fetches nothing.

    Args:
        notebook: executed; its `parameters` cells are shown as one table of the values used. An image's
            alternative text is `alt` in its output's metadata or in its cell's.
        name: the notebook's name without suffix; for one of `NOTEBOOKS` the page links its neighbours, which
            lie beside it, and the index, one folder up.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="study", extra_template_basedirs=[str(TEMPLATES)])
    exporter.exclude_anchor_links = True
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    heading = re.search(r"^# +(.+)$", notebook.cells[0].source, re.M) if notebook.cells else None
    study = {
        "name": name,
        "title": heading[1].strip() if heading else label(name),
        "pages": [
            {"name": page, "number": int(page[:2]), "label": label(page)}
            for page in NOTEBOOKS.values()
        ],
        "parameters": used_parameters(notebook),
        "css": "\n".join(
            [(TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in SHEETS]
            + [_code_colours()]
        ),
    }
    page, _ = exporter.from_notebook_node(notebook, resources={"study": study})
    return re.sub(rf'href="((?:{"|".join(NOTEBOOKS.values())}))\.ipynb', r'href="\1.html', page)


def _code_colours() -> str:
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n.highlight {{ background: var(--raised); }}"
