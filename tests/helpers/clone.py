"""A fresh clone of the project that uses the packages of the running interpreter."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


class Clone:
    """A clone of the last commit in `folder / name`, with an empty home and no git identity.

    Its .venv contains links to the parts of the running environment, and new `.ready` files, so
    that make does not install anything. PYTHONPATH selects the clone's own package, as an
    installation would.
    """

    def __init__(self, folder: Path, name: str = "study") -> None:
        self.root = folder / name
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(self.root)], check=True)
        venv = self.root / ".venv"
        venv.mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith(".ready"):
                (venv / part.name).symlink_to(part)
        for marker in (".ready", ".ready-serve", ".ready-dev"):
            (venv / marker).touch()

        home = folder / f"home-{name}"
        home.mkdir()
        # A test that make starts inherits make's settings (PROFILE=..., -j). git must not find an
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
        """Run a command in the clone. Its .venv comes first in PATH, as in the Makefile."""
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
        """The files that are changed or new to git."""
        return sorted(
            line[3:] for line in self.run("git", "status", "--porcelain").stdout.splitlines()
        )
