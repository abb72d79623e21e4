"""The console command `fer-study`: its parser, and a module or function for what each command does."""

import io
import os
import sys
from collections.abc import Sequence

from fer_utils.cli.parser import make_parser
from fer_utils.errors import StudyError

SERVE_EXTRA = ("flask", "waitress", "prometheus_client")
"""What the server imports; of the packages that are no part of the plain installation all others come with `study`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fer-study`. Returns the exit code: 0, or 2 for something that the user can mend."""
    # A name need not be one that the terminal's encoding has: what it lacks is written as an escape.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = make_parser().parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads, such as `head`, has seen enough. Python would try to write the rest as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell has it for what SIGPIPE ended
    # An OSError is no fault of the program either: a disk that is full, a folder that may not be written to.
    except (StudyError, OSError) as problem:
        print(f"fer-study: {problem}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as problem:
        package = (problem.name or "").partition(".")[0]
        if package in ("", "fer_utils"):
            raise
        extra = "serve" if package in SERVE_EXTRA else "study"
        print(
            f"fer-study: expected the package {package}, found it not installed. It comes with the extra {extra}: "
            f'`pip install ".[{extra}]"` in the project\'s folder.',
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("fer-study: interrupted", file=sys.stderr)
        return 130
    return 0
