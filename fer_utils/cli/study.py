"""The whole study as one command: `fer-study study`, which `make study` calls, asks DVC for it."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.paths import root

PROFILES = "conf/profile"

# DVC records an experiment as a git commit that is on no branch, which wants a name.
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "fer-study"), ("EMAIL", "fer-study@localhost"))
}


def run_study(
    profile: str = "sample",
    data: Path | None = None,
    votes: Path | None = None,
    changes: Sequence[str] = (),
) -> Path:
    """Run what has changed of the study, and give its index page.

    Args:
        profile: one of those in conf/profile/: what is trained, and for how long.
        data: faces to study in place of the profile's own: Kaggle's CSV in any packing, or a folder
            of images. Relative paths count from the working folder, here and for `votes`.
        votes: FER+ votes (fer2013new.csv).
        changes: other parameters, each as `section.name=value` in Hydra's grammar.

    Raises:
        StudyError: the profile is unknown, there is no such file, its path is not in UTF-8, or a
            stage fails.
    """
    known = sorted(path.stem for path in (root() / PROFILES).glob("*.yaml"))
    if profile not in known:
        raise StudyError(f"PROFILE: expected one of {', '.join(known)}, found {profile!r}.")
    settings = [f"profile={profile}"]
    if data is not None:
        from fer_utils.data.sources import source_of

        path = _whole(data, "DATA")
        source = source_of(path)
        settings += [f"prepare.source={source}", f"prepare.path={quoted(str(path))}"]
        print(f"The study reads {path} (source {source!r}).")
        if profile == "sample":
            print(
                "It trains small networks for a few epochs, as profile 'sample' says. Add PROFILE=cpu "
                "for networks and budgets that do real faces justice, about a day on two cores."
            )
    if votes is not None:
        settings.append(f"prepare.votes={quoted(str(_whole(votes, 'VOTES')))}")
    command = ["dvc", "exp", "run"]
    for setting in (*settings, *changes):
        command += ["-S", setting]
    # DVC writes paths in UTF-8, also where the locale has none.
    environment = os.environ | _identity() | {"PYTHONUTF8": "1"}
    done = subprocess.run([os.fsencode(word) for word in command], cwd=root(), env=environment)
    if done.returncode:
        raise StudyError(
            f"the study: expected every stage to end well, found status {done.returncode} of "
            "`dvc exp run`. What it says above names the stage and the reason."
        )
    return root() / "reports" / "index.html"


def quoted(text: str) -> str:
    """A text as a value in Hydra's grammar, which otherwise has a meaning for many signs.

    See https://hydra.cc/docs/advanced/override_grammar/basic/#quoted-values.
    """
    # Backslashes stand for themselves, but before a quote, where each must be doubled.
    text = re.sub(r'(\\*)(")', r"\1\1\\\2", text)
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return f'"{text}"'


def _whole(path: Path, name: str) -> Path:
    path = path.expanduser().resolve()
    if not path.exists():
        raise StudyError(f"{name}: expected a file or a folder, found nothing at {path}.")
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        raise StudyError(
            f"{name}: expected a path in UTF-8, which DVC's files can hold, found {path!r}. Rename it."
        ) from None
    if "${" in str(path) or "\n" in str(path):
        raise StudyError(
            f"{name}: expected a path without '${{' and without line ends, which have a meaning in "
            f"DVC's files, found {path!r}. Rename it."
        )
    return path


def _identity() -> dict[str, str]:
    """A name for git where the user has set none."""
    asked = subprocess.run(["git", "config", "user.email"], cwd=root(), capture_output=True)
    return {} if asked.stdout.strip() else _IDENTITY
