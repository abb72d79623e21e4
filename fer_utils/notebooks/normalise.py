"""Normalise executed notebooks: the same results are the same bytes."""

import re
from typing import Any

from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

from fer_utils.notebooks.parameters import INJECTED

# tqdm writes "fit:  40%|####  | 2/5 [...]" or, without a total, "2it [00:01, 1.9it/s]".
BAR = re.compile(r".*(?:\d+%\|.*\| .*\[.*\]|\d+\S* \[\d\d:\d\d.*/s\])\s*?(?:\n|$)")
# absl and TensorFlow log the time and the process.
_STAMP = re.compile(
    r"^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: (?=[IWEF] )|([IWEF])\d{4} \d\d:\d\d:\d+\.\d+ +\d+ )",
    re.M,
)
_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]+")
_STYLER = re.compile(r'<table id="(T_[0-9a-f]{5})"')
_WIDGET = "application/vnd.jupyter.widget-view+json"


def normalise(executed: NotebookNode, source: NotebookNode) -> None:
    """Remove from an executed notebook, in place, all that differs between runs with equal results.

    Removed are timings, papermill's metadata, cell ids that `source` does not have, widgets, tqdm's
    bars, log stamps, addresses of objects, and the random ids of pandas' styled tables.
    Neighbouring pieces of stdout become one, and those of stderr too.
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
            _normalise_outputs(cell)


def _normalise_outputs(cell: NotebookNode) -> None:
    outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
    # The kernel sends stdout and stderr in pieces, whose order depends on the moment.
    cell.outputs = _sorted_streams(outputs)
    CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = _without_stamps(output.text)
            if output.name == "stderr":
                output.text = BAR.sub("", output.text)
        _normalise_data(output.get("data", {}), cell.id)
    cell.outputs = [o for o in cell.outputs if o.output_type != "stream" or o.text.strip()]


def _sorted_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Put stdout before stderr between two other outputs."""
    ordered: list[NotebookNode] = []
    streams: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            streams.append(output)
            continue
        ordered += [*sorted(streams, key=lambda stream: stream.name == "stderr"), output]
        streams = []
    return ordered + sorted(streams, key=lambda stream: stream.name == "stderr")


def _without_stamps(text: str) -> str:
    text = _STAMP.sub(lambda stamp: f"{stamp[1]} " if stamp[1] else "", text.replace("\x1b[A", ""))
    return _ADDRESS.sub("0x…", text)


def _normalise_data(data: dict[str, Any], cell: str) -> None:
    for kind, value in data.items():
        if kind == "text/plain":
            data[kind] = _ADDRESS.sub("0x…", value)
        elif kind == "text/html":
            for number, styled in enumerate(_STYLER.findall(value)):
                value = value.replace(styled, f"T_{cell}_{number}")
            data[kind] = value
