"""The commands of docs/first_hour.md, run unchanged and in their order in a fresh clone."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from budget import BUDGET
from clone import Clone
from PIL import Image
from skimage import data
from study_cases import write_csv

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "first_hour.md").read_text(encoding="utf-8")
BLOCKS = dict(
    (title, re.findall(r"^<!-- in order -->\n```bash\n(.*?)^```$", section, re.M | re.S))
    for title, section in re.findall(r"^## (.*?) \(.*?\)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
)


def test_all_sections_except_two_have_commands():
    assert [title for title, blocks in BLOCKS.items() if not blocks] == [
        "A page that reads faces",
        "Your own network",
    ]
    written = re.findall(r"^```bash\n", PAGE, re.M)
    assert sum(map(len, BLOCKS.values())) == len(written) - 1


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """A clone with a very small sample profile, and with a reader's identity, photo and CSV."""
    made = Clone(tmp_path_factory.mktemp("hour"))
    profile = made.root / "conf" / "profile" / "sample.yaml"
    given = yaml.safe_load(profile.read_text(encoding="utf-8"))
    for stage, section in BUDGET.items():
        given.setdefault(stage, {}).update(section)
    profile.write_text("# @package _global_\n" + yaml.safe_dump(given), encoding="utf-8")
    made.run("git", "config", "user.email", "reader@localhost")
    made.run("git", "config", "user.name", "reader")
    made.run("git", "commit", "--quiet", "--all", "--message", "small")
    own = made.root / "path" / "to"
    own.mkdir(parents=True)
    Image.fromarray(data.astronaut()).save(own / "photo.jpg")
    write_csv(own / "fer2013.csv")
    return made


@pytest.fixture(scope="module")
def output(clone) -> dict[str, str]:
    """The output of each section's commands, run in order. A failing command ends the tests."""
    found = {}
    for title, blocks in BLOCKS.items():
        for block in blocks:
            found[title] = (
                found.get(title, "") + clone.run("bash", "-euo", "pipefail", "-c", block).stdout
            )
    return found


@pytest.mark.slow
def test_the_study_ends_with_its_index(clone, output):
    assert (
        output["The whole study"]
        .splitlines()[-1]
        .endswith(str(clone.root / "reports" / "index.html"))
    )


@pytest.mark.slow
def test_the_notebook_ran_with_another_parameter_beside_the_pipeline(clone, output):
    own = clone.root / "reports" / "own" / "05_analyse_errors-1"
    ran = nbformat.read(own / "05_analyse_errors.ipynb", as_version=4)
    (given,) = [
        cell.source for cell in ran.cells if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert 'split = "PublicTest"' in given and ran.cells[-1].get("execution_count", 1)
    assert (own / "05_analyse_errors.html").stat().st_size > 100_000, "no figures"
    assert list((own / "figures").glob("*.pdf")) and list((own / "tables").glob("*.csv"))
    kept = json.loads(
        (clone.root / "reports" / "metrics" / "analyse_errors.json").read_text(encoding="utf-8")
    )
    assert kept["split"] == "PrivateTest"


@pytest.mark.slow
def test_the_experiments_are_compared(clone, output):
    shown = output["Two experiments compared"]
    (row,) = re.findall(r"\[shorter\] +(\S+) +(\S+)", shown)
    assert row[1] == "3" and 0 <= float(row[0]) <= 1
    assert re.search(r"^params.yaml +final_model.epochs +1 +3 +2$", shown, re.M)
    page = (clone.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    assert "PublicTest accuracy by epoch" in page and "shorter" in page and "HEAD" in page
    params = yaml.safe_load((clone.root / "params.yaml").read_text(encoding="utf-8"))
    assert params["final_model"]["epochs"] == 1


@pytest.mark.slow
def test_the_pushed_results_are_pulled_elsewhere(clone, output):
    assert output["Results shared"].rstrip().endswith("Data and pipelines are up to date.")
    elsewhere = Path(clone.environment["HOME"]) / "fer-elsewhere"
    files = ["index.html", *(f"metrics/{stage}.json" for stage in BUDGET)]
    for name in files:
        assert (elsewhere / "reports" / name).read_bytes() == (
            clone.root / "reports" / name
        ).read_bytes(), name


@pytest.mark.slow
def test_the_readers_csv_is_audited_and_trained_on(output):
    shown = output["Your own FER-2013"]
    assert "420" in shown and re.search(r"^ +1 .*\d\.\d{4}", shown, re.M)


@pytest.mark.slow
def test_the_photo_is_classified_and_annotated(clone, output):
    assert re.search(r"(angry|disgust|fear|happy|sad|surprise|neutral)", output["A photo"])
    with Image.open(clone.root / "annotated.png") as drawn:
        assert np.asarray(drawn.convert("RGB")).std() > 20 and drawn.width == drawn.height >= 512


@pytest.mark.slow
def test_the_server_classifies_the_photo(output):
    answer = output["The server from the shell"]
    photo, _ = json.JSONDecoder().raw_decode(answer, answer.index('{"width"'))
    (face,) = photo["faces"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_git_status_shows_only_the_readers_files(clone, output):
    assert clone.changed() == ["annotated.png", "path/"]
