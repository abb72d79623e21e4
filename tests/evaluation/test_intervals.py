"""Intervals, compared with scipy's bootstrap, plain loops and their nominal coverage."""

import itertools
import math

import numpy as np
import pytest
from evaluation_cases import plain_scores, some_answers, some_correct
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
from fer_utils.evaluation.resampling import (
    cells,
    draw_counts,
    percentile_interval,
    resampled,
    share_correct,
)

NUMBERS = range(len(EMOTIONS))


@pytest.fixture(scope="module")
def predictions():
    return some_answers()


@pytest.fixture(scope="module")
def models():
    return some_correct()


@pytest.fixture
def few_resamples(monkeypatch):
    """Simulations of hundreds of intervals, with fewer resamples each."""
    monkeypatch.setattr("fer_utils.evaluation.resampling.RESAMPLES", 500)


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


def test_split_scores(predictions):
    logits, emotion = predictions
    correct = int((logits.argmax(axis=1) == emotion).sum())
    low, high = wilson(correct, 500)
    assert split_scores("public", logits, emotion) == pytest.approx(
        {"public_accuracy": correct / 500, "public_low": low, "public_high": high}
    )


def test_per_emotion(predictions):
    logits, emotion = predictions
    table = per_emotion(logits, emotion)
    assert table.index.tolist() == list(EMOTIONS)
    arguments = {
        "y_true": emotion,
        "y_pred": logits.argmax(axis=1),
        "labels": NUMBERS,
        "average": None,
        "zero_division": 0,
    }
    np.testing.assert_array_equal(table["precision"], metrics.precision_score(**arguments))
    np.testing.assert_array_equal(table["recall"], metrics.recall_score(**arguments))
    np.testing.assert_array_equal(table["F1"], metrics.f1_score(**arguments))
    assert table["images"].tolist() == np.bincount(emotion, minlength=7).tolist()
    assert table.loc["disgust"].tolist() == [0] * 10, "disgust has no image in any resample"
    ends = [f"{score}_{end}" for score in ("precision", "recall", "F1") for end in ("low", "high")]
    assert table.columns.tolist() == ["precision", "recall", "F1", "images", *ends]


def test_bootstrap_of_one_run_is_scipys_and_about_wilsons(models):
    correct = models[0][0]
    interval = bootstrap_interval(correct)
    theirs = stats.bootstrap(
        (correct,), np.mean, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    assert interval == pytest.approx(tuple(theirs), abs=0.004)
    # Wilson's interval is shifted towards one half. The shift falls with the number of images.
    assert interval == pytest.approx(accuracy_interval(correct.mean(), 400), abs=0.006)
    assert interval[0] < correct.mean() < interval[1]
    assert bootstrap_interval(correct[None]) == interval


def test_bootstrap_depends_on_the_seed_and_not_on_the_order_of_images(models):
    correct = models[0]
    interval = bootstrap_interval(correct, seed=5)
    assert bootstrap_interval(correct[:, ::-1], seed=5) == interval
    assert bootstrap_interval(correct, seed=6) != interval
    assert bootstrap_interval(correct, seed=6) == pytest.approx(interval, abs=0.005)


@pytest.mark.usefixtures("few_resamples")
def test_bootstrap_has_its_nominal_coverage():
    generator = np.random.default_rng(8)
    covered = 0
    for seed in range(600):
        low, high = bootstrap_interval(generator.random(500) < 0.63, seed=seed)
        covered += low <= 0.63 <= high
    # Four standard errors of the simulation.
    assert covered / 600 == pytest.approx(0.95, abs=0.036)


@pytest.mark.usefixtures("few_resamples")
def test_bootstrap_of_several_seeds_covers_the_recipes_mean():
    generator = np.random.default_rng(9)
    both, one = 0, 0
    for seed in range(300):
        # Standard deviations: 3 points over seeds, 1.5 points from the sampling of 1,000 images.
        correct = generator.random((6, 1000)) < 0.63 + 0.03 * generator.normal(size=(6, 1))
        low, high = bootstrap_interval(correct, seed=seed)
        both += low <= 0.63 <= high
        low, high = bootstrap_interval(correct[0], seed=seed)
        one += low <= 0.63 <= high
    assert 0.84 < both / 300 < 0.98
    assert one / 300 < 0.75


def test_bootstrap_resamples_seeds():
    # One seed has no error, the other only errors. For any images, the mean of two drawn seeds is 0
    # in a quarter of the resamples, 1 in another quarter, and 0.5 in the others.
    correct = np.array([[True], [False]]).repeat(50, axis=1)
    assert bootstrap_interval(correct) == (0, 1)
    (means,) = resampled([correct], 2, share_correct)
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(counts / len(means), [0.25, 0.5, 0.25], atol=0.02)


def test_drawn_counts_are_those_of_images_with_replacement():
    counts = np.array([5, 0, 15])
    drawn = draw_counts(counts, 20_000, np.random.default_rng(0))
    assert drawn.shape == (20_000, 3) and (drawn.sum(axis=1) == 20).all()
    assert not drawn[:, 1].any()
    # The number of images of a kind is binomial.
    np.testing.assert_allclose(drawn.mean(axis=0), counts, atol=0.06)
    assert drawn[:, 0].var() == pytest.approx(20 * 0.25 * 0.75, rel=0.04)


def test_a_bootstrap_of_a_mean_from_drawn_counts_is_scipys():
    values = np.random.default_rng(1).gamma(2, size=(200, 2))
    means = draw_counts(np.ones(200), 4000, np.random.default_rng(0)) @ values / 200
    theirs = stats.bootstrap(
        (values,), np.mean, axis=0, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    np.testing.assert_allclose(percentile_interval(means), theirs, atol=0.02)


def test_bootstrap_takes_the_same_images_for_all_seeds(models):
    correct = models[0][0]
    assert bootstrap_interval(np.tile(correct, (4, 1))) == pytest.approx(
        bootstrap_interval(correct), abs=0.003
    )


def plain_bootstrap(models: list[np.ndarray], resamples: int) -> np.ndarray:
    """Mean accuracies, float64 (resamples, models), from a loop over drawn indices."""
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


def test_bootstraps_of_several_seeds_are_the_plain_ones(models):
    a, b = models
    plain = plain_bootstrap([a, b], 3000)
    assert bootstrap_interval(a) == pytest.approx(
        tuple(np.quantile(plain[:, 0], [0.025, 0.975])), abs=0.007
    )
    expected = np.quantile(plain[:, 0] - plain[:, 1], [0.025, 0.975])
    assert paired_bootstrap(a, b) == pytest.approx(tuple(expected), abs=0.007)


@pytest.mark.parametrize(
    "correct",
    [np.ones(3), np.zeros(0, bool), np.zeros((0, 3), bool), np.zeros((1, 2, 3), bool), np.True_],
)
def test_intervals_need_bool_of_runs_and_images(correct):
    with pytest.raises(StudyError, match=r"^correct: expected"):
        bootstrap_interval(correct)
    with pytest.raises(StudyError, match="correct_b: expected"):
        paired_bootstrap(np.ones(3, bool), correct)
    with pytest.raises(StudyError, match="correct_a: expected"):
        mcnemar(correct, np.ones(3, bool))


# ---- macro F1, balanced accuracy, and by emotion


def scipys(emotion: np.ndarray, predicted: np.ndarray, score: str) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of scipy's percentile bootstrap over images, each () or (7,)."""

    def statistic(emotion, predicted, axis):
        values = plain_scores(emotion, predicted, axis)[score]
        # scipy expects the resamples in the last axis.
        return values.T if score in ("precision", "recall", "F1") else values

    return stats.bootstrap(
        (emotion, predicted),
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
    predicted = logits.argmax(axis=1)
    for score in ("macro F1", "balanced accuracy"):
        assert table.loc[score, ["low", "high"]].tolist() == pytest.approx(
            list(scipys(emotion, predicted, score)), abs=0.01
        )
    correct = predicted == emotion
    assert tuple(table.loc["accuracy", ["low", "high"]]) == bootstrap_interval(correct)


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


def test_resamples_of_three_images_are_the_27_possible_ones():
    logits, emotion = np.eye(7)[[3, 3, 4]], np.array([3, 5, 4])
    predicted = logits.argmax(axis=1)
    draws = [list(chosen) for chosen in itertools.product(range(3), repeat=3)]
    macro = [
        metrics.f1_score(emotion[d], predicted[d], labels=NUMBERS, average="macro", zero_division=0)
        for d in draws
    ]
    balanced = [
        np.mean([np.mean(predicted[d][emotion[d] == e] == e) for e in set(emotion[d])])
        for d in draws
    ]
    (scores,) = resampled([cells(logits[None], emotion)], CELLS, means_over_emotions, 3)
    for column, expected in zip(scores.T, (macro, balanced), strict=True):
        values, counts = np.unique(np.round(column, 9), return_counts=True)
        all_values, all_counts = np.unique(np.round(expected, 9), return_counts=True)
        np.testing.assert_allclose(values, all_values)
        np.testing.assert_allclose(counts / len(scores), all_counts / 27, atol=0.02)


def test_scores_of_several_seeds_are_means_and_seeds_are_resampled():
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


@pytest.mark.usefixtures("few_resamples")
def test_score_table_depends_on_the_seed_and_not_on_the_order_of_images(predictions):
    logits, emotion = predictions
    table = score_table(logits, emotion)
    assert score_table(logits[::-1], emotion[::-1]).equals(table)
    assert not score_table(logits, emotion, seed=1).equals(table)


@pytest.mark.usefixtures("few_resamples")
def test_batches_of_resamples_are_one_resampling(predictions, monkeypatch):
    logits, emotion = predictions
    runs = np.stack([logits, logits[:, ::-1]])
    table = score_table(runs, emotion)
    monkeypatch.setattr("fer_utils.evaluation.resampling.AT_ONCE", 300)
    assert score_table(runs, emotion).equals(table)


@pytest.mark.usefixtures("few_resamples")
def test_intervals_of_means_over_emotions_have_about_their_nominal_coverage():
    generator = np.random.default_rng(15)
    # One image in seventy shows disgust; in FER-2013 it is one in sixty-six.
    joint = (
        (0.4 * np.full((7, 7), 1 / 7) + 0.6 * np.eye(7))
        * np.array([[10], [1], [10], [17], [12], [8], [12]])
        / 70
    )
    truth = means_over_emotions(joint.ravel() * 1e9)
    covered = []
    for seed in range(300):
        cell = generator.choice(CELLS, 600, p=joint.ravel())
        (means,) = resampled([cell[None]], CELLS, means_over_emotions, seed)
        low, high = percentile_interval(means)
        covered.append((low <= truth) & (truth <= high))
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.95, atol=0.05)


@pytest.mark.parametrize(
    ("logits", "emotion"),
    [
        (np.zeros((3, 7)), np.zeros(2, int)),
        (np.zeros((3, 6)), np.zeros(3, int)),
        (np.zeros((0, 7)), np.zeros(0, int)),
        (np.zeros((1, 2, 3, 7)), np.zeros(3, int)),
    ],
)
def test_score_tables_need_logits_of_all_images(logits, emotion):
    for table in (score_table, per_emotion):
        with pytest.raises(StudyError, match=f"{table.__name__}: expected logits"):
            table(logits, emotion)


def test_per_emotion_needs_a_single_run(predictions):
    logits, emotion = predictions
    with pytest.raises(StudyError, match="per_emotion: expected logits"):
        per_emotion(np.stack([logits, logits]), emotion)
