"""Evidence of real runs, and the table of results that is computed from it."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval, mcnemar, paired_bootstrap, probabilities
from fer_utils.evaluation.published import read_results
from fer_utils.results.ensembles import select
from fer_utils.results.evidence import (
    END,
    START,
    TABLE,
    available_runs,
    compute_results,
    publish_ensemble,
    publish_evidence,
    read_evidence,
    results_csv,
    results_markdown,
    write_results,
)
from fer_utils.results.tables import compare
from fer_utils.training.recipe import Recipe, recipe_from_dict
from fer_utils.training.runs import Run, logits_of, write_predictions

RIGHT = {PUBLIC: 2268, PRIVATE: 2301}


@pytest.fixture
def make_run(canonical, tmp_path):
    """Makes a finished and scored run on the canonical faces that is right on so many images of a usage."""

    def make(recipe=None, seed=1, correct=RIGHT, usages=(PUBLIC, PRIVATE), **about) -> Run:
        recipe = recipe or Recipe("baseline_cnn", "baseline_cnn")
        folder = tmp_path / "runs" / f"{recipe.name}-seed{seed}-0123456789ab"
        folder.mkdir(parents=True)
        generator = np.random.default_rng(seed)
        rows, logits = [], []
        for usage in usages:
            part = canonical.of(usage)
            wrong = generator.permutation(len(part))[correct[usage] :]
            answer = part.emotion.astype(int)
            answer[wrong] = (answer[wrong] + generator.integers(1, 7, len(wrong))) % 7
            rows.append(part.row)
            scores = generator.uniform(0, 1, (len(part), 7)) + 2 * np.eye(7)[answer]
            # A runner-up so close that float16 could not tell it from the answer at this height.
            number = np.arange(len(part))
            scores[number, (answer + 6) % 7] = scores[number, answer] - 2e-4
            logits.append(scores)
        mixed = generator.permutation(sum(map(len, rows)))
        write_predictions(folder, np.concatenate(rows)[mixed], np.concatenate(logits)[mixed])
        history = pd.DataFrame({"epoch": [1], "val_accuracy": [0.5], "seconds": [3.25]})
        history.to_csv(folder / "history.csv", index=False)
        values = {
            "recipe": recipe.to_dict(),
            "seed": seed,
            "source": "csv",
            "parameters": 4478727,
            "seconds": 3600.0,
        }
        (folder / "run.json").write_text(
            json.dumps(values | {"machine": "a machine, 2 cores"} | about)
        )
        return Run(folder)

    return make


# --- publishing ---


def test_evidence_is_the_run_in_small(make_run, canonical, tmp_path):
    run = make_run()
    folder = publish_evidence(run, tmp_path / "evidence")
    assert folder == tmp_path / "evidence" / "baseline_cnn-seed1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.csv",
        "predictions.npz",
        "recipe.json",
    ]
    assert json.loads((folder / "recipe.json").read_text()) == run.about
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), run.history)

    with np.load(folder / "predictions.npz") as saved:
        row, logits = saved["row"], saved["logits"]
    assert logits.dtype == np.float16 and logits.shape == (7178, 7)
    tests = canonical.select(np.isin(canonical.usage, [PUBLIC, PRIVATE]))
    assert np.array_equal(row, np.sort(tests.row)), "every row once, in order"
    exact = run.logits(tests)[np.argsort(tests.row)]
    np.testing.assert_allclose(probabilities(logits), probabilities(exact), atol=2e-3)
    assert np.array_equal(logits.argmax(axis=1), exact.argmax(axis=1)), "rounding changes no answer"
    assert (folder / "predictions.npz").stat().st_size < 200_000, "small enough for git"


def test_drawn_and_unscored_runs_are_no_evidence(make_run, tmp_path):
    with pytest.raises(StudyError, match="found one on drawn faces"):
        publish_evidence(make_run(source="sample"), tmp_path / "evidence")
    with pytest.raises(StudyError, match=r"found 3,589\. Score it first"):
        publish_evidence(make_run(seed=2, usages=(PUBLIC,)), tmp_path / "evidence")
    assert not (tmp_path / "evidence").exists()


# --- ensembles ---


@pytest.fixture
def two_runs(make_run, canonical, tmp_path):
    """Evidence of two seeds, and what each answers on PublicTest, by its label."""
    for seed in (1, 2):
        publish_evidence(make_run(seed=seed, fingerprint=f"{seed:064x}"), tmp_path / "evidence")
    abouts = read_evidence(tmp_path / "evidence", canonical)
    logits = {folder.name: logits_of(folder, canonical.of(PUBLIC)) for folder in abouts}
    return abouts, select(logits, canonical.of(PUBLIC).emotion, 2)


def test_an_ensemble_has_its_row_its_file_and_one_line_in_the_log(two_runs, canonical, tmp_path):
    (abouts, path), log = two_runs, tmp_path / "log.csv"
    for _ in range(2):  # the second time it is there already
        file = publish_ensemble("both", path, abouts, canonical, tmp_path / "evidence", log=log)
    assert file == tmp_path / "evidence" / "ensembles" / "both.json"
    table = compute_results(tmp_path / "evidence", canonical).set_index("model")
    row = table.loc["both (2 networks)"]
    assert (row["parameters"], row["epochs"], row["seeds"]) == (2 * 4478727, 30, "1, 2")
    assert (row["minutes"], row["evidence"]) == (120, "reports/evidence/ensembles/both.json")
    for split, usage in (("public", PUBLIC), ("private", PRIVATE)):
        part = canonical.of(usage)
        shares = np.mean([probabilities(logits_of(folder, part)) for folder in abouts], axis=0)
        assert row[f"{split}_accuracy"] == pytest.approx(
            (shares.argmax(axis=1) == part.emotion).mean(), abs=3e-4
        )
    (line,) = pd.read_csv(log).to_dict("records")
    assert (line["run"], line["images"]) == ("both", 3589)
    assert line["accuracy"] == pytest.approx(row["private_accuracy"], abs=1e-6)


def test_other_members_are_another_use_of_privatetest(two_runs, canonical, tmp_path):
    (abouts, path), log = two_runs, tmp_path / "log.csv"
    publish_ensemble("both", path, abouts, canonical, tmp_path / "evidence", log=log)
    publish_ensemble("both", path[:1], abouts, canonical, tmp_path / "evidence", log=log)
    lines = pd.read_csv(log)
    assert len(lines) == 2 and lines["fingerprint"].nunique() == 2
    with pytest.raises(StudyError, match="found 'a/b'"):
        publish_ensemble("a/b", path, abouts, canonical, tmp_path / "evidence", log=log)


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
    # Seeds are resampled too: the interval is wider than that of the images alone.
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


def test_only_the_canonical_data_give_results(make_run, canonical, faces, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    for other in (
        faces,
        canonical.without_private(),
        dataclasses.replace(canonical, source="sample"),
    ):
        with pytest.raises(StudyError, match="expected the canonical FER-2013"):
            compute_results(tmp_path / "evidence", other)


def test_no_evidence_is_said(canonical, tmp_path):
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


# --- writing it ---


@pytest.fixture
def results(make_run, canonical, tmp_path):
    publish_evidence(make_run(), tmp_path / "evidence")
    return compute_results(tmp_path / "evidence", canonical)


def test_markdown_says_what_the_table_says(results):
    header, rule, row = results_markdown(results).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(header.split("|")) == len(rule.split("|")) == len(cells) + 2
    assert cells == [
        *("baseline_cnn", "4,478,727", "15", "1", "63.19 (61.6–64.8)", "64.11 (62.5–65.7)"),
        # On these blank images everything has leaked.
        *("–", "60", "a machine, 2 cores"),
    ]


def test_readme_is_written_between_the_markers(results, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Tïtle\n\n{START}\nold\n{END}\n\nmore – text\n", encoding="utf-8")
    for _ in range(2):  # the second time changes nothing
        write_results(results, tmp_path / "evidence", readme)
        text = f"# Tïtle\n\n{START}\n{results_markdown(results)}\n{END}\n\nmore – text\n"
        assert readme.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("text", ["no markers", START, END, f"{END} before {START}"])
def test_missing_markers_change_nothing(results, tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(StudyError, match="expected the markers"):
        write_results(results, tmp_path / "evidence", readme)
    assert readme.read_text() == text and not (tmp_path / "evidence" / TABLE).exists()


def test_csv_says_what_the_readme_says(results, tmp_path):
    (tmp_path / "README.md").write_text(f"{START}{END}")
    write_results(results, tmp_path / "evidence", tmp_path / "README.md")
    read = read_results(tmp_path / "evidence")
    assert results_markdown(read) in (tmp_path / "README.md").read_text()
    assert read.columns.tolist() == results.columns.tolist()
    numbers = results.select_dtypes("number").columns
    np.testing.assert_allclose(read[numbers], results[numbers], rtol=1e-15)


def test_no_table_yet_reads_as_an_empty_one(tmp_path):
    assert read_results(tmp_path).empty


# --- what is committed ---


def test_committed_table_and_readme_say_the_same(project):
    """Holds without the data: from the committed table alone."""
    text = (project / "README.md").read_text(encoding="utf-8")
    table = read_results(project / "reports" / "evidence")
    between = text.split(START)[1].split(END)[0].strip()
    assert between == ("" if table.empty else results_markdown(table))
    named = {folder for cell in table["evidence"] for folder in cell.split()}
    there = {
        f"reports/evidence/{path.parent.name}"
        for path in project.glob("reports/evidence/*/recipe.json")
    }
    there |= {
        f"reports/evidence/ensembles/{path.name}"
        for path in project.glob("reports/evidence/ensembles/*.json")
    }
    assert named == there


@pytest.fixture(scope="module")
def fer2013(real_data):
    """The real FER-2013, read once for all that is computed from it."""
    from fer_utils.data.sources import read

    return read("csv", real_data / "fer2013.csv.gz")


@pytest.fixture(scope="module")
def readme_words(project) -> str:
    """README without its line breaks."""
    return " ".join((project / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.slow
def test_readme_and_table_are_what_the_evidence_and_the_data_give(project, fer2013):
    evidence = project / "reports" / "evidence"
    if not any(evidence.glob("*/recipe.json")):
        pytest.skip("no evidence of a real run is committed yet")
    results = compute_results(evidence, fer2013)
    assert (evidence / TABLE).read_text(encoding="utf-8") == results_csv(results)
    text = (project / "README.md").read_text(encoding="utf-8")
    assert f"{START}\n{results_markdown(results)}\n{END}" in text, (
        "run `fer-study results --csv FILE --write`"
    )


@pytest.mark.slow
def test_what_the_readme_says_of_the_two_losses_is_what_the_evidence_gives(
    project, fer2013, readme_words
):
    versus = compare(
        read_evidence(project / "reports" / "evidence", fer2013),
        fer2013,
        "tang_l2svm",
        "tang_softmax",
    )
    plain, tta = versus[versus["p"].isna()].to_dict("records")
    one, other = versus.loc[(versus["tta"] == "") & versus["p"].notna(), "p"]
    (gain, low, high), (gain_averaged, *others) = (
        [f"{100 * row[key]:.1f}" for key in ("difference", "low", "high")] for row in (plain, tta)
    )
    assert (
        f"the L2-SVM has {gain} points more of PrivateTest than softmax (two seeds of each, 95 % paired bootstrap "
        f"interval {low} to {high}; exact McNemar test of one seed each p = {one:.0e} and {other:.0e}), and "
        f"{gain_averaged} ({' to '.join(others)}) with averaging"
    ) in readme_words


@pytest.mark.slow
def test_what_the_readme_says_is_left_of_the_ablations_best_is_what_the_evidence_gives(
    project, fer2013, readme_words
):
    evidence, public = project / "reports" / "evidence", fer2013.of(PUBLIC)
    correct = [
        np.stack(
            [
                logits_of(run, public).argmax(axis=1) == public.emotion
                for run in sorted(evidence.glob(runs))
            ]
        )
        for runs in ("small_resnet_l2svm-seed*", "small_resnet-seed*")
    ]
    difference, *ends = [
        f"{100 * x:+.1f}"
        for x in (correct[0].mean() - correct[1].mean(), *paired_bootstrap(*correct))
    ]
    said = (
        f"`small_resnet_l2svm` (one seed) is {difference} points from `small_resnet` (three seeds) on PublicTest "
        f"({' to '.join(ends)})"
    )
    assert len(correct[1]) == 3 and said.replace("-", "−") in readme_words


@pytest.mark.slow
def test_what_the_readme_says_the_students_lose_is_what_the_evidence_gives(
    project, fer2013, readme_words
):
    from fer_utils.results.ensembles import answer, member_logits, read_ensembles

    evidence = project / "reports" / "evidence"
    private, counts = fer2013.of(PRIVATE), read_ensembles(evidence)["ensemble"]
    logits = member_logits(read_evidence(evidence, fer2013), private)
    correct = {
        folder.name: each.argmax(axis=1) == private.emotion for folder, each in logits.items()
    }
    ensemble = answer(counts, logits).argmax(axis=1) == private.emotion
    students = [correct["small_student-seed1"], correct["small_student_of_four-seed1"]]
    assert not any("student" in folder.name for folder in counts)
    lost = " and ".join(f"{100 * (ensemble.mean() - each.mean()):.1f}" for each in students)
    ends = [[f"{100 * end:.1f}" for end in paired_bootstrap(ensemble, each)] for each in students]
    tests = " and ".join(f"{mcnemar(ensemble, each).p:.0e}" for each in students)
    assert (
        f"they are {lost} points below the ensemble (95 % paired bootstrap intervals "
        f"{' and '.join(' to '.join(each) for each in ends)}; exact McNemar tests p = {tests};"
    ) in readme_words
    alike = np.stack(
        [each for name, each in correct.items() if re.fullmatch(r"small_resnet-seed\d", name)]
    )
    assert all(each.mean() < alike.mean() for each in students), "not above a small_resnet"


@pytest.mark.slow
def test_what_the_readme_says_of_seed_3_is_what_the_evidence_gives(project, fer2013, readme_words):
    def correct(seed: int, usage: str) -> np.ndarray:
        part = fer2013.of(usage)
        return (
            logits_of(project / f"reports/evidence/small_resnet-seed{seed}", part).argmax(axis=1)
            == part.emotion
        )

    test = mcnemar(correct(3, PUBLIC), correct(2, PUBLIC))
    said = (
        f"Seed 3, trained afterwards, has {correct(3, PUBLIC).mean():.1%} of PublicTest, which is not told from seed 2's "
        f"(exact McNemar test p = {test.p:.1g}), and {correct(3, PRIVATE).mean():.1%} of PrivateTest."
    )
    assert test.p > 0.05 and said.replace("%", " %") in readme_words
    assert correct(2, PUBLIC).mean() > correct(1, PUBLIC).mean(), "the better one of the first two"


def test_what_the_readme_says_of_tuning_is_what_the_evidence_gives(project, readme_words):
    tuning = project / "reports" / "evidence" / "tuning"
    retrained = pd.read_csv(tuning / "retrained.csv").set_index("model")
    winner, untuned = retrained.iloc[0], retrained.iloc[-1]
    compared = pd.read_csv(tuning / "against_random.csv").iloc[-1]
    ledger = pd.read_csv(tuning / "ledger.csv")
    assert ledger["val_accuracy"].max() == winner["search_accuracy"] == compared["best"]
    assert (ledger["status"] == "completed").all() and len(
        pd.read_csv(tuning / "random.csv")
    ) == len(ledger) == 20
    mean, deviation, optimism, gain, low, high = (
        f"{100 * winner[key]:.1f}"
        for key in ("mean", "deviation", "optimism", "gain", "gain_low", "gain_high")
    )
    for said in (
        f"the winner has {mean} ± {deviation} % of PublicTest where the untuned recipe has "
        f"{100 * untuned['mean']:.1f} ± {100 * untuned['deviation']:.1f} %: {gain} points (95 % paired bootstrap "
        f"interval over images and seeds {low} to {high})",
        f"Its search score of {100 * winner['search_accuracy']:.1f} % was {optimism} points of optimism too high",
        f"best of as many random trials: {100 * compared['random_mean']:.1f} % on average, "
        f"{100 * compared['random_low']:.1f} to {100 * compared['random_high']:.1f} % in nine of ten cases",
    ):
        assert said in readme_words


def test_committed_evidence_is_complete(project):
    """Each run's PrivateTest was opened through the one door, and its history has the epochs of its recipe."""
    evidence = project / "reports" / "evidence"
    folders = [path.parent for path in evidence.glob("*/recipe.json")]
    if not folders:
        pytest.skip("no evidence of a real run is committed yet")
    log = pd.read_csv(evidence / "private_test_log.csv")
    for folder in folders:
        about = json.loads((folder / "recipe.json").read_text())
        assert folder.name == recipe_from_dict(about["recipe"]).label(about["seed"])
        assert about["fingerprint"] in log["fingerprint"].tolist(), folder
        assert len(pd.read_csv(folder / "history.csv")) == about["recipe"]["epochs"]
        with np.load(folder / "predictions.npz") as saved:
            assert saved["logits"].dtype == np.float16 and np.isfinite(saved["logits"]).all()


# --- runs at hand ---


def test_available_runs_are_the_published_ones_and_on_fer2013_the_evidence(
    make_run, canonical, faces, tmp_path
):
    publish_evidence(make_run(), tmp_path / "evidence")
    publish_evidence(make_run(Recipe("other", "baseline_cnn")), tmp_path / "evidence")
    for name, model in (("final_model", "baseline_cnn"), ("replicate/tang-seed2", "tang")):
        about = {"recipe": Recipe(model, "baseline_cnn").to_dict(), "seed": 1}
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "about.json").write_text(json.dumps(about))
    published = [tmp_path / "final_model", tmp_path / "replicate"]

    drawn = available_runs(published, tmp_path / "evidence", faces)
    assert drawn == {
        "baseline_cnn-seed1": tmp_path / "final_model",
        "tang-seed1": tmp_path / "replicate/tang-seed2",
    }
    real = available_runs(published, tmp_path / "evidence", canonical)
    assert real == drawn | {"other-seed1": tmp_path / "evidence/other-seed1"}, (
        "this machine's own come first"
    )
    with pytest.raises(StudyError, match=r"found none in .*nowhere"):
        available_runs([tmp_path / "nowhere"], tmp_path / "evidence", faces)


def test_what_the_readme_says_of_the_ablation_is_what_the_evidence_gives(project, readme_words):
    table = pd.read_csv(project / "reports/evidence/ablation/small_resnet.csv").set_index("variant")
    assert len(table) == 17 and (table["seeds"] == 2).all()
    for variant, said in (
        ("+ the L2-SVM's loss", "with the L2-SVM's loss {} points more ({} to {})"),
        ("- weight decay", "without weight decay {} less ({} to {})"),
        ("+ CutMix", "with CutMix {} less ({} to {})"),
    ):
        difference, *ends = (
            100 * table.loc[variant, ["difference", "difference_low", "difference_high"]]
        ).abs()
        assert said.format(*(f"{each:.1f}" for each in (difference, *sorted(ends)))) in readme_words


def test_what_the_readme_says_of_the_released_model_is_what_its_card_and_the_log_give(
    project, readme_words
):
    card = json.loads((project / "fer_utils/pretrained/card.json").read_text())
    log = pd.read_csv(project / "reports/evidence/private_test_log.csv")
    uses = log[log["fingerprint"] == card["fingerprint"]].set_index("run")["accuracy"]
    (small,) = uses[uses.index.str.endswith("in 8-bit integers")]
    (plain,) = uses[~uses.index.str.contains(" ")]
    assert f"{small:.1%}" == f"{plain:.1%}", "as the network's own"
    own = card["public_accuracy"] + card["onnx"]["int8_accuracy_loss"]
    said = (
        f"in 8-bit integers: its PublicTest accuracy is {100 * card['public_accuracy']:.1f} % where that of the "
        f"network itself is {100 * own:.1f} %, its PrivateTest accuracy {100 * small:.1f} % as the network's own."
    )
    assert said in readme_words
