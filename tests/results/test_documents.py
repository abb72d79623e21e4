"""README.md and docs/results.md contain the numbers of the committed tables."""

import re
import shutil

import pytest

from fer_utils.errors import StudyError
from fer_utils.evaluation.published import read_results
from fer_utils.results.aggregates import read_confusion
from fer_utils.results.differences import read_differences
from fer_utils.results.documents import documents, render, write_results

START = "<!-- results: written by `fer-study results --write` -->"


@pytest.fixture(scope="module")
def blocks_of(project):
    """The blocks of each page, from the committed tables."""
    evidence = project / "reports" / "evidence"
    return documents(read_results(evidence), read_differences(evidence), evidence)


def test_the_pages_contain_the_committed_tables(project, blocks_of):
    """If not, run `fer-study results --csv FILE --write`."""
    for name, blocks in blocks_of.items():
        text = (project / name).read_text(encoding="utf-8")
        assert render(text, blocks, name) == text, name


def test_a_block_is_replaced_and_the_text_around_it_stays():
    page = f"before\n{START}\nold\n<!-- end of results -->\nafter\n"
    found = render(page, {"results": r"| new \1 |"}, "a page")
    assert found == page.replace("old", r"| new \1 |")


@pytest.mark.parametrize("page", ["", START, "<!-- end of results -->"])
def test_a_page_without_markers_is_an_error(page):
    with pytest.raises(StudyError, match="a page: expected the markers"):
        render(page, {"results": "new"}, "a page")


def test_numbers_are_written_with_their_intervals(blocks_of):
    blocks = blocks_of["docs/results.md"]
    lines = blocks["differences"].splitlines()[2:]
    assert lines and all(re.search(r"[+−]\d+\.\d \([+−]", line) for line in lines)
    assert "+9.6 (+8.1 to +11.2)" in blocks["tuning"]


@pytest.fixture
def study(project, tmp_path):
    """A copy of the evidence and the pages."""
    evidence = tmp_path / "reports" / "evidence"
    shutil.copytree(project / "reports" / "evidence", evidence)
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "docs/results.md"):
        shutil.copyfile(project / name, tmp_path / name)
    return tmp_path


def test_other_results_change_the_pages_and_the_tables(study):
    evidence = study / "reports" / "evidence"
    results, differences = read_results(evidence), read_differences(evidence)
    results["public_accuracy"] /= 2
    write_results(results, differences, read_confusion(evidence), study)
    assert read_results(evidence)["public_accuracy"].max() < 0.5
    best = f"{100 * results['public_accuracy'].max():.2f} ("
    for name in ("README.md", "docs/results.md"):
        assert best in (study / name).read_text(encoding="utf-8")


def test_without_markers_nothing_is_written(study):
    (study / "docs" / "results.md").write_text("no markers")
    evidence = study / "reports" / "evidence"
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    with pytest.raises(StudyError, match=r"docs/results\.md: expected the markers"):
        differences = read_differences(evidence).head(1)
        write_results(read_results(evidence), differences, read_confusion(evidence), study)
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
