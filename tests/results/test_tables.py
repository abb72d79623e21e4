"""Tables of results: their numbers follow from the saved logits by `evaluation`."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fer_utils import evaluation
from fer_utils.audits.duplicates import leaked
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.results.ensembles import Ensemble
from fer_utils.results.tables import SPLITS, compare, shown, summarise
from fer_utils.training.recipe import Recipe
from fer_utils.training.runs import RunInfo, logits_of, write_predictions

NET = Recipe("net", "baseline_cnn")
OTHER = Recipe("other", "baseline_cnn", {"width": 0.5}, epochs=3)
COUNTS = {TRAINING: 60, PUBLIC: 90, PRIVATE: 110}
LEAKS = 12


@pytest.fixture(scope="module")
def small() -> Faces:
    """Noise in random order; `row` differs from the position.

    The first images of Training are also in PrivateTest.
    """
    generator = np.random.default_rng(2)
    usage = np.repeat(list(COUNTS), list(COUNTS.values()))
    images = generator.integers(0, 256, (len(usage), 48, 48), np.uint8)
    images[-LEAKS:] = images[:LEAKS]
    order = generator.permutation(len(usage))
    return Faces(
        images=images[order],
        emotion=generator.integers(0, 7, len(usage)).astype(np.uint8),
        usage=usage[order],
        row=generator.permutation(1000)[: len(usage)],
        source="folder",
    )


@pytest.fixture
def leave(small, tmp_path):
    """Write a run's logits, with TTA too if its recipe has one. Returns its record by folder."""

    def leave(recipe=NET, seed=1, share=0.5, **changes) -> dict:
        folder = tmp_path / recipe.label(seed)
        generator = np.random.default_rng(list(folder.name.encode()))
        tests = small.select(generator.permutation(np.flatnonzero(small.usage != TRAINING)))
        for tta in recipe.kinds:
            true = generator.random(len(tests)) < share
            favoured = np.where(true, tests.emotion, generator.integers(0, 7, len(tests)))
            logits = generator.normal(size=(len(tests), 7)) + 2 * np.eye(7)[favoured]
            write_predictions(folder, tests.row, logits, tta=tta)
        values = {"parameters": 1234, "seconds": 600.0, "machine": "a desk"}
        return {folder: RunInfo(recipe, seed, **values | changes)}

    return leave


def correct(runs: dict, part: Faces, tta: bool = False) -> np.ndarray:
    """True where a run's prediction is correct, bool (runs, n)."""
    return np.stack([logits_of(f, part, tta=tta).argmax(axis=1) == part.emotion for f in runs])


def expect_scores(row: dict, hits: dict[str, np.ndarray], small: Faces) -> None:
    """Check accuracy, interval and spread of a row against `hits`, bool (seeds, n) by split."""
    clean = ~leaked(small, PRIVATE)
    for split, each in (hits | {"unleaked": hits["private"][:, clean]}).items():
        by_seed = each.mean(axis=1)
        assert row[f"{split}_accuracy"] == pytest.approx(by_seed.mean())
        assert (row[f"{split}_low"], row[f"{split}_high"]) == evaluation.bootstrap_interval(each)
        spread = np.std(by_seed, ddof=1) if len(each) > 1 else np.nan
        assert row[f"{split}_spread"] == pytest.approx(spread, nan_ok=True)


# --- summarise ---


def test_a_model_has_the_mean_of_its_seeds_and_their_spread(leave, small):
    ten, two = leave(seed=10, seconds=1200.0), leave(seed=2, share=0.7, machine="a shelf")
    (row,) = summarise(ten | two, small).to_dict("records")
    assert (row["model"], row["parameters"], row["epochs"]) == ("net", 1234, 15)
    assert row["seeds"] == "2, 10" and row["tta"] == "" and row["data"] == "folder"
    assert row["minutes"] == 15 and row["machine"] == "a desk; a shelf"
    hits = {split: correct(two | ten, small.of(usage)) for split, usage in SPLITS.items()}
    assert row["public_spread"] > 0.01, "the seeds differ"
    expect_scores(row, hits, small)


def test_one_seed_has_no_spread(leave, small):
    run = leave(seed=3)
    (row,) = summarise(run, small).to_dict("records")
    assert row["seeds"] == "3" and np.isnan(row["private_spread"])
    expect_scores(
        row, {split: correct(run, small.of(usage)) for split, usage in SPLITS.items()}, small
    )


def test_unleaked_is_the_accuracy_on_images_that_training_does_not_contain(leave, small):
    run = leave()
    private, duplicates = small.of(PRIVATE), leaked(small, PRIVATE)
    assert duplicates.sum() == LEAKS
    clean = private.select(~duplicates)
    (row,) = summarise(run, small).to_dict("records")
    assert row["unleaked_accuracy"] == evaluation.accuracy(logits_of(*run, clean), clean.emotion)
    assert row["unleaked_accuracy"] != row["private_accuracy"]


def test_if_all_images_leaked_the_unleaked_accuracy_is_missing(leave, small):
    blank = dataclasses.replace(small, images=np.zeros_like(small.images))
    table = summarise(leave(), blank)
    assert (
        table[[f"unleaked_{key}" for key in ("accuracy", "low", "high", "spread")]]
        .isna()
        .all(axis=None)
    )
    assert table["private_accuracy"].notna().all()
    assert shown(table)["PrivateTest without leaks, %"].tolist() == ["–"]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"tta": "jitter"}, "jitter"),
        ({"snapshots": 2}, "2 snapshots"),
        ({"tta": "flip", "snapshots": 2}, "flip, 2 snapshots"),
    ],
)
def test_tta_is_another_row(leave, small, changes, label):
    recipe = NET.but(**changes)
    runs = leave(recipe, 1) | leave(recipe, 2)
    table = summarise(runs | leave(OTHER), small)
    assert table["model"].tolist() == ["net", "net", "other"]
    assert table["tta"].tolist() == ["", label, ""]
    plain, tta, _ = table.to_dict("records")
    for row, kind in ((plain, False), (tta, True)):
        assert row["seeds"] == "1, 2" and row["minutes"] == 10
        expect_scores(
            row,
            {split: correct(runs, small.of(usage), kind) for split, usage in SPLITS.items()},
            small,
        )
    assert plain["public_accuracy"] != tta["public_accuracy"]


def test_folds_are_one_ensemble_per_seed(leave, small):
    recipe = NET.but(folds=3, tta="flip")
    by_seed = [
        {k: v for fold in recipe.every_fold for k, v in leave(fold, seed).items()}
        for seed in (1, 2)
    ]
    # In the order of a folder: by fold, then by seed.
    table = summarise(dict(sorted((by_seed[0] | by_seed[1]).items())), small)
    assert table["seeds"].tolist() == ["1, 2"] * 2 and table["tta"].tolist() == ["", "flip"]
    for kind, row in enumerate(table.to_dict("records")):
        hits = {}
        for split, usage in SPLITS.items():
            part = small.of(usage)
            members = [
                [logits_of(folder, part, tta=bool(kind)) for folder in runs] for runs in by_seed
            ]
            hits[split] = np.stack(
                [evaluation.mean_prediction(m).argmax(axis=1) == part.emotion for m in members]
            )
        assert row["minutes"] == 30, "the time of a seed is the sum of its folds"
        assert (
            row["private_accuracy"]
            > correct(by_seed[0], small.of(PRIVATE), bool(kind)).mean(axis=1).max()
        )
        expect_scores(row, hits, small)


def test_one_fold_alone_is_a_model(leave, small):
    run = leave(NET.but(folds=3, fold=2))
    (row,) = summarise(run, small).to_dict("records")
    expect_scores(
        row, {split: correct(run, small.of(usage)) for split, usage in SPLITS.items()}, small
    )


def test_seeds_of_different_recipes_are_not_averaged(leave, small):
    runs = leave() | leave(NET.but(epochs=3), 2) | leave(OTHER)
    with pytest.raises(
        StudyError, match=r"net: expected one recipe for all its seeds.*net-seed1, .*net-seed2\."
    ) as problem:
        summarise(runs, small)
    assert "other-seed1" not in str(problem.value)


def test_models_keep_their_order(leave, small):
    table = summarise(leave(OTHER) | leave(NET) | leave(OTHER, 2), small)
    assert table["model"].tolist() == ["other", "net"]
    assert table["epochs"].tolist() == [3, 15] and table["seeds"].tolist() == ["1, 2", "1"]


def test_time_is_reported_only_if_all_runs_have_it(leave, small):
    runs = leave() | leave(seed=2) | leave(OTHER)
    first = next(iter(runs))
    runs[first] = dataclasses.replace(runs[first], seconds=None)
    table = summarise(runs, small)
    assert table["minutes"].tolist() == pytest.approx([np.nan, 10], nan_ok=True)
    assert table["machine"].isna().tolist() == [True, False]
    runs = {folder: dataclasses.replace(info, seconds=None) for folder, info in runs.items()}
    assert "minutes" not in summarise(runs, small), "published runs have no times"


def test_epochs_and_minutes_include_the_run_that_a_training_started_from(leave, small):
    print_of = {name: f"{name * 6}{name * 6}" for name in "ab"}
    first = leave(fingerprint=print_of["a"])
    (info,) = first.values()
    more = OTHER.but(name="more", initial_weights=info.name)
    runs = first | leave(more, fingerprint=print_of["b"], seconds=1200.0)
    counts = dict.fromkeys(runs, 1)
    table = summarise(runs, small, {"both": Ensemble(counts, False)}).set_index("model")
    assert table.loc["more", "epochs"] == NET.epochs + OTHER.epochs
    assert table.loc["more", "minutes"] == pytest.approx(30)
    # The ensemble has both, and counts the first once.
    assert table.loc["both (2 networks)", "epochs"] == NET.epochs + OTHER.epochs
    assert table.loc["both (2 networks)", "minutes"] == pytest.approx(30)


def test_the_data_column_is_the_source(leave, small, monkeypatch):
    def data(source: str) -> str:
        return summarise(leave(), dataclasses.replace(small, source=source))["data"].item()

    assert data("folder") == "folder" and data("sample") == "drawn faces"
    counts = {usage: tuple(np.bincount(small.of(usage).emotion, minlength=7)) for usage in COUNTS}
    monkeypatch.setattr("fer_utils.data.faces.CANONICAL_COUNTS", counts)
    assert data("csv") == "FER-2013"


def test_missing_logits_are_an_error(leave, small):
    recipe = NET.but(tta="jitter")
    ((folder, info),) = leave(recipe).items()
    (folder / "tta.npz").unlink()
    with pytest.raises(
        StudyError, match=r"net-seed1/tta\.npz: expected logits of 90 faces of PublicTest"
    ):
        summarise({folder: info}, small)
    public = small.of(PUBLIC)
    write_predictions(folder, public.row, np.zeros((len(public), 7)))
    with pytest.raises(
        StudyError, match=r"predictions\.npz: expected logits of 110 faces of PrivateTest"
    ):
        summarise({folder: info}, small)


# --- shown ---


def test_rows_are_shown_as_text():
    scores = {
        f"{split}_{key}": value
        for split, mean in (("public", 0.61604), ("private", 0.622736), ("unleaked", 0.608906))
        for key, value in (
            ("accuracy", mean),
            ("low", mean - 0.016),
            ("high", mean + 0.0161),
            ("spread", 0.00456),
        )
    }
    row = {
        "model": "net",
        "parameters": 4478727,
        "epochs": 15,
        "seeds": "0, 1",
        "tta": "jitter",
    } | scores
    one = (
        row
        | {"model": "other", "seeds": 3, "tta": ""}
        | {k: np.nan for k in row if k.endswith("_spread")}
    )
    assert shown(pd.DataFrame([row, one])).to_dict("records") == [
        {
            "model": "net, TTA (jitter)",
            "parameters": "4,478,727",
            "epochs": "15",
            "seeds": "0, 1",
            "PublicTest, %": "61.60 ± 0.46 (60.0–63.2)",
            "PrivateTest, %": "62.27 ± 0.46 (60.7–63.9)",
            "PrivateTest without leaks, %": "60.89 ± 0.46 (59.3–62.5)",
        },
        {
            "model": "other",
            "parameters": "4,478,727",
            "epochs": "15",
            "seeds": "3",
            "PublicTest, %": "61.60 (60.0–63.2)",
            "PrivateTest, %": "62.27 (60.7–63.9)",
            "PrivateTest without leaks, %": "60.89 (59.3–62.5)",
        },
    ]


def test_models_distilled_from_votes_are_marked(leave, small):
    table = summarise(leave() | leave(OTHER, teachers=("FER+ votes",)), small)
    assert table["data"].tolist() == ["folder", "folder, FER+ votes"]
    assert shown(table)["model"].tolist() == ["net", "other, distilled from FER+ votes"]


# --- compare ---


def expect_pair(row: dict, a: np.ndarray, b: np.ndarray) -> None:
    """Check the row of one seed each, bool (n,): McNemar's numbers and the paired interval."""
    test = evaluation.mcnemar(a, b)
    assert (row["only_model"], row["only_other"], row["p"]) == (test.only_a, test.only_b, test.p)
    assert row["difference"] == pytest.approx(a.mean() - b.mean())
    assert (row["low"], row["high"]) == evaluation.paired_bootstrap(a, b)


def expect_all(row: dict, a: np.ndarray, b: np.ndarray) -> None:
    """Check the row of all seeds, bool (seeds, n): the paired interval, and no McNemar test."""
    assert np.isnan([row["only_model"], row["only_other"], row["p"]]).all()
    assert row["difference"] == pytest.approx(a.mean() - b.mean())
    assert (row["low"], row["high"]) == evaluation.paired_bootstrap(a, b)


def test_models_are_compared_seed_by_seed_and_over_all_seeds(leave, small):
    private = small.of(PRIVATE)
    ours = leave(seed=3, share=0.7) | leave(seed=1, share=0.7) | leave(seed=2, share=0.7)
    theirs = leave(OTHER, 4) | leave(OTHER, 3) | leave(OTHER, 2)
    table = compare(ours | theirs, small, "net", "other")
    assert table.columns.tolist() == [
        *("tta", "seeds", "only_model", "only_other", "p", "difference", "low", "high"),
    ]
    assert table["seeds"].tolist() == ["2", "3", "all 3"] and set(table["tta"]) == {""}
    a, b = (
        correct(dict(sorted(ours.items())), private),
        correct(dict(sorted(theirs.items())), private),
    )
    two, three, every = table.to_dict("records")
    expect_pair(two, a[1], b[0])
    expect_pair(three, a[2], b[1])
    expect_all(every, a, b)
    assert every["difference"] > 0.05, "model minus other"


def test_one_seed_each_is_one_row(leave, small):
    ours, theirs = leave(), leave(OTHER)
    (row,) = compare(theirs | ours, small, "net", "other").to_dict("records")
    assert row["seeds"] == "1"
    expect_pair(row, correct(ours, small.of(PRIVATE))[0], correct(theirs, small.of(PRIVATE))[0])


@pytest.mark.parametrize(
    ("seeds", "others", "shown_seeds"),
    [
        ((1, 2), (1,), ["1", "2 and 1"]),
        ((1, 2), (3,), ["2 and 1"]),
        ((1,), (2,), ["1 and 1"]),
    ],
)
def test_models_need_not_have_the_same_seeds(leave, small, seeds, others, shown_seeds):
    ours = {folder: info for seed in seeds for folder, info in leave(seed=seed).items()}
    theirs = {folder: info for seed in others for folder, info in leave(OTHER, seed).items()}
    table = compare(ours | theirs, small, "net", "other")
    assert table["seeds"].tolist() == shown_seeds
    expect_all(
        table.iloc[-1].to_dict(),
        correct(ours, small.of(PRIVATE)),
        correct(theirs, small.of(PRIVATE)),
    )


def test_predictions_with_tta_are_compared_if_both_models_have_them(leave, small):
    private = small.of(PRIVATE)
    ours, theirs = leave(NET.but(tta="jitter")), leave(OTHER.but(tta="jitter"))
    table = compare(ours | theirs, small, "net", "other")
    assert table["tta"].tolist() == ["", "jitter"]
    for kind, row in enumerate(table.to_dict("records")):
        expect_pair(
            row, correct(ours, private, bool(kind))[0], correct(theirs, private, bool(kind))[0]
        )

    single = leave(OTHER.but(name="single"))
    assert compare(ours | single, small, "net", "single")["tta"].tolist() == [""]


def test_folds_are_compared_as_ensembles(leave, small):
    recipe, private = NET.but(folds=3), small.of(PRIVATE)
    ours = {folder: info for fold in recipe.every_fold for folder, info in leave(fold).items()}
    theirs = leave(OTHER)
    (row,) = compare(ours | theirs, small, "net", "other").to_dict("records")
    ensemble = evaluation.mean_prediction([logits_of(folder, private) for folder in ours])
    expect_pair(row, ensemble.argmax(axis=1) == private.emotion, correct(theirs, private)[0])


def test_a_model_without_runs_is_named(leave, small):
    with pytest.raises(StudyError, match=r"expected runs of absent, found net, other\."):
        compare(leave() | leave(OTHER) | leave(seed=2), small, "net", "absent")
