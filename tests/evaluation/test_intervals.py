"""Intervals, held to scipy's bootstrap, to plain loops and to how often they should cover."""

import itertools
import math

import numpy as np
import pytest
from evaluation_cases import plain_scores, some_answers, some_rights
from scipy import stats
from sklearn import metrics

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import (
    accuracy,
    accuracy_interval,
    balanced_accuracy,
    bootstrap_interval,
    macro_f1,
    mcnemar,
    paired_bootstrap,
    per_emotion,
    score_table,
    split_scores,
)
from fer_utils.evaluation.intervals import CELLS, means_over_emotions
from fer_utils.evaluation.resampling import cells, middle, resampled

NUMBERS = range(len(EMOTIONS))


@pytest.fixture(scope="module")
def answers():
    return some_answers()


@pytest.fixture(scope="module")
def correct_counts():
    return some_rights()


def wilson(correct: int, images: int) -> tuple[float, float]:
    z, share = 1.959963984540054, correct / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = (
        z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    )
    return middle - half, middle + half


@pytest.mark.parametrize(("correct", "images"), [(2268, 3589), (0, 10), (10, 10), (1, 2), (1, 1)])
def test_interval_is_wilsons(correct, images):
    low, high = accuracy_interval(correct / images, images)
    assert (low, high) == pytest.approx(wilson(correct, images), abs=1e-9)
    assert -1e-12 <= low <= correct / images <= high <= 1 + 1e-12


def test_interval_of_another_level_is_wider():
    low, high = accuracy_interval(0.5, 100)
    wide_low, wide_high = accuracy_interval(0.5, 100, level=0.99)
    assert wide_low < low < 0.5 < high < wide_high


def test_split_scores(answers):
    logits, emotion = answers
    correct = int((logits.argmax(axis=1) == emotion).sum())
    low, high = wilson(correct, 500)
    assert split_scores("public", logits, emotion) == pytest.approx(
        {"public_accuracy": correct / 500, "public_low": low, "public_high": high}
    )


def test_per_emotion(answers):
    logits, emotion = answers
    table = per_emotion(logits, emotion)
    assert table.index.tolist() == list(EMOTIONS)
    given = {
        "y_true": emotion,
        "y_pred": logits.argmax(axis=1),
        "labels": NUMBERS,
        "average": None,
        "zero_division": 0,
    }
    np.testing.assert_array_equal(table["precision"], metrics.precision_score(**given))
    np.testing.assert_array_equal(table["recall"], metrics.recall_score(**given))
    np.testing.assert_array_equal(table["F1"], metrics.f1_score(**given))
    assert table["images"].tolist() == np.bincount(emotion, minlength=7).tolist()
    assert table.loc["disgust"].tolist() == [0] * 10, "no image of it, in no resample either"
    ends = [f"{score}_{end}" for score in ("precision", "recall", "F1") for end in ("low", "high")]
    assert table.columns.tolist() == ["precision", "recall", "F1", "images", *ends]


def test_bootstrap_of_one_run_is_scipys_and_about_wilsons(correct_counts):
    correct = correct_counts[0][0]
    interval = bootstrap_interval(correct)
    theirs = stats.bootstrap(
        (correct,), np.mean, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    assert interval == pytest.approx(tuple(theirs), abs=0.004)
    # Wilson's is pulled towards one half, the less the more images.
    assert interval == pytest.approx(accuracy_interval(correct.mean(), 400), abs=0.006)
    low, high = interval
    wide_low, wide_high = bootstrap_interval(correct, level=0.99)
    assert wide_low < low < correct.mean() < high < wide_high
    assert bootstrap_interval(correct[None]) == interval


def test_bootstrap_is_by_seed_and_not_by_the_order_of_images(correct_counts):
    correct = correct_counts[0]
    interval = bootstrap_interval(correct, seed=5)
    assert bootstrap_interval(correct[:, ::-1], seed=5) == interval
    assert bootstrap_interval(correct, seed=6) != interval
    assert bootstrap_interval(correct, seed=6) == pytest.approx(interval, abs=0.005)


def test_bootstrap_covers_as_often_as_it_says():
    generator = np.random.default_rng(8)
    covered = 0
    for seed in range(600):
        low, high = bootstrap_interval(
            generator.random(500) < 0.63, level=0.9, resamples=1000, seed=seed
        )
        covered += low <= 0.63 <= high
    # Four standard errors of the simulation.
    assert covered / 600 == pytest.approx(0.9, abs=0.05)


def test_bootstrap_of_several_seeds_covers_the_recipes_mean():
    generator = np.random.default_rng(9)
    both, one = 0, 0
    for seed in range(300):
        # Seeds differ by 3 points, the sampling of 1,000 images is worth 1.5.
        correct = generator.random((6, 1000)) < 0.63 + 0.03 * generator.normal(size=(6, 1))
        low, high = bootstrap_interval(correct, resamples=500, seed=seed)
        both += low <= 0.63 <= high
        low, high = bootstrap_interval(correct[0], resamples=500, seed=seed)
        one += low <= 0.63 <= high
    assert 0.84 < both / 300 < 0.98
    assert one / 300 < 0.75


def test_bootstrap_resamples_seeds():
    # One seed all right, one all wrong: whichever images are drawn, both are the same seed in half the resamples.
    correct = np.array([[True], [False]]).repeat(50, axis=1)
    assert bootstrap_interval(correct) == (0, 1)
    assert bootstrap_interval(correct, level=0.4) == (0.5, 0.5)


def test_bootstrap_takes_the_same_images_for_all_seeds(correct_counts):
    correct = correct_counts[0][0]
    assert bootstrap_interval(np.tile(correct, (4, 1))) == pytest.approx(
        bootstrap_interval(correct), abs=0.003
    )


def plain_bootstrap(models: list[np.ndarray], resamples: int) -> np.ndarray:
    """Mean accuracies, float64 (resamples, models), with indices and a loop."""
    generator = np.random.default_rng(10)
    means = []
    for _ in range(resamples):
        images = generator.integers(0, models[0].shape[1], models[0].shape[1])
        means.append(
            [
                correct[generator.integers(0, len(correct), len(correct))][:, images].mean()
                for correct in models
            ]
        )
    return np.array(means)


def test_bootstraps_of_several_seeds_are_the_plain_ones(correct_counts):
    a, b = correct_counts
    plain = plain_bootstrap([a, b], 3000)
    assert bootstrap_interval(a) == pytest.approx(
        tuple(np.quantile(plain[:, 0], [0.025, 0.975])), abs=0.007
    )
    difference = plain[:, 0] - plain[:, 1]
    for level in (0.6, 0.95):
        expected = np.quantile(difference, [(1 - level) / 2, (1 + level) / 2])
        assert paired_bootstrap(a, b, level=level) == pytest.approx(tuple(expected), abs=0.007)


@pytest.mark.parametrize(
    "correct",
    [np.ones(3), np.zeros(0, bool), np.zeros((0, 3), bool), np.zeros((1, 2, 3), bool), np.True_],
)
def test_intervals_want_bool_of_runs_and_images(correct):
    with pytest.raises(StudyError, match="right: expected"):
        bootstrap_interval(correct)
    with pytest.raises(StudyError, match="right_b: expected"):
        paired_bootstrap(np.ones(3, bool), correct)
    with pytest.raises(StudyError, match="right_a: expected"):
        mcnemar(correct, np.ones(3, bool))


# ---- macro F1, balanced accuracy, and by emotion


def scipys(emotion: np.ndarray, answer: np.ndarray, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of scipy's percentile bootstrap over images, () or (7,) each."""

    def statistic(emotion, answer, axis):
        values = plain_scores(emotion, answer, axis)[score]
        # scipy has the resamples last, and emotions before these.
        return values.T if score in ("precision", "recall", "F1") else values

    return stats.bootstrap(
        (emotion, answer),
        statistic,
        paired=True,
        method="percentile",
        n_resamples=4000,
        rng=1,
        vectorized=True,
    ).confidence_interval


def test_score_table_is_the_scores_and_scipys_intervals():
    logits, emotion = some_answers(120)
    table = score_table(logits, emotion)
    assert table.index.tolist() == ["accuracy", "macro F1", "balanced accuracy"]
    assert table.columns.tolist() == ["value", "low", "high"]
    scores = [score(logits, emotion) for score in (accuracy, macro_f1, balanced_accuracy)]
    assert table["value"].tolist() == pytest.approx(scores)
    assert (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()
    answer = logits.argmax(axis=1)
    for score in ("macro F1", "balanced accuracy"):
        assert table.loc[score, ["low", "high"]].tolist() == pytest.approx(
            list(scipys(emotion, answer, score)), abs=0.01
        )
    correct = answer == emotion
    assert tuple(table.loc["accuracy", ["low", "high"]]) == bootstrap_interval(correct), (
        "as in every other table"
    )


def test_intervals_by_emotion_are_scipys():
    logits, emotion = some_answers(200)
    table = per_emotion(logits, emotion)
    for score in ("precision", "recall", "F1"):
        low, high = scipys(emotion, logits.argmax(axis=1), score)
        np.testing.assert_allclose(table[f"{score}_low"], low, atol=0.025)
        np.testing.assert_allclose(table[f"{score}_high"], high, atol=0.025)
    some = table.drop("disgust")
    assert (some["recall_low"] < some["recall"]).all() and (
        some["recall"] < some["recall_high"]
    ).all()


def test_resamples_of_three_images_are_all_there_can_be():
    logits, emotion = np.eye(7)[[3, 3, 4]], np.array([3, 5, 4])
    answer = logits.argmax(axis=1)
    draws = [list(chosen) for chosen in itertools.product(range(3), repeat=3)]
    macro = [
        metrics.f1_score(emotion[d], answer[d], labels=NUMBERS, average="macro", zero_division=0)
        for d in draws
    ]
    balanced = [
        np.mean([np.mean(answer[d][emotion[d] == e] == e) for e in set(emotion[d])]) for d in draws
    ]
    (found,) = resampled([cells(logits[None], emotion)], CELLS, means_over_emotions, 20_000, 3)
    for column, expected in zip(found.T, (macro, balanced), strict=True):
        values, counts = np.unique(np.round(column, 9), return_counts=True)
        all_values, all_counts = np.unique(np.round(expected, 9), return_counts=True)
        np.testing.assert_allclose(values, all_values)
        np.testing.assert_allclose(counts / 20_000, all_counts / 27, atol=0.015)


def test_several_seeds_are_averaged_and_resampled():
    generator = np.random.default_rng(14)
    logits, emotion = some_answers(150)
    runs = np.stack(
        [logits, logits + generator.normal(size=logits.shape), generator.normal(size=logits.shape)]
    )
    table = score_table(runs, emotion)
    assert table.loc["macro F1", "value"] == pytest.approx(
        np.mean([macro_f1(run, emotion) for run in runs])
    )
    plain = []
    for _ in range(3000):
        images = generator.integers(0, 150, 150)
        drawn = runs[generator.integers(0, 3, 3)][:, images].argmax(axis=2)
        scores = plain_scores(np.tile(emotion[images], (3, 1)), drawn)
        plain.append([scores["macro F1"].mean(), scores["balanced accuracy"].mean()])
    expected = np.quantile(plain, [0.025, 0.975], axis=0).T
    np.testing.assert_allclose(
        table.loc[["macro F1", "balanced accuracy"], ["low", "high"]], expected, atol=0.02
    )
    correct = runs.argmax(axis=2) == emotion
    assert tuple(table.loc["accuracy", ["low", "high"]]) == bootstrap_interval(correct)
    assert score_table(logits[None], emotion).equals(score_table(logits, emotion))


def test_score_table_is_by_seed_level_and_not_by_the_order_of_images(answers):
    logits, emotion = answers
    table = score_table(logits, emotion, resamples=500)
    assert score_table(logits[::-1], emotion[::-1], resamples=500).equals(table)
    assert not score_table(logits, emotion, resamples=500, seed=1).equals(table)
    wide = score_table(logits, emotion, level=0.99, resamples=500)
    assert (wide["low"] < table["low"]).all() and (wide["high"] > table["high"]).all()
    assert score_table(logits, emotion, resamples=2500).equals(
        score_table(logits, emotion, resamples=2500)
    ), "the same with resamples in several lots"


def test_lots_of_resamples_are_one_resampling(answers, monkeypatch):
    logits, emotion = answers
    runs = np.stack([logits, logits[:, ::-1]])
    table = score_table(runs, emotion, resamples=700)
    monkeypatch.setattr("fer_utils.evaluation.resampling.AT_ONCE", 300)
    assert score_table(runs, emotion, resamples=700).equals(table)


def test_means_over_emotions_are_covered_about_as_often_as_said():
    generator = np.random.default_rng(15)
    # An emotion in sixty images is disgust, as in FER-2013.
    joint = (
        (0.4 * np.full((7, 7), 1 / 7) + 0.6 * np.eye(7))
        * np.array([[10], [1], [10], [17], [12], [8], [12]])
        / 70
    )
    truth = means_over_emotions(joint.ravel() * 1e9)
    covered = []
    for seed in range(300):
        cell = generator.choice(CELLS, 600, p=joint.ravel())
        (means,) = resampled([cell[None]], CELLS, means_over_emotions, 400, seed)
        low, high = middle(means, 0.9)
        covered.append((low <= truth) & (truth <= high))
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.9, atol=0.07)


@pytest.mark.parametrize(
    ("logits", "emotion"),
    [
        (np.zeros((3, 7)), np.zeros(2, int)),
        (np.zeros((3, 6)), np.zeros(3, int)),
        (np.zeros((0, 7)), np.zeros(0, int)),
        (np.zeros((1, 2, 3, 7)), np.zeros(3, int)),
    ],
)
def test_scores_want_logits_of_the_images(logits, emotion):
    for table in (score_table, per_emotion):
        with pytest.raises(StudyError, match=f"{table.__name__}: expected logits"):
            table(logits, emotion)


def test_by_emotion_is_of_one_run(answers):
    logits, emotion = answers
    with pytest.raises(StudyError, match="per_emotion: expected logits"):
        per_emotion(np.stack([logits, logits]), emotion)
