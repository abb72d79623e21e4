"""The names of the study's notebooks, and their parameters.

A notebook declares its parameters as plain assignments in one cell tagged `parameters`. papermill
injects other values in a cell below it.
"""

import ast
import io
import tokenize
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from fer_utils.errors import StudyError

NOTEBOOKS = {
    "explore": "01_explore",
    "replicate": "02_replicate",
    "tune": "03_tune",
    "final_model": "04_final_model",
    "analyse_errors": "05_analyse_errors",
    "serve": "06_serve",
}
"""The pipeline's stages that are notebooks, in reading order, and the notebooks' names."""

PARAMETERS, INJECTED = "parameters", "injected-parameters"


class Parameter(NamedTuple):
    """A parameter of a notebook: its name, its value as Python source, and the comment beside
    it."""

    name: str
    value: str
    comment: str


def label(name: str) -> str:
    """The text of a link to a notebook: "Analyse errors" for 05_analyse_errors."""
    return name.partition("_")[2].replace("_", " ").capitalize()


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook. Raises StudyError if it is missing or not a notebook of format 4."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except nbformat.reader.NotJSONError:
        raise StudyError(
            f"{path}: expected a Jupyter notebook, found a file that is not JSON. Check the path."
        ) from None
    except (OSError, ValueError, AttributeError, nbformat.ValidationError) as problem:
        found = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise StudyError(
            f"{path}: expected a Jupyter notebook, found {found}. Check the path."
        ) from None
    return notebook


def declared_parameters(notebook: NotebookNode, name: str = "notebook") -> list[Parameter]:
    """The parameters that a notebook declares, in order. Raises StudyError if it declares none."""
    cell = _tagged(notebook, PARAMETERS)
    if cell is None:
        raise StudyError(
            f"{name}: expected one code cell tagged 'parameters', found none. Tag the cell that "
            "assigns the parameters (in JupyterLab: the gear at the top right, Cell Tags)."
        )
    try:
        return _assignments(cell.source)
    except SyntaxError as problem:
        raise StudyError(
            f"{name}: expected plain assignments in the parameters cell, found {problem.msg} "
            f"in its line {problem.lineno}."
        ) from None


def check_parameters(given: dict[str, Any], declared: list[Parameter], name: str) -> None:
    """Check the names and types of parameters for a run.

    A number with a decimal point accepts a whole number, and no other type accepts another one.

    Args:
        given: values by parameter.
        declared: as returned by `declared_parameters`.
        name: the notebook's, for the message.

    Raises:
        StudyError: a parameter is not declared, or its value has another type.
    """
    values = {parameter.name: parameter.value for parameter in declared}
    if unknown := [each for each in given if each not in values]:
        raise StudyError(
            f"{name}: unknown parameter {', '.join(map(repr, unknown))}. Its parameters cell "
            f"declares {', '.join(values) or 'none'}. Correct the name, or declare it in that cell."
        )
    for each, value in given.items():
        try:
            default = ast.literal_eval(values[each])
        except ValueError:  # an expression
            continue
        allowed = (float, int) if isinstance(default, float) else (type(default),)
        if type(value) not in allowed:
            raise StudyError(
                f"{name}: expected for the parameter {each} a value like {values[each]}, found "
                f"{value!r}."
            )


def used_parameters(notebook: NotebookNode) -> list[Parameter]:
    """The parameters of an executed notebook, with the values of its run."""
    injected = _tagged(notebook, INJECTED)
    values = {p.name: p.value for p in _assignments(injected.source)} if injected else {}
    return [p._replace(value=values.get(p.name, p.value)) for p in declared_parameters(notebook)]


def _tagged(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return next((cell for cell in code if tag in cell.metadata.get("tags", ())), None)


def _assignments(source: str) -> list[Parameter]:
    # papermill's own inspection goes by lines, and loses values and comments with an equals sign.
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    for statement in ast.parse(source).body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        value = ast.get_source_segment(source, statement.value) or ""
        comment = comments.get(statement.end_lineno or 0, "")
        found += [Parameter(t.id, value, comment) for t in targets if isinstance(t, ast.Name)]
    return found
