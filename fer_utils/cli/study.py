"""`fer-study study`, which `make study` calls: run the pipeline with DVC."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.paths import root
from fer_utils.warm import preloaded_python

PROFILES = "conf/profile"

PRELOADED = (
    *("ipykernel.kernelapp", "matplotlib_inline.backend_inline", "pandas.io.formats.style"),
    *("fer_utils.plots", "fer_utils.tuning", "fer_utils.analysis", "fer_utils.release.export"),
    *("fer_utils.notebooks.metrics", "fer_utils.results.ensembles"),
    *("papermill", "jupyter_client.manager", "fer_utils.notebooks.runner"),
    *("nbconvert", "fer_utils.reports.index", "fer_utils.reports.trials"),
)
"""What the stages, the notebooks and their kernel import; imported once for all of them."""

# DVC records an experiment as a git commit on no branch. A commit needs an author.
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
    """Run the stages that have changed. Returns the path of the index page.

    Args:
        profile: the name of a file in conf/profile/, which sets networks and budgets.
        data: Kaggle's CSV, packed or not, or a folder of images; None is the profile's own. It and
            `votes` are relative to the working folder.
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
                "The profile 'sample' trains small networks for a few epochs. Add PROFILE=cpu for "
                "networks of full size, which take about a day on two cores."
            )
    if votes is not None:
        settings.append(f"prepare.votes={quoted(str(_whole(votes, 'VOTES')))}")
    command = ["dvc", "exp", "run"]
    for setting in (*settings, *changes):
        command += ["-S", setting]
    if not (root() / "dvc.lock").exists():
        print(
            "This is the first run here. DVC now warns of each output that does not exist yet.",
            flush=True,
        )
    # DVC writes paths in UTF-8, whatever the locale.
    environment = os.environ | _identity() | {"PYTHONUTF8": "1"}
    with preloaded_python(PRELOADED) as variables:
        done = subprocess.run(
            [os.fsencode(word) for word in command], cwd=root(), env=environment | variables
        )
    if done.returncode:
        raise StudyError(
            f"study: expected every stage to succeed, found status {done.returncode} of "
            "`dvc exp run`. Its output above names the stage and the reason."
        )
    return root() / "reports" / "index.html"


def quoted(text: str) -> str:
    """Quote a text for Hydra's grammar, in which many signs have a meaning.

    See https://hydra.cc/docs/advanced/override_grammar/basic/#quoted-values.
    """
    # Backslashes need doubling only before a quote.
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
            f"{name}: expected a path in UTF-8, as DVC's files are, found {path!r}. Rename it."
        ) from None
    if "${" in str(path) or "\n" in str(path):
        raise StudyError(
            f"{name}: expected a path without '${{' and line ends, which DVC's files cannot "
            f"contain, found {path!r}. Rename it."
        )
    return path


def _identity() -> dict[str, str]:
    """An author for git if the user has set none."""
    asked = subprocess.run(["git", "config", "user.email"], cwd=root(), capture_output=True)
    return {} if asked.stdout.strip() else _IDENTITY
