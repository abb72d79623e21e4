"""Remove the traces of a run from notebooks, except the outputs that nbval compares.

Usage: `strip.py NOTEBOOK...`. nbstripout keeps the execution counts of all cells or of none, and
nbval skips cells without a count.
"""

import sys

import nbformat

MARK = "# NBVAL_CHECK_OUTPUT"
KEPT = ("tags", "alt", "caption")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def strip(notebook: nbformat.NotebookNode) -> None:
    """Keep sources, ids, tags, captions, alternative texts, and the outputs of marked cells.

    Cells with outputs get the execution counts of a run from top to bottom.
    """
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in KEPT if key in cell.metadata}
        )
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        kept = MARK in cell.source and cell.outputs
        cell.outputs, cell.execution_count = (cell.outputs, number) if kept else ([], None)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        read = nbformat.read(path, as_version=4)
        strip(read)
        nbformat.write(read, path)
