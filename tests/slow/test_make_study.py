"""`make study` in a fresh clone with the smallest budget.

The tests share one clone and run in their order in this file.
"""

import csv
import json
import re

import pytest
import yaml
from clone import Clone
from study_cases import STAGES, ran, setting, write_csv

from fer_utils.notebooks.parameters import NOTEBOOKS

pytestmark = pytest.mark.slow


def numbers(clone) -> dict:
    """The bytes of all files that must be equal in every run. They contain no times of serve."""
    kept = [
        *clone.root.glob("reports/metrics/*.json"),
        *clone.root.glob("reports/plots/*.csv"),
        *clone.root.glob("data/*/predictions.npz"),
        *clone.root.glob("data/prepared/*"),
    ]
    return {str(path.relative_to(clone.root)): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return Clone(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def first(clone):
    """The process of the first run, and the files of `numbers` after it."""
    assert clone.run("git", "config", "user.email", check=False).stdout == "", "git has an identity"
    done = clone.study(setting())
    return done, numbers(clone)


def test_the_first_run_ends_with_the_index(clone, first):
    done, left = first
    assert ran(done) == STAGES
    index = clone.root / "reports" / "index.html"
    assert done.stdout.splitlines()[-1].endswith(str(index))
    assert index.is_file()
    pages = sorted(path.stem for path in (clone.root / "reports" / "html").glob("*.html"))
    assert pages == sorted([*NOTEBOOKS.values(), "03_trials"])
    assert {f"reports/metrics/{stage}.json" for stage in NOTEBOOKS} <= set(left)


def test_imports_the_clones_package(clone):
    shown = clone.run(
        "python", "-c", "import fer_utils, sys; print(fer_utils.__file__, sys.prefix)"
    ).stdout
    assert shown.split() == [
        str(clone.root / "fer_utils" / "__init__.py"),
        str(clone.root / ".venv"),
    ]


def test_git_status_shows_only_the_lock_and_the_parameters(clone, first):
    assert clone.changed() == ["dvc.lock", "params.yaml"]


def test_dvc_repro_has_nothing_to_do(clone, first):
    done = clone.run("dvc", "repro")
    assert ran(done) == []
    assert "up to date" in done.stdout


def test_make_study_again_has_nothing_to_do(clone, first):
    assert ran(clone.study(setting())) == []
    assert numbers(clone) == first[1]


def test_dvc_shows_the_experiments(clone, first):
    rows = list(csv.DictReader(clone.run("dvc", "exp", "show", "--csv").stdout.splitlines()))
    here = next(row for row in rows if row["rev"] == "workspace")
    measured = json.loads(first[1]["reports/metrics/replicate.json"])["tang_l2svm"][
        "private_accuracy"
    ]
    assert float(here["tang_l2svm.private_accuracy"]) == measured
    assert [row["Experiment"] for row in rows if row["Experiment"]], "no experiment was recorded"

    pages = clone.run("dvc", "plots", "show").stdout
    assert "index.html" in pages
    page = (clone.root / "dvc_plots" / "index.html").read_text(encoding="utf-8")
    for title in (
        "PublicTest accuracy by epoch",
        "The search's trials",
        "Confusion of the final model",
    ):
        assert title in page
    assert clone.changed() == ["dvc.lock", "params.yaml"]


def test_another_parameter_runs_the_stages_that_depend_on_it(clone, first):
    done = clone.study(setting(analyse_errors__split="PublicTest"))
    assert ran(done) == ["analyse_errors", "report"]
    names = [
        re.search(r"^Ran experiment\(s\): (\S+)$", run.stdout, re.M)[1] for run in (first[0], done)
    ]
    diff = json.loads(clone.run("dvc", "metrics", "diff", "--json", *names).stdout)
    assert list(diff) == ["reports/metrics/analyse_errors.json"]
    split = diff["reports/metrics/analyse_errors.json"]["split"]
    assert (split["old"], split["new"]) == ("PrivateTest", "PublicTest")

    assert ran(clone.study(setting())) == [], "restored from DVC's cache"
    assert numbers(clone) == first[1]


def test_unknown_parameter_fails_and_is_named(clone, first):
    typo = clone.study(setting(replicate__epoch=1), check=False)
    assert typo.returncode != 0
    assert "replicate.epoch" in typo.stderr
    # Also as a new key of params.yaml, for which papermill would only warn.
    added = clone.study(setting().replace("SET=", "SET=+replicate.epoch=1 "), check=False)
    assert added.returncode != 0
    assert "02_replicate.ipynb: unknown parameter 'epoch'" in added.stderr
    assert "The study is at" not in added.stdout


def test_failing_cell_fails_and_is_named(clone, first):
    failed = clone.study(setting(analyse_errors__split="Test"), check=False)
    assert failed.returncode != 0
    assert re.search(r"05_analyse_errors\.ipynb, code cell 4 .* failed with", failed.stderr), (
        failed.stderr[-2000:]
    )
    assert "The study is at" not in failed.stdout
    assert ran(clone.study(setting())) == [], "restored from DVC's cache"
    assert numbers(clone) == first[1]


def test_missing_data_fails_and_is_named(clone, first):
    failed = clone.study("PROFILE=cpu", "DATA=missing.csv", check=False)
    assert failed.returncode != 0
    assert "missing.csv" in failed.stderr


def test_another_profile_and_back(clone, first, tmp_path):
    """A few drawn faces in Kaggle's CSV replace the real ones."""
    write_csv(tmp_path / "few.csv")
    done = clone.study("PROFILE=cpu", f"DATA={tmp_path / 'few.csv'}", setting())
    assert ran(done) == STAGES
    params = yaml.safe_load((clone.root / "params.yaml").read_text(encoding="utf-8"))
    assert (params["profile"], params["prepare"]["source"]) == ("cpu", "csv")
    assert params["replicate"]["batch_norm_momentum"] == 0.99
    explored = json.loads(
        (clone.root / "reports" / "metrics" / "explore.json").read_text(encoding="utf-8")
    )
    assert (explored["source"], explored["images"]) == ("csv", 420)
    assert explored["notices"], "these are not the counts of FER-2013"
    assert clone.changed() == ["dvc.lock", "params.yaml", "reports/evidence/private_test_log.csv"]

    assert ran(clone.study(setting())) == [], "restored from DVC's cache"
    params = yaml.safe_load((clone.root / "params.yaml").read_text(encoding="utf-8"))
    assert (params["profile"], params["prepare"]["source"]) == ("sample", "sample")
    assert numbers(clone) == first[1]


def test_after_make_clean_the_results_are_restored(clone, first):
    clone.run("make", "clean")
    assert not (clone.root / "reports" / "index.html").exists()
    assert "reports/html/.gitignore" not in clone.changed()
    assert ran(clone.study(setting())) == [], "restored from DVC's cache"
    assert numbers(clone) == first[1]


def test_from_scratch_the_numbers_are_the_same(clone, first, tmp_path):
    second = Clone(tmp_path, "elsewhere")
    assert ran(second.study(setting())) == STAGES
    again = numbers(second)
    assert sorted(again) == sorted(first[1])
    assert [path for path, content in again.items() if content != first[1][path]] == []
