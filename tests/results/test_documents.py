"""README.md and docs/results.md contain the numbers of the committed tables."""

import re
import shutil

import pytest

from fer_utils.errors import StudyError
from fer_utils.evaluation.published import PUBLISHED, read_results
from fer_utils.results.aggregates import read_confusion
from fer_utils.results.differences import read_differences
from fer_utils.results.documents import (
    documents,
    headline_rows,
    render,
    write_results,
)

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


def test_the_readmes_sentences_have_the_numbers_of_the_tables(project):
    """Each percentage outside the table is one of docs/results.md, or rounds one of results.csv."""
    results = read_results(project / "reports" / "evidence")
    page = (project / "README.md").read_text(encoding="utf-8")
    tables = r"<!-- (\w+): written.*?end of \1 -->"
    prose = " ".join(re.sub(tables, "", page, flags=re.S).split())
    ensemble, single = headline_rows(results, ("ensemble", "small_resnet")).to_dict("records")
    for row in (ensemble, single):
        mean, low, high = (100 * row[f"private_{key}"] for key in ("accuracy", "low", "high"))
        assert f"{mean:.1f} % (95 % interval {low:.1f} to {high:.1f}) on PrivateTest" in prose
    for fact in (
        f"{single['parameters'] / 1e6:.1f} million parameters",
        f"in {single['minutes']:.0f} minutes on two processor cores",
        f"mean of {len(single['seeds'].split(','))} seeds with test-time augmentation",
    ):
        assert fact in prose
    known = {
        f"{100 * score:.1f}" for score in results.filter(regex="_(accuracy|low|high)$").stack()
    }
    number = r"\d+(?:[.,]\d+)?"
    known |= set(re.findall(number, (project / "docs" / "results.md").read_text(encoding="utf-8")))
    shown = set(re.findall(rf"({number}) (?:%|errors)", prose))
    shown |= {end for ends in re.findall(rf"\(({number}) to ({number})\)", prose) for end in ends}
    assert {"71.16", "8.0", "38", "1,069", "69.0"} <= shown <= known


def test_a_block_is_replaced_and_the_text_around_it_stays():
    page = f"before\n{START}\nold\n<!-- end of results -->\nafter\n"
    found = render(page, {"results": r"| new \1 |"}, "a page")
    assert found == page.replace("old", r"| new \1 |")


def test_the_markers_name_the_program_that_writes_the_block():
    page = f"{START}\nold\n<!-- end of results -->\n"
    other = page.replace("fer-study results --write", "python other.py")
    assert render(other, {"results": "new"}, "a page", "python other.py") == other.replace(
        "old", "new"
    )
    with pytest.raises(StudyError, match=r"a page: expected the markers .*python other\.py"):
        render(page, {"results": "new"}, "a page", "python other.py")


@pytest.mark.parametrize("page", ["", START, "<!-- end of results -->"])
def test_a_page_without_markers_is_an_error(page):
    with pytest.raises(StudyError, match="a page: expected the markers"):
        render(page, {"results": "new"}, "a page")


def test_numbers_are_written_with_their_intervals(blocks_of):
    blocks = blocks_of["docs/results.md"]
    lines = blocks["differences"].splitlines()[2:]
    assert lines and all(re.search(r"[+−]\d+\.\d \([+−]", line) for line in lines)
    assert "+9.6 (+8.1 to +11.2)" in blocks["tuning"]


def test_published_accuracies_have_the_digits_and_the_images_of_their_source(blocks_of):
    page = blocks_of["docs/results.md"]["published"]
    for known in PUBLISHED:
        assert f"| {known.name} | {100 * known.accuracy:.4g}" in page
    for shown in ("| 71.16 | PrivateTest |", "| 65 ± 5 | other images |", "| 75.2 | PrivateTest |"):
        assert shown in page
    assert (
        "| [arXiv 2105.03588](https://arxiv.org/abs/2105.03588), [GitHub](https://github.com/"
        in page
    )
    assert not re.search(r"(?<!https://)(github\.com|arxiv\.org)", page)
    table = blocks_of["README.md"]["results"]
    assert "| *Tang, CNN with L2-SVM* |  |  | 71.16 |  |" in table
    assert "| *Human accuracy, other images* |  |  | 65 ± 5 |  |" in table


def test_the_readmes_table_is_small_and_names_the_seeds(blocks_of):
    lines = blocks_of["README.md"]["results"].splitlines()
    assert len(lines) <= 2 + 6 and all(line.count(" |") <= 5 for line in lines)
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    assert {"small_resnet, TTA, 3 seeds", "baseline_cnn, 1 seed"} < set(names)
    assert "ensemble (4 networks), TTA" in names


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
    best = 100 * results["public_accuracy"].max()
    for name, shown in (("README.md", f"{best:.1f} ("), ("docs/results.md", f"{best:.2f} (")):
        assert f"| {shown}" in (study / name).read_text(encoding="utf-8")


def test_without_markers_nothing_is_written(study):
    (study / "docs" / "results.md").write_text("no markers")
    evidence = study / "reports" / "evidence"
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    with pytest.raises(StudyError, match=r"docs/results\.md: expected the markers"):
        differences = read_differences(evidence).head(1)
        write_results(read_results(evidence), differences, read_confusion(evidence), study)
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before
