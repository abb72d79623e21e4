"""The saved outputs of the study's notebooks, compared with a run."""

import subprocess
import sys


def test_notebooks_run_and_print_their_saved_outputs(project, warm_environment):
    script = project / "tests" / "notebooks" / "check.py"
    done = subprocess.run(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=warm_environment,
    )
    assert done.returncode == 0, done.stdout
