"""Comparisons of models, checked by scipy, by hand and by their error rates."""

import gc
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from evaluation_cases import plain_scores, some_answers, some_correct
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
def models():
    return some_correct()


def test_paired_bootstrap_of_one_run_is_scipys(models):
    a, b = models[0][0], models[1][0]
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
    # The interval is narrower than for two independent sets of images.
    apart = 2 * 1.96 * math.sqrt((a.var() + b.var()) / 400)
    assert interval[1] - interval[0] < 0.95 * apart


def test_paired_bootstrap_of_a_model_with_itself_and_with_swapped_models(models):
    a, b = models
    assert paired_bootstrap(a[0], a[0]) == (0, 0)
    low, high = paired_bootstrap(a, b)
    assert low < a.mean() - b.mean() < high
    assert paired_bootstrap(b, a) == pytest.approx((-high, -low), abs=0.005)
    # If a is always correct and b never, nothing is uncertain.
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


def test_mcnemar_without_differences_and_with_equally_many():
    correct = np.array([True, False, True])
    assert mcnemar(correct, correct) == (0, 0, 0, 1)
    assert mcnemar(correct, correct[[1, 0, 2]]) == pytest.approx((1, 1, 0, 1))


def test_mcnemar_rejects_no_more_often_than_its_level():
    generator = np.random.default_rng(11)
    rejected = [mcnemar(*(generator.random((2, 200)) < 0.63)).p < 0.05 for _ in range(500)]
    assert 0.01 < np.mean(rejected) < 0.07
    assert mcnemar(np.arange(200) < 140, np.arange(200) < 110).p == pytest.approx(2 / 2**30)


@pytest.mark.parametrize("compare", [mcnemar, paired_bootstrap])
def test_comparisons_need_the_same_images(compare):
    with pytest.raises(StudyError, match="found 3 and 2"):
        compare(np.ones(3, bool), np.ones(2, bool))


def test_mcnemar_needs_one_run_per_model():
    with pytest.raises(StudyError, match=r"found \(2, 3\) and \(3,\)"):
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
    """Logits of a model and of a worse one with mostly the same errors, and emotions."""
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


def test_paired_scores_of_seeds_use_the_same_images_for_both():
    a, b, emotion = two_models(300)
    assert (paired_scores(a, a + 1, emotion) == 0).all(axis=None)
    seeds = paired_scores(np.stack([a, a]), np.stack([b, b, b]), emotion)
    np.testing.assert_allclose(seeds, paired_scores(a, b, emotion), atol=0.004)
    with pytest.raises(StudyError, match="logits_b: expected logits"):
        paired_scores(a, b[:-1], emotion)


@pytest.fixture(scope="module")
def four():
    """Predictions of four models for 600 images, and the emotions. The last model is worse."""
    generator = np.random.default_rng(22)
    emotion = generator.integers(0, 7, 600).astype(np.uint8)
    shares = {"first": 0.7, "second": 0.69, "third": 0.64, "last": 0.5}
    wrong = (emotion + generator.integers(1, 7, (4, 600))) % 7
    known = generator.random((4, 600)) < np.array(list(shares.values()))[:, None]
    return dict(zip(shares, np.where(known, emotion, wrong), strict=True)), emotion


def test_all_pairs_are_compared_with_holms_correction(four):
    predictions, emotion = four
    table = compare_all(predictions, emotion)
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
        a, b = (predictions[row[key]] == emotion for key in ("model", "other"))
        assert (row["only_model"], row["only_other"], row["difference"], row["p"]) == mcnemar(a, b)
        assert (row["low"], row["high"]) == paired_bootstrap(a, b)
    # Holm (1979): the smallest p times the number of pairs, the next one times one less, and so on;
    # a corrected p is at least as large as the ones before it.
    corrected, most = {}, 0.0
    for rank, index in enumerate(table["p"].sort_values().index):
        most = max(most, min(1, (6 - rank) * table["p"][index]))
        corrected[index] = most
    np.testing.assert_allclose(table["p_holm"], pd.Series(corrected).sort_index())
    assert table["significant"].tolist() == (table["p_holm"] <= 0.05).tolist()
    assert (
        table.loc[table["other"] == "last", "significant"].all() and not table["significant"].all()
    )
    # One pair is significant only without the correction.
    assert ((table["p"] < 0.05) & ~table["significant"]).any()


@pytest.fixture
def few_resamples(monkeypatch):
    """For tests that do not depend on the intervals."""
    monkeypatch.setattr("fer_utils.evaluation.resampling.RESAMPLES", 10)


@pytest.fixture
def little_garbage():
    """Exclude all present objects from garbage collection.

    statsmodels collects garbage at each correction, which is slow if many objects exist.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage", "few_resamples")
def test_holm_limits_the_error_rate_of_the_family():
    generator = np.random.default_rng(23)
    emotion, families = np.zeros(300, int), []
    for _ in range(200):
        # Five equally accurate models: none of the ten pairs differs.
        wrong = (generator.random((5, 300)) > 0.65).astype(int)
        table = compare_all(dict(zip("abcde", wrong, strict=True)), emotion)
        families.append([(table["p"] <= 0.05).any(), table["significant"].any()])
    plain, holm = np.mean(families, axis=0)
    # Without correction, at least one in eight families has a false difference.
    assert plain > 0.12
    # Three standard errors above 5 %.
    assert holm <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_comparing_all_needs_predictions_of_two_models_for_all_images(four):
    predictions, emotion = four
    with pytest.raises(StudyError, match="two or more models, found first"):
        compare_all({"first": predictions["first"]}, emotion)
    with pytest.raises(StudyError, match=r"of second for each of 600 images.*int64 \(599,\)"):
        compare_all(predictions | {"second": predictions["second"][1:]}, emotion)
    with pytest.raises(StudyError, match=r"of last .*bool \(600,\).*argmax"):
        compare_all(predictions | {"last": predictions["last"] == emotion}, emotion)


@pytest.mark.usefixtures("few_resamples")
def test_the_finding_names_the_pair_with_the_largest_difference_in_either_order(four):
    predictions, emotion = four
    finding = pairs_finding(compare_all(predictions, emotion))
    shares = {name: (predicted == emotion).mean() for name, predicted in predictions.items()}
    best = max(shares, key=shares.get)
    difference = 100 * (shares[best] - shares["last"])
    for part in ("3 of 6 pairs", f"{best} minus last", f"{difference:.1f} points"):
        assert part in finding
    assert pairs_finding(compare_all(dict(reversed(predictions.items())), emotion)) == finding
    same = compare_all({"a": predictions["first"], "b": predictions["first"]}, emotion)
    assert "none of 1 pairs" in pairs_finding(same)


def test_statsmodels_is_not_imported_before_it_is_used():
    code = "import sys, fer_utils.evaluation; print('statsmodels' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
