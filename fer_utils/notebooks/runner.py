"""Run a notebook strictly.

papermill runs it. Some faults that papermill ignores are errors here: an unknown parameter, a
notebook without a parameters cell, a run that stops half-way.
"""

import logging
import re
import shutil
import sys
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from fer_utils.errors import StudyError
from fer_utils.notebooks.normalise import BAR, normalise
from fer_utils.notebooks.parameters import (
    INJECTED,
    check_parameters,
    declared_parameters,
    read_notebook,
)
from fer_utils.paths import root
from fer_utils.storage import atomic_file
from fer_utils.warm import warm_python


def run_notebook(source: Path, executed: Path, parameters: dict[str, Any], cwd: Path) -> None:
    """Run a notebook with papermill and write the executed notebook.

    The kernel is the running interpreter's, independent of installed kernelspecs. A failed notebook
    stays in build/failed/ below the study's root with the outputs so far, and its traceback goes to
    stderr.

    Args:
        source: the notebook; it is not changed.
        executed: the executed notebook, without timings, progress bars and widgets.
        parameters: values for names that the cell tagged `parameters` assigns; literals.
        cwd: the kernel's working directory.

    Raises:
        StudyError: the notebook is missing, unreadable or has no cell tagged `parameters`; a
            parameter is unknown or has another type; a cell fails, ends the run or kills the
            kernel.
    """
    notebook = read_notebook(source)
    check_parameters(parameters, declared_parameters(notebook, source.name), source.name)

    failed = root() / "build" / "failed" / executed.name
    failed.parent.mkdir(parents=True, exist_ok=True)
    # The file is opened first: if it cannot be written, nothing is run in vain.
    with atomic_file(executed) as file:
        result = _execute(source, notebook, failed, parameters, Path(cwd).resolve())
        normalise(result, notebook)
        nbformat.write(result, file)
    failed.unlink(missing_ok=True)


def _execute(
    source: Path, notebook: NotebookNode, failed: Path, parameters: dict[str, Any], cwd: Path
) -> NotebookNode:
    import papermill
    import zmq
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient.exceptions import CellControlSignal, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets import default

    class OwnKernel(AsyncKernelManager):
        """Starts ipykernel with this interpreter.

        Without folders to search, only the native kernel is found. A kernelspec named python3 in
        the user's folders would otherwise replace it.
        """

        @default("kernel_spec_manager")
        def _native_only(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            python, *arguments = kernel_cmd
            await super()._async_launch_kernel([warm_python() or python, *arguments], **options)

        @default("transport_encryption")
        def _private(self) -> str:
            return "auto" if zmq.has("curve") else "disabled"

    clean = deepcopy(notebook)
    # A notebook that was saved in another kernel names it here, and papermill would look for it.
    clean.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    unparameterised = failed.with_name(f".{failed.name}")
    nbformat.write(clean, unparameterised)
    # papermill misreads some parameters and warns of them; they were checked before.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        result = papermill.execute_notebook(
            _escaped(unparameterised),
            _escaped(failed),
            parameters,
            kernel_name="python3",
            language="python",
            progress_bar={"desc": source.stem, "dynamic_ncols": True},
            stderr_file=_InnerBars(source.stem) if sys.stderr.isatty() else None,
            cwd=cwd,
            kernel_manager_class=OwnKernel,
        )
    except PapermillExecutionError as failure:
        print("\n".join(failure.traceback), file=sys.stderr)
        raise _failed(source, failed, f"{failure.ename}: {failure.evalue}") from None
    except (DeadKernelError, CellControlSignal) as failure:
        raise _failed(source, failed, f"{type(failure).__name__}: {failure}") from None
    finally:
        unparameterised.unlink(missing_ok=True)

    # papermill takes sys.exit() for success and leaves the other cells unrun.
    code = [cell for cell in result.cells if cell.cell_type == "code" and cell.source.strip()]
    if any(cell.execution_count is None for cell in code):
        raise _failed(source, failed, "SystemExit: the run ended there, with cells left to run")
    return result


class _InnerBars:
    """Shows the notebook's own progress bars, such as that of its trainings, in the terminal.

    They take turns with the bar of the notebook's cells, in the same line.

    Args:
        name: the notebook's.
    """

    def __init__(self, name: str) -> None:
        self.name, self.terminal = name, sys.stderr

    def write(self, text: str) -> None:
        """Show the last state in a piece of the notebook's stderr, if it is that of a bar."""
        last = re.split(r"[\r\n]+", text.rstrip("\r\n"))[-1]
        if BAR.search(last):
            width = shutil.get_terminal_size().columns - 1
            self.terminal.write("\r" + f"{self.name}: {last}"[:width].ljust(width))

    def flush(self) -> None:
        """Papermill calls this after each piece."""
        self.terminal.flush()


def _escaped(path: Path) -> str:
    """Escape braces in a path: papermill takes them for parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _failed(source: Path, failed: Path, what: str) -> StudyError:
    """The error of a failed run, whose partial notebook papermill left at `failed`."""
    partial = nbformat.read(failed, as_version=4)
    code = [cell for cell in partial.cells if cell.cell_type == "code"]
    own = [cell for cell in code if INJECTED not in cell.metadata.get("tags", ())]
    # The execution count is no help: a kernel that dies at once never reports it.
    ran = [number for number, cell in enumerate(own, start=1) if cell.metadata.papermill.start_time]
    number = ran[-1] if ran else 1
    lines = own[number - 1].source.strip().splitlines() if own else []
    with suppress(ValueError):
        failed = failed.relative_to(Path.cwd())
    return StudyError(
        f"{source.name}, code cell {number} (`{lines[0] if lines else ''}`) failed with {what}\n"
        f"The partly executed notebook is {failed}."
    )
