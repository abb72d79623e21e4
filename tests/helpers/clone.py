"""A fresh clone of the project that uses the running interpreter's packages, so that nothing is
installed anew."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


class Clone:
    """The project as committed, cloned to `folder / name`, and an environment with no git identity
    and an empty home.

    Its .venv holds links to the running environment's parts, and marks newer than what it was made
    from, so make takes it for installed. The package is the clone's own, as after its installation:
    PYTHONPATH comes before it.
    """

    def __init__(self, folder: Path, name: str = "study") -> None:
        self.root = folder / name
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(self.root)], check=True)
        venv = self.root / ".venv"
        venv.mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith(".ready"):
                (venv / part.name).symlink_to(part)
        for extra in ("serve", "study", "dev"):
            (venv / f".ready-{extra}").touch()

        home = folder / f"home-{name}"
        home.mkdir()
        # Started by make, a test inherits its settings (PROFILE=..., -j); and git must find no
        # identity.
        given = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MAKE", "MFLAGS", "GIT_", "FER_"))
        }
        for key in ("PROFILE", "DATA", "VOTES", "SET", "EMAIL", "XDG_CONFIG_HOME"):
            given.pop(key, None)
        self.environment = given | {
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": f"{venv / 'bin'}{os.pathsep}{given['PATH']}",
            "PYTHONPATH": str(self.root),
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "DVC_NO_ANALYTICS": "true",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the clone, whose .venv comes first in PATH, as its Makefile has it."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        if check:
            assert done.returncode == 0, (
                f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def study(self, *settings: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run `make study`."""
        return self.run("make", "study", *settings, check=check)

    def changed(self) -> list[str]:
        """The files that git sees as changed or new."""
        return sorted(
            line[3:] for line in self.run("git", "status", "--porcelain").stdout.splitlines()
        )
