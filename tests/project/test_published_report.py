"""The committed report in docs/report/: not stale, no face of FER-2013, no path, no network."""

import dataclasses
import os
import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from clone import Clone

from fer_utils.notebooks.findings import read_findings
from fer_utils.notebooks.parameters import NOTEBOOKS
from fer_utils.reports import publish

PROJECT = Path(__file__).resolve().parents[2]
REPORT = PROJECT / publish.REPORT
EVIDENCE = PROJECT / "reports" / "evidence"
PAGES = sorted(REPORT.rglob("*.html"))


def page(stage: str) -> BeautifulSoup:
    file = REPORT / "html" / f"{NOTEBOOKS[stage]}.html"
    return BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")


def test_it_was_made_from_the_evidence():
    assert publish.read_provenance(REPORT).evidence == publish.digest_of_evidence(EVIDENCE), (
        "the report is older than the evidence: `make report DATA=... VOTES=...`, `fer-study "
        "publish`"
    )


def test_it_has_all_pages_and_is_small():
    names = {file.stem for file in PAGES}
    assert names == {"index", "03_trials", *NOTEBOOKS.values()}
    assert sum(file.stat().st_size for file in PAGES) < 6_000_000


@pytest.mark.parametrize("stage", ["explore", "analyse_errors"])
def test_it_shows_no_face_of_the_data(stage):
    cells = {row.td.text: row.find_all("td")[1].text for row in page(stage).select("tr:has(td)")}
    assert cells["show_faces"] == "False"


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_pages_name_no_path_and_fetch_nothing(file):
    text = file.read_text(encoding="utf-8")
    assert re.findall(r"(?<![\w.~])/(?:home|root|Users|tmp|work|mnt)/[^\s<\"]*", text) == []
    soup = BeautifulSoup(text, "html.parser")
    fetched = [tag["src"] for tag in soup.select("[src]")]
    fetched += [tag["href"] for tag in soup.select("link[href]")]
    assert [address[:60] for address in fetched if not address.startswith("data:")] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_links_lead_to_files_of_the_repository(file):
    soup = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    links = {tag["href"].partition("#")[0] for tag in soup.select("a[href]")}
    local = {link for link in links if link and not link.startswith(("http", "mailto:"))}
    assert [link for link in local if not (file.parent / link).exists()] == []


def test_its_table_of_scores_has_the_numbers_of_the_evidence():
    text = page("final_model").get_text(" ")
    for row in pd.read_csv(EVIDENCE / "results.csv").to_dict("records"):
        for split in ("public", "private", "unleaked"):
            low, high = (100 * row[f"{split}_{end}"] for end in ("low", "high"))
            assert f"{100 * row[f'{split}_accuracy']:.2f}" in text, row["model"]
            assert f"({low:.1f}–{high:.1f})" in text, row["model"]


@pytest.mark.parametrize("stage", [stage for stage in NOTEBOOKS if stage != "serve"])
def test_the_committed_findings_are_on_its_pages(stage):
    findings = read_findings(EVIDENCE / "findings" / f"{stage}.json")
    text = " ".join(page(stage).get_text().split())
    assert findings
    for name, finding in findings.items():
        first = finding.replace("*", "").split(". ")[0]
        assert " ".join(first.split()).rstrip(".") in text, name


def test_the_digest_sees_every_file_that_the_report_is_computed_from(tmp_path):
    (tmp_path / "tuning").mkdir()
    (tmp_path / "results.csv").write_text("a")
    (tmp_path / "tuning" / "ledger.csv").write_text("b")
    before = publish.digest_of_evidence(tmp_path)
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "tune.json").write_text("{}")
    (tmp_path / "private_test_log.csv").write_text("when")
    assert publish.digest_of_evidence(tmp_path) == before
    (tmp_path / "tuning" / "ledger.csv").write_text("c")
    assert publish.digest_of_evidence(tmp_path) != before


@pytest.mark.slow
def test_rendered_anew_it_has_the_same_bytes(real_data, tmp_path):
    """Tables may differ in the fourth digit: other processors round the network's logits otherwise.

    Pages show fewer digits. Those of an AMD EPYC and of an Intel Xeon were the same.
    """
    study = Clone(tmp_path).root
    data = [f"DATA={real_data / 'fer2013.csv.gz'}", f"VOTES={real_data / 'fer2013new.csv'}"]
    environment = os.environ | {"PYTHONPATH": str(study)}
    subprocess.run(["make", "report", *data], cwd=study, env=environment, check=True, timeout=1800)
    before = publish.read_provenance(REPORT)
    again = study / "docs" / "again"  # as deep as docs/report, for its links
    publish.publish_report(study, again, before)
    for file in PAGES:
        new = again / file.relative_to(REPORT)
        assert new.read_bytes() == file.read_bytes(), file.name
    for folder in (publish.FINDINGS, publish.TABLES):
        for file in (EVIDENCE / folder).rglob("*.*"):
            made = study / file.relative_to(PROJECT)
            if file.suffix == ".csv":
                tables = (pd.read_csv(each) for each in (made, file))
                pd.testing.assert_frame_equal(*tables, rtol=0, atol=5e-4, obj=file.name)
            else:
                assert made.read_bytes() == file.read_bytes(), file.name
    assert dataclasses.asdict(before)["evidence"] == publish.digest_of_evidence(EVIDENCE)
