"""The published report in docs/report/: the pages of the profile `published`, committed.

With the pages, the evidence gains the findings that runs on drawn faces show beside their own, and
the tables that the pages are made of.
"""

import dataclasses
import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from fer_utils.errors import StudyError
from fer_utils.notebooks.findings import FOLDER as FINDINGS
from fer_utils.notebooks.parameters import NOTEBOOKS, read_notebook, used_parameters
from fer_utils.paths import EVIDENCE
from fer_utils.reports.html import write_page
from fer_utils.reports.index import write_index
from fer_utils.reports.trials import write_trials_page
from fer_utils.results.scoring import LOG
from fer_utils.storage import Contents, atomic_folder

REPORT = "docs/report"
TABLES = "tables"
"""The folder of published tables in the evidence."""

PROVENANCE = "provenance.json"

PER_IMAGE = ("doubted_labels.csv", "duplicates.csv", "near_duplicates.csv")
"""Tables with a row for each image or pair of images. They are not published: they are large, and
a reader without FER-2013 has no use for them."""

_REPORT = Contents("a published report", PROVENANCE, ("index.html", "html/*.html"))


@dataclass(frozen=True)
class Provenance:
    """What a published report was made from, for the footer of its pages.

    Attributes:
        commit: the checked-out commit, abbreviated.
        date: of the rendering, as "2026-11-26".
        data: the data, in words.
        machine: the processor, in words.
        evidence: SHA-256 of the evidence, hexadecimal; see `digest_of_evidence`.
    """

    commit: str
    date: str
    data: str
    machine: str
    evidence: str


def make_provenance(root: Path, *, machine: str, date: str) -> Provenance:
    """The provenance of a report that is published now.

    Args:
        root: the study's folder, in which `make report` has run.
        machine: the processor, in words.
        date: today, as "2026-11-26".

    Raises:
        StudyError: the folder is no git checkout.
    """
    explored = _explored(root)
    votes = "no" if explored["votes"] is None else "with"
    return Provenance(
        commit=_commit(root),
        date=date,
        data=f"FER-2013, {explored['images']:,} images, {votes} FER+ votes",
        machine=machine,
        evidence=digest_of_evidence(root / EVIDENCE),
    )


def publish_report(root: Path, out: Path, provenance: Provenance) -> Path:
    """Write the report of a finished run of the profile `published`, and keep its findings.

    Args:
        root: the study's folder, in which `make report` has run.
        out: the folder of the report, in place of an earlier one.
        provenance: for the footer. With an earlier report's, the same run gives the same bytes.

    Returns:
        The index page.

    Raises:
        StudyError: the last run was of another profile, showed faces of the data, or was not on
            FER-2013; or `out` has other contents.
    """
    _expect_publishable(root)
    values = dataclasses.asdict(provenance)
    footer = {name: value for name, value in values.items() if name != "evidence"}
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(out, _REPORT) as target:
        pages = target / "html"
        pages.mkdir()
        for name in NOTEBOOKS.values():
            write_page(root, name, pages, footer=footer)
        write_trials_page(root, pages)
        write_index(target / "index.html", root=root, links=out, footer=footer)
        text = json.dumps(values, indent=2) + "\n"
        (target / PROVENANCE).write_text(text, encoding="utf-8")
    for name, pattern in ((FINDINGS, "*.json"), (TABLES, "*/*.csv")):
        _keep(root / "reports" / name, pattern, root / EVIDENCE / name)
    return out / "index.html"


def read_provenance(report: Path) -> Provenance:
    """Read the provenance of a published report. Raises StudyError if there is none."""
    file = Path(report) / PROVENANCE
    try:
        return Provenance(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as problem:
        raise StudyError(
            f"{file}: expected the provenance of a published report, found {problem}. Publish it "
            "again (`make report`, `fer-study publish`)."
        ) from None


def digest_of_evidence(evidence: Path) -> str:
    """SHA-256 over all that a report is computed from: the evidence without what a report adds.

    Args:
        evidence: the folder.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in sorted(evidence.rglob("*")):
        name = file.relative_to(evidence).as_posix()
        added = name.partition("/")[0] in (FINDINGS, TABLES, Path(LOG).name)
        if file.is_file() and not added:
            digest.update(f"{name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _expect_publishable(root: Path) -> None:
    profile = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8")).get("profile")
    if profile != "published":
        raise StudyError(
            f"publish: expected a run of the profile 'published', found {profile!r}. Run `make "
            "report DATA=fer2013.csv.gz VOTES=fer2013new.csv` first."
        )
    explored = _explored(root)
    if explored["drawn"] or explored["notices"]:
        found = "drawn faces" if explored["drawn"] else "; ".join(explored["notices"])
        raise StudyError(
            f"publish: expected FER-2013 from Kaggle's CSV, found {found}. Run `make report` with "
            "the CSV."
        )
    for stage in ("explore", "analyse_errors"):
        name = NOTEBOOKS[stage]
        notebook = read_notebook(root / "reports" / "notebooks" / f"{name}.ipynb")
        values = {parameter.name: parameter.value for parameter in used_parameters(notebook)}
        if values["show_faces"] != "False":
            raise StudyError(
                f"publish: expected {name} with show_faces = False, found {values['show_faces']}. "
                "FER-2013's faces must not be published. Run `make report` without SET."
            )


def _explored(root: Path) -> dict:
    return json.loads((root / "reports" / "metrics" / "explore.json").read_text(encoding="utf-8"))


def _keep(made: Path, pattern: str, folder: Path) -> None:
    """Copy the files that a run made to the evidence, in place of those of an earlier report."""
    with atomic_folder(folder, Contents(f"published {folder.name}", pattern)) as target:
        for file in sorted(made.glob(pattern)):
            if file.name not in PER_IMAGE:
                kept = target / file.relative_to(made)
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, kept)


def _commit(root: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        raise StudyError(
            f"publish: expected a git checkout at {root}, found none ({done.stderr.strip()})."
        )
    return done.stdout.strip()
