"""The console command `fer-study`: its parser, and a function or module for each command.

Commands parse arguments and print. What they do belongs to the other packages.
"""

import io
import os
import sys
from collections.abc import Sequence

from fer_utils.cli.parser import make_parser
from fer_utils.errors import StudyError

SERVE_EXTRA = ("flask", "waitress", "prometheus_client")
"""Packages of the extra `serve`. All others that may be missing belong to the extra `study`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fer-study`. Returns the exit code: 0, or 2 for an error that the user can correct."""
    # A file's name may have signs that the terminal's encoding lacks. They are printed as escapes.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = make_parser().parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Python would write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # a shell's exit code for SIGPIPE
    # An OSError is the machine's: a full disk, a folder without write permission.
    except (StudyError, OSError) as problem:
        print(f"fer-study: {problem}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if package in ("", "fer_utils"):
            raise
        extra = "serve" if package in SERVE_EXTRA else "study"
        print(
            f"fer-study: expected the package {package}, found it not installed. It belongs to the "
            f'extra {extra}: `pip install ".[{extra}]"` in the project\'s folder.',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("fer-study: interrupted", file=sys.stderr)
        return 130
    return 0
