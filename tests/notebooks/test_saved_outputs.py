"""The study's notebooks, as they are saved, against what they give when they are run."""

import subprocess
import sys


# The longest test. Among files it comes first, and so beside all others where pytest has several workers.
def test_the_notebooks_run_and_give_what_is_saved_in_them(project):
    script = project / "tests" / "notebooks" / "check.py"
    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
