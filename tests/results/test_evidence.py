"""Evidence of real runs, and the table of results computed from it."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval, probabilities
from fer_utils.evaluation.published import TABLE, read_results
from fer_utils.results.differences import differences, read_differences
from fer_utils.results.documents import results_markdown
from fer_utils.results.ensembles import read_ensembles, select
from fer_utils.results.evidence import (
    available_runs,
    compute_results,
    evidence_runs,
    publish_ensemble,
    publish_evidence,
    read_evidence,
)
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import (
    Run,
    RunInfo,
    logits_of,
    read_run_info,
    write_predictions,
)

CORRECT = {PUBLIC: 2268, PRIVATE: 2301}


@pytest.fixture
def make_run(canonical, tmp_path):
    """Make a finished and scored run on the canonical faces.

    `correct` is the number of images that it classifies correctly, by split.
    """

    def make(recipe=None, seed=1, correct=CORRECT, usages=(PUBLIC, PRIVATE), **changes) -> Run:
        recipe = recipe or Recipe("baseline_cnn", "baseline_cnn")
        folder = tmp_path / "runs" / f"{recipe.name}-seed{seed}-0123456789ab"
        folder.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        rows, logits = [], []
        for usage in usages:
            part = canonical.of(usage)
            wrong = generator.permutation(len(part))[correct[usage] :]
            predicted = part.emotion.astype(int)
            predicted[wrong] = (predicted[wrong] + generator.integers(1, 7, len(wrong))) % 7
            rows.append(part.row)
            scores = generator.uniform(0, 1, (len(part), 7)) + 2 * np.eye(7)[predicted]
            # A second-best score so close that float16 would round both to the same number.
            number = np.arange(len(part))
            scores[number, (predicted + 6) % 7] = scores[number, predicted] - 2e-4
            logits.append(scores)
        mixed = generator.permutation(sum(map(len, rows)))
        write_predictions(folder, np.concatenate(rows)[mixed], np.concatenate(logits)[mixed])
        history = pd.DataFrame({"epoch": [1], "val_accuracy": [0.5], "seconds": [3.25]})
        history.to_csv(folder / "history.csv", index=False)
        values = {"parameters": 4478727, "seconds": 3600.0, "machine": "a machine, 2 cores"}
        info = RunInfo(recipe, seed, **{"source": "csv"} | values | changes)
        info.write(folder / "run.json")
        return Run(folder)

    return make


# --- publishing ---


def test_evidence_is_a_small_copy_of_the_run(make_run, canonical, tmp_path):
    run = make_run()
    folder = publish_evidence(run, tmp_path / "evidence")
    assert folder == tmp_path / "evidence" / "baseline_cnn-seed1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "predictions.npz",
        "run.json",
    ]
    assert read_run_info(folder) == run.info
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), run.history)

    with np.load(folder / "predictions.npz") as saved:
        row, logits = saved["row"], saved["logits"]
    assert logits.dtype == np.float16 and logits.shape == (7178, 7)
    tests = canonical.select(np.isin(canonical.usage, [PUBLIC, PRIVATE]))
    assert np.array_equal(row, np.sort(tests.row)), "every row once, in order"
    exact = run.logits(tests)[np.argsort(tests.row)]
    np.testing.assert_allclose(probabilities(logits), probabilities(exact), atol=2e-3)
    assert np.array_equal(logits.argmax(axis=1), exact.argmax(axis=1)), (
        "rounding changes no prediction"
    )
    assert (folder / "predictions.npz").stat().st_size < 200_000, "small enough for git"


def test_drawn_and_unscored_runs_are_refused(make_run, tmp_path):
    with pytest.raises(StudyError, match="found one on drawn faces"):
        publish_evidence(make_run(source="sample"), tmp_path / "evidence")
    with pytest.raises(StudyError, match=r"found 3,589\. Score it first"):
        publish_evidence(make_run(seed=2, usages=(PUBLIC,)), tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


# --- ensembles ---


@pytest.fixture
def two_runs(make_run, canonical, tmp_path):
    """Evidence of two seeds, and the selection of their ensemble."""
    for seed in (1, 2):
        publish_evidence(make_run(seed=seed, fingerprint=f"{seed:064x}"), tmp_path / "evidence")
    runs = read_evidence(tmp_path / "evidence", canonical)
    logits = {folder.name: logits_of(folder, canonical.of(PUBLIC)) for folder in runs}
    return runs, select(logits, canonical.of(PUBLIC).emotion, 2)


def test_an_ensemble_has_its_row_its_file_and_one_line_in_the_log(two_runs, canonical, tmp_path):
    (runs, path), log = two_runs, tmp_path / "log.csv"
    for _ in range(2):  # the second call finds it
        file = publish_ensemble("both", path, runs, canonical, tmp_path / "evidence", log=log)
    assert file == tmp_path / "evidence" / "ensembles" / "both.json"
    table = compute_results(tmp_path / "evidence", canonical).set_index("model")
    row = table.loc["both (2 networks)"]
    assert (row["parameters"], row["epochs"], row["seeds"]) == (2 * 4478727, 30, "1, 2")
    assert (row["minutes"], row["evidence"]) == (120, "reports/evidence/ensembles/both.json")
    for split, usage in (("public", PUBLIC), ("private", PRIVATE)):
        part = canonical.of(usage)
        shares = np.mean([probabilities(logits_of(folder, part)) for folder in runs], axis=0)
        assert row[f"{split}_accuracy"] == pytest.approx(
            (shares.argmax(axis=1) == part.emotion).mean(), abs=3e-4
        )
    (line,) = pd.read_csv(log).to_dict("records")
    assert (line["run"], line["images"]) == ("both", 3589)
    assert line["accuracy"] == pytest.approx(row["private_accuracy"], abs=1e-6)


def test_other_members_are_logged_as_another_use_of_privatetest(two_runs, canonical, tmp_path):
    (runs, path), log = two_runs, tmp_path / "log.csv"
    publish_ensemble("both", path, runs, canonical, tmp_path / "evidence", log=log)
    publish_ensemble("both", path[:1], runs, canonical, tmp_path / "evidence", log=log)
    publish_ensemble("both", path[:1], runs, canonical, tmp_path / "evidence", tta=False, log=log)
    lines = pd.read_csv(log)
    assert len(lines) == 3 and lines["fingerprint"].nunique() == 3
    with pytest.raises(StudyError, match="found 'a/b'"):
        publish_ensemble("a/b", path, runs, canonical, tmp_path / "evidence", log=log)


# --- the table ---


def test_table_is_computed_from_the_evidence(make_run, canonical, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    (row,) = compute_results(tmp_path / "evidence", canonical).to_dict("records")
    for split, correct in (("public", 2268), ("private", 2301)):
        found = [row[f"{split}_{key}"] for key in ("accuracy", "low", "high")]
        assert found == pytest.approx(
            [correct / 3589, *accuracy_interval(correct / 3589, 3589)], abs=1e-3
        )
        assert found[0] == pytest.approx(correct / 3589, abs=5e-7)
    assert (row["model"], row["parameters"], row["epochs"], row["seeds"]) == (
        "baseline_cnn",
        4478727,
        15,
        "1",
    )
    assert (row["minutes"], row["machine"]) == (60, "a machine, 2 cores")
    assert row["evidence"] == "reports/evidence/baseline_cnn-seed1"


def test_seeds_are_averaged_and_models_sorted_by_publictest(make_run, canonical, tmp_path):
    better = Recipe("better", "baseline_cnn", {"width": 0.5})
    made = [make_run(better, correct={PUBLIC: 2500, PRIVATE: 2000}, parameters=1_000_000)]
    for seed, public, private, seconds in ((10, 2200, 2300, 1200.0), (2, 2300, 2303, 2400.0)):
        made.append(
            make_run(seed=seed, correct={PUBLIC: public, PRIVATE: private}, seconds=seconds)
        )
    for run in made:
        publish_evidence(run, tmp_path / "evidence")
    table = compute_results(tmp_path / "evidence", canonical)
    assert table["model"].tolist() == ["better", "baseline_cnn"]
    ours = table.iloc[1]
    assert ours["seeds"] == "2, 10" and ours["minutes"] == 30
    assert ours["public_accuracy"] == pytest.approx(2250 / 3589, abs=5e-7)
    assert ours["private_accuracy"] == pytest.approx(2301.5 / 3589, abs=5e-7)
    assert ours["public_spread"] == pytest.approx(
        np.std([2200 / 3589, 2300 / 3589], ddof=1), abs=5e-7
    )
    # The bootstrap resamples seeds too, so the interval is wider than that over images alone.
    assert ours["public_low"] < accuracy_interval(2250 / 3589, 3589)[0] - 0.003
    assert ours["evidence"].split() == [
        "reports/evidence/baseline_cnn-seed10",
        "reports/evidence/baseline_cnn-seed2",
    ]


def test_seeds_of_different_recipes_are_not_averaged(make_run, canonical, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    publish_evidence(
        make_run(Recipe("baseline_cnn", "baseline_cnn", epochs=3), seed=2), tmp_path / "evidence"
    )
    with pytest.raises(
        StudyError, match=r"baseline_cnn: expected one recipe for all its seeds.*baseline_cnn-seed2"
    ):
        compute_results(tmp_path / "evidence", canonical)


def test_other_data_are_refused(make_run, canonical, faces, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    for other in (
        faces,
        canonical.without_private(),
        dataclasses.replace(canonical, source="sample"),
    ):
        with pytest.raises(StudyError, match="expected the canonical FER-2013"):
            compute_results(tmp_path / "evidence", other)


def test_missing_evidence_is_an_error(canonical, tmp_path):
    with pytest.raises(StudyError, match="expected evidence of runs"):
        compute_results(tmp_path, canonical)


@pytest.mark.parametrize("damage", ["missing", "twice", "training"])
def test_rows_that_are_not_the_test_splits_are_refused(make_run, canonical, tmp_path, damage):
    path = publish_evidence(make_run(), tmp_path / "evidence") / "predictions.npz"
    with np.load(path) as saved:
        row, logits = saved["row"], saved["logits"]
    if damage == "missing":
        row, logits = row[1:], logits[1:]
    else:
        row[0] = row[1] if damage == "twice" else canonical.of("Training").row[0]
    np.savez_compressed(path, row=row, logits=logits)
    with pytest.raises(StudyError, match="every PublicTest and PrivateTest row once"):
        compute_results(tmp_path / "evidence", canonical)


# --- its form ---


@pytest.fixture
def results(make_run, canonical, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    return compute_results(tmp_path / "evidence", canonical)


def test_markdown_has_the_numbers_of_the_table(results):
    header, rule, row = results_markdown(results).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(header.split("|")) == len(rule.split("|")) == len(cells) + 2
    assert cells == [
        *("baseline_cnn", "4,478,727", "15", "1", "63.19 (61.6–64.8)", "64.11 (62.5–65.7)"),
        # All these blank images have leaked.
        *("–", "60", "a machine, 2 cores"),
    ]


def test_csv_reads_as_it_was_written(results, tmp_path):
    results.to_csv(tmp_path / "evidence" / TABLE, index=False)
    read = read_results(tmp_path / "evidence")
    assert results_markdown(read) == results_markdown(results)
    assert read.columns.tolist() == results.columns.tolist()
    numbers = results.select_dtypes("number").columns
    np.testing.assert_allclose(read[numbers], results[numbers], rtol=1e-15)


def test_a_missing_table_is_read_as_an_empty_one(tmp_path):
    assert read_results(tmp_path).empty


# --- the committed evidence ---


@pytest.fixture(scope="module")
def fer2013(real_data):
    """The real FER-2013, read once."""
    from fer_utils.data.sources import read

    return read("csv", real_data / "fer2013.csv.gz")


@pytest.mark.slow
def test_committed_tables_are_computed_from_the_evidence(project, fer2013):
    evidence = project / "reports" / "evidence"
    assert (evidence / TABLE).read_text(encoding="utf-8") == compute_results(
        evidence, fer2013
    ).to_csv(index=False)
    runs, ensembles = read_evidence(evidence, fer2013), read_ensembles(evidence)
    found = differences(runs, ensembles, fer2013)
    pd.testing.assert_frame_equal(found, read_differences(evidence), atol=1e-9)


def test_committed_table_names_all_evidence(project):
    evidence = project / "reports" / "evidence"
    named = {path for cell in read_results(evidence)["evidence"] for path in cell.split()}
    runs = {f"reports/evidence/{path.parent.name}" for path in evidence.glob("*/run.json")}
    files = evidence.glob("ensembles/*.json")
    assert named == runs | {f"reports/evidence/ensembles/{path.name}" for path in files}


def test_the_released_models_card_agrees_with_the_log(project):
    card = json.loads((project / "fer_utils/pretrained/card.json").read_text())
    log = pd.read_csv(project / "reports/evidence/private_test_log.csv")
    uses = log[log["fingerprint"] == card["fingerprint"]].set_index("run")["accuracy"]
    (int8,) = uses[uses.index.str.endswith("in 8-bit integers")]
    assert int8 == pytest.approx(card["scores"]["PrivateTest"]["top1_accuracy"], abs=5e-4)


def test_committed_evidence_is_complete(project):
    """Each run's use of PrivateTest is logged, and its history has the epochs of its recipe."""
    evidence = project / "reports" / "evidence"
    folders = [path.parent for path in evidence.glob("*/run.json")]
    if not folders:
        pytest.skip("no evidence of a real run is committed yet")
    log = pd.read_csv(evidence / "private_test_log.csv")
    for folder in folders:
        info = read_run_info(folder)
        assert folder.name == info.label
        assert info.fingerprint in log["fingerprint"].tolist(), folder
        assert len(pd.read_csv(folder / "history.csv")) == info.recipe.epochs
        with np.load(folder / "predictions.npz") as saved:
            assert saved["logits"].dtype == np.float16 and np.isfinite(saved["logits"]).all()


# --- available runs ---


def test_available_runs_are_the_published_ones_and_on_fer2013_the_evidence(
    make_run, canonical, faces, tmp_path
):
    publish_evidence(make_run(), tmp_path / "evidence")
    publish_evidence(make_run(Recipe("other", "baseline_cnn")), tmp_path / "evidence")
    for name, model in (("final_model", "baseline_cnn"), ("replicate/tang-seed2", "tang")):
        (tmp_path / name).mkdir(parents=True)
        RunInfo(Recipe(model, "baseline_cnn"), 1).write(tmp_path / name / "run.json")
    published = [tmp_path / "final_model", tmp_path / "replicate"]

    drawn = available_runs(published, tmp_path / "evidence", faces)
    assert drawn == {
        "baseline_cnn-seed1": tmp_path / "final_model",
        "tang-seed1": tmp_path / "replicate/tang-seed2",
    }
    real = available_runs(published, tmp_path / "evidence", canonical)
    assert real == drawn | {"other-seed1": tmp_path / "evidence/other-seed1"}, (
        "published runs come first"
    )
    with pytest.raises(StudyError, match=r"found none in .*nowhere"):
        available_runs([tmp_path / "nowhere"], tmp_path / "evidence", faces)


def test_evidence_runs_are_all_seeds_of_each_recipe(canonical, faces, make_run, tmp_path):
    evidence = tmp_path / "evidence"
    other = Recipe("other", "baseline_cnn")
    for run in (make_run(seed=2), make_run(seed=1), make_run(other)):
        publish_evidence(run, evidence)
    runs = evidence_runs(evidence, canonical, ["other", "baseline_cnn"])
    labels = [run.info.label for run in runs]
    assert labels == ["other-seed1", "baseline_cnn-seed1", "baseline_cnn-seed2"]
    assert not any(run.has_weights for run in runs)
    assert runs[0].logits(canonical.of(PRIVATE)).shape == (3589, 7)
    with pytest.raises(StudyError, match="runs of third, found runs of baseline_cnn, other"):
        evidence_runs(evidence, canonical, ["third"])
    with pytest.raises(StudyError, match="canonical FER-2013"):
        evidence_runs(evidence, faces, ["other"])
