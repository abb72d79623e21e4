"""Comparisons of models, held to scipy, to sums by hand and to how often they should err."""

import gc
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import plain_scores, some_answers, some_rights
from scipy import stats

from fer_utils.errors import StudyError
from fer_utils.evaluation import (
    balanced_accuracy,
    compare_all,
    macro_f1,
    mcnemar,
    paired_bootstrap,
    paired_scores,
    pairs_finding,
)


@pytest.fixture(scope="module")
def correct_counts():
    return some_rights()


def test_paired_bootstrap_of_one_run_is_scipys(correct_counts):
    a, b = correct_counts[0][0], correct_counts[1][0]
    theirs = stats.bootstrap(
        (a, b),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=4000,
        rng=1,
    ).confidence_interval
    interval = paired_bootstrap(a, b)
    assert interval == pytest.approx(tuple(theirs), abs=0.006)
    # Narrower than if each had images of its own.
    apart = 2 * 1.96 * math.sqrt((a.var() + b.var()) / 400)
    assert interval[1] - interval[0] < 0.95 * apart


def test_paired_bootstrap_of_a_model_with_itself_and_the_other_way_round(correct_counts):
    a, b = correct_counts
    assert paired_bootstrap(a[0], a[0]) == (0, 0)
    low, high = paired_bootstrap(a, b)
    assert low < a.mean() - b.mean() < high
    assert paired_bootstrap(b, a) == pytest.approx((-high, -low), abs=0.005)
    # Every image right for a, none for b: nothing is uncertain.
    assert paired_bootstrap(np.ones((3, 20), bool), np.zeros(20, bool)) == (1, 1)


def test_mcnemar_by_hand():
    correct_a = np.array([True] * 4 + [True] + [False] * 6 + [False] * 9)
    correct_b = np.array([True] * 4 + [False] + [True] * 6 + [False] * 9)
    result = mcnemar(correct_a, correct_b)
    assert (result.only_a, result.only_b) == (1, 6)
    assert (
        result.difference
        == pytest.approx(correct_a.mean() - correct_b.mean())
        == pytest.approx(-5 / 20)
    )
    # At most one head or at least six in seven tosses: 2 * (1 + 7) / 128.
    assert result.p == pytest.approx(0.125)
    other = mcnemar(correct_b, correct_a)
    assert other == pytest.approx((6, 1, 0.25, 0.125))


def test_mcnemar_where_nothing_or_as_much_differs():
    correct = np.array([True, False, True])
    assert mcnemar(correct, correct) == (0, 0, 0, 1)
    assert mcnemar(correct, correct[[1, 0, 2]]) == pytest.approx((1, 1, 0, 1))


def test_mcnemar_rejects_as_often_as_it_says_at_most():
    generator = np.random.default_rng(11)
    found = [mcnemar(*(generator.random((2, 200)) < 0.63)).p < 0.05 for _ in range(500)]
    assert 0.01 < np.mean(found) < 0.07
    assert mcnemar(np.arange(200) < 140, np.arange(200) < 110).p == pytest.approx(2 / 2**30)


@pytest.mark.parametrize("compare", [mcnemar, paired_bootstrap])
def test_comparisons_want_the_same_images(compare):
    with pytest.raises(StudyError, match="found 3 and 2"):
        compare(np.ones(3, bool), np.ones(2, bool))


def test_mcnemar_wants_one_run_each():
    with pytest.raises(StudyError, match="one run each"):
        mcnemar(np.ones((2, 3), bool), np.ones(3, bool))


def test_mcnemar_is_the_binomial_test():
    generator = np.random.default_rng(20)
    for images in (2, 9, 40, 3000):
        a, b = generator.random((2, images)) < np.array([[0.7], [0.5]])
        result = mcnemar(a, b)
        assert result.p == pytest.approx(
            stats.binomtest((a & ~b).sum(), max(1, (a != b).sum())).pvalue
        )


def two_models(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a model and of a worse one that mostly errs alike, and emotions."""
    logits, emotion = some_answers(images)
    noise = np.random.default_rng(21).normal(scale=1.5, size=logits.shape)
    return logits, logits + noise.astype(np.float32), emotion


def test_paired_scores_are_the_differences_and_scipys_intervals():
    a, b, emotion = two_models(150)
    table = paired_scores(a, b, emotion)
    assert table.columns.tolist() == ["difference", "low", "high"]
    for score, of in (("macro F1", macro_f1), ("balanced accuracy", balanced_accuracy)):
        assert table.loc[score, "difference"] == pytest.approx(of(a, emotion) - of(b, emotion))

        def difference(emotion, one, other, axis, score=score):
            return (
                plain_scores(emotion, one, axis)[score] - plain_scores(emotion, other, axis)[score]
            )

        data = (emotion, a.argmax(axis=1), b.argmax(axis=1))
        theirs = stats.bootstrap(
            data,
            difference,
            paired=True,
            method="percentile",
            n_resamples=4000,
            rng=1,
            vectorized=True,
        )
        assert tuple(table.loc[score, ["low", "high"]]) == pytest.approx(
            tuple(theirs.confidence_interval), abs=0.01
        )
    correct = [logits.argmax(axis=1) == emotion for logits in (a, b)]
    assert table.loc["accuracy", "difference"] == pytest.approx(
        correct[0].mean() - correct[1].mean()
    )
    assert tuple(table.loc["accuracy", ["low", "high"]]) == paired_bootstrap(*correct)


def test_paired_scores_of_seeds_take_the_same_images_for_both():
    a, b, emotion = two_models(300)
    assert (paired_scores(a, a + 1, emotion, resamples=200) == 0).all(axis=None)
    seeds = paired_scores(np.stack([a, a]), np.stack([b, b, b]), emotion)
    np.testing.assert_allclose(seeds, paired_scores(a, b, emotion), atol=0.004)
    with pytest.raises(StudyError, match="logits_b: expected logits"):
        paired_scores(a, b[:-1], emotion)


@pytest.fixture(scope="module")
def four():
    """Answers of four models to 600 images, and the emotions: one as good as the next but for the last."""
    generator = np.random.default_rng(22)
    emotion = generator.integers(0, 7, 600).astype(np.uint8)
    shares = {"first": 0.7, "second": 0.69, "third": 0.64, "last": 0.5}
    wrong = (emotion + generator.integers(1, 7, (4, 600))) % 7
    known = generator.random((4, 600)) < np.array(list(shares.values()))[:, None]
    return dict(zip(shares, np.where(known, emotion, wrong), strict=True)), emotion


def test_all_pairs_are_compared_with_holms_correction(four):
    answers, emotion = four
    table = compare_all(answers, emotion)
    columns = [
        "model",
        "other",
        "difference",
        "low",
        "high",
        "only_model",
        "only_other",
        "p",
        "p_holm",
        "significant",
    ]
    assert table.columns.tolist() == columns
    names = [
        ("first", "second"),
        ("first", "third"),
        ("first", "last"),
        ("second", "third"),
        ("second", "last"),
    ]
    assert list(zip(table["model"], table["other"], strict=True)) == [*names, ("third", "last")]
    for row in table.to_dict("records"):
        a, b = (answers[row[key]] == emotion for key in ("model", "other"))
        assert (row["only_model"], row["only_other"], row["difference"], row["p"]) == mcnemar(a, b)
        assert (row["low"], row["high"]) == paired_bootstrap(a, b)
    # Holm (1979): the smallest p times how many there are, the next times one less; never less than one before.
    corrected, most = {}, 0.0
    for rank, index in enumerate(table["p"].sort_values().index):
        most = max(most, min(1, (6 - rank) * table["p"][index]))
        corrected[index] = most
    np.testing.assert_allclose(table["p_holm"], pd.Series(corrected).sort_index())
    assert table["significant"].tolist() == (table["p_holm"] <= 0.05).tolist()
    assert (
        table.loc[table["other"] == "last", "significant"].all() and not table["significant"].all()
    )
    assert ((table["p"] < 0.05) & ~table["significant"]).any(), "one that only seems to differ"


def test_the_level_is_that_of_tests_and_intervals(four):
    table, strict = compare_all(*four), compare_all(*four, level=1 - 1e-11)
    assert (
        table["p_holm"].equals(strict["p_holm"])
        and strict["significant"].sum() < table["significant"].sum()
    )
    assert (strict["low"] < table["low"]).all() and (strict["high"] > table["high"]).all()


@pytest.fixture
def little_garbage():
    """statsmodels collects garbage at each correction, slowly where much else is loaded: put all of that aside."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
def test_holm_keeps_the_error_rate_of_the_family():
    generator = np.random.default_rng(23)
    emotion, families = np.zeros(300, int), []
    for _ in range(200):
        # Five equally good models: ten pairs, none of which differs.
        answers = dict(zip("abcde", (generator.random((5, 300)) > 0.65).astype(int), strict=True))
        table = compare_all(answers, emotion, resamples=1)
        families.append([(table["p"] <= 0.05).any(), table["significant"].any()])
    plain, holm = np.mean(families, axis=0)
    assert plain > 0.12, "without correction one in a few families has a false difference"
    # Three standard errors above 5 %.
    assert holm <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_comparing_all_wants_answers_of_two_models_to_all_images(four):
    answers, emotion = four
    with pytest.raises(StudyError, match="two models or more, found first"):
        compare_all({"first": answers["first"]}, emotion)
    with pytest.raises(
        StudyError, match=r"an answer of second to each of 600 images.*int64 \(599,\)"
    ):
        compare_all(answers | {"second": answers["second"][1:]}, emotion)
    with pytest.raises(StudyError, match=r"an answer of last .*bool \(600,\).*argmax"):
        compare_all(answers | {"last": answers["last"] == emotion}, emotion)


def test_the_finding_names_the_pair_most_apart_whichever_is_first(four):
    answers, emotion = four
    said = pairs_finding(compare_all(answers, emotion, resamples=10))
    shares = {name: (answer == emotion).mean() for name, answer in answers.items()}
    best = max(shares, key=shares.get)
    assert said == (
        f"After Holm's correction 3 of 6 pairs of models differ in accuracy, most of all {best} from last, by "
        f"{100 * (shares[best] - shares['last']):.1f} points."
    )
    assert (
        pairs_finding(compare_all(dict(reversed(answers.items())), emotion, resamples=10)) == said
    )
    same = compare_all({"a": answers["first"], "b": answers["first"]}, emotion, resamples=10)
    assert "none of 1 pairs" in pairs_finding(same)


def test_statsmodels_is_not_imported_before_it_is_used():
    code = "import sys, fer_utils.evaluation; print('statsmodels' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
