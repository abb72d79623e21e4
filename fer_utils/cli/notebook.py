"""`fer-study notebook`: run one notebook by hand, into a folder of its own."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from fer_utils.cli.stage import section
from fer_utils.cli.values import parse_change
from fer_utils.errors import StudyError
from fer_utils.notebooks.parameters import NOTEBOOKS, declared_parameters, read_notebook
from fer_utils.paths import MARKER, resolve, root
from fer_utils.storage import atomic_file


def run_by_hand(name: str, changes: Sequence[str] = (), out: Path | None = None) -> Path:
    """Run a notebook with its section of params.yaml and some changes.

    The pipeline's outputs and the notebook itself stay as they are: what the notebook writes goes
    to a new folder. It reads the pipeline's outputs, and shares its run store.

    Args:
        name: the notebook's number ("05" or "5"), its name or its stage.
        changes: parameters, each as `name=value` with a value in YAML.
        out: a folder that is empty or does not exist; None is a new one below reports/own/.

    Returns:
        The path of the HTML page.

    Raises:
        StudyError: there is no such notebook, a change or parameter is wrong (see `run_notebook`),
            `out` has files, or a cell fails.
    """
    stage = _stage(name)
    stem = NOTEBOOKS[stage]
    given = dict(parse_change(change, "-p") for change in changes)
    # YAML reads nothing as None. No parameter is None, and some are empty texts.
    given = {each: "" if value is None else value for each, value in given.items()}
    folder = _new_folder(resolve("reports/own") / stem) if out is None else out
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudyError(
            f"--out: expected nothing at {folder}, or an empty folder, found something else. Name "
            "another folder."
        )
    source = resolve(f"notebooks/{stem}.ipynb")
    parameters = section(stage) | _moved(stage, source, folder) | given

    from fer_utils.notebooks.runner import run_notebook
    from fer_utils.reports.html import render_html

    executed, page = folder / f"{stem}.ipynb", folder / f"{stem}.html"
    run_notebook(source, executed, parameters, cwd=root())
    with atomic_file(page) as file:
        file.write_text(render_html(read_notebook(executed), stem, alone=True), encoding="utf-8")
    return page


def _stage(name: str) -> str:
    for stage, stem in NOTEBOOKS.items():
        if name.removesuffix(".ipynb") in (stage, stem, stem[:2], stem[1:2]):
            return stage
    raise StudyError(
        f"notebook: expected one of {', '.join(NOTEBOOKS.values())} or its number, found {name!r}."
    )


def _new_folder(folder: Path) -> Path:
    """The folder with the next free number, so that earlier runs stay."""
    number = 1
    while (numbered := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return numbered


def _moved(stage: str, source: Path, folder: Path) -> dict[str, str]:
    """The parameters that name outputs of the stage, with paths in the folder instead."""
    pipeline = yaml.safe_load(resolve(MARKER).read_text(encoding="utf-8"))["stages"][stage]
    outputs = {*pipeline["outs"], *pipeline["metrics"]}
    moved = {}
    for parameter in declared_parameters(read_notebook(source), source.name):
        if (path := parameter.value.strip("'\"")) in outputs:
            last = parameter.name.removesuffix("_folder")
            last = last if last != parameter.name else Path(path).name
            moved[parameter.name] = str(folder.resolve() / last)
    return moved
