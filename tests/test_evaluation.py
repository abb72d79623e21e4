"""Scores, held to scikit-learn and to the formulas they are named after."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.evaluation import (
    accuracy,
    accuracy_interval,
    averaged,
    bootstrap_interval,
    confident_mistakes,
    confusion,
    cross_entropy,
    mcnemar,
    most_confused,
    paired_bootstrap,
    per_emotion,
    probabilities,
    seed_summary,
    split_scores,
)

NUMBERS = range(len(EMOTIONS))


@pytest.fixture(scope="module")
def answers():
    """Logits float32 (500, 7) and emotions: better than chance, and without an image of disgust."""
    generator = np.random.default_rng(2)
    emotion = generator.choice([0, 2, 3, 4, 5, 6], 500).astype(np.uint8)
    logits = generator.normal(size=(500, 7)) + 1.5 * np.eye(7)[emotion]
    return logits.astype(np.float32), emotion


@pytest.fixture(scope="module")
def rights():
    """Whether three seeds of a model and two of another are right, bool (3, 400) and (2, 400): images hard for both."""
    generator = np.random.default_rng(6)
    ease = generator.beta(1.2, 0.8, 400)
    better, worse = np.array([[0.02], [0], [-0.1]]), np.array([[-0.05], [-0.15]])
    return generator.random((3, 400)) < ease + better, generator.random((2, 400)) < ease + worse


def wilson(right: int, images: int) -> tuple[float, float]:
    z, share = 1.959963984540054, right / images
    middle = (share + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2))
    return middle - half, middle + half


def test_accuracy(answers):
    logits, emotion = answers
    assert 0.3 < accuracy(logits, emotion) < 0.9
    assert accuracy(logits, emotion) == metrics.accuracy_score(emotion, logits.argmax(axis=1))


def test_probabilities_and_cross_entropy(answers):
    logits, emotion = answers
    shares = probabilities(logits)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
    assert cross_entropy(logits, emotion) == pytest.approx(metrics.log_loss(emotion, shares, labels=NUMBERS))


def test_huge_logits_stay_finite():
    logits = np.array([[1e4, 0, 0, 0, 0, 0, -1e4]], np.float32)
    assert cross_entropy(logits, np.array([6])) == pytest.approx(2e4)
    assert cross_entropy(logits, np.array([0])) == 0
    assert probabilities(logits)[0].tolist() == [1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("right", "images"), [(2268, 3589), (0, 10), (10, 10), (1, 2), (1, 1)])
def test_interval_is_wilsons(right, images):
    low, high = accuracy_interval(right / images, images)
    assert (low, high) == pytest.approx(wilson(right, images), abs=1e-9)
    assert -1e-12 <= low <= right / images <= high <= 1 + 1e-12


def test_interval_of_another_level_is_wider():
    low, high = accuracy_interval(0.5, 100)
    wide_low, wide_high = accuracy_interval(0.5, 100, level=0.99)
    assert wide_low < low < 0.5 < high < wide_high


def test_split_scores(answers):
    logits, emotion = answers
    right = int((logits.argmax(axis=1) == emotion).sum())
    low, high = wilson(right, 500)
    assert split_scores("public", logits, emotion) == pytest.approx(
        {"public_accuracy": right / 500, "public_low": low, "public_high": high}
    )


def test_per_emotion(answers):
    logits, emotion = answers
    table = per_emotion(logits, emotion)
    assert table.index.tolist() == list(EMOTIONS)
    given = {"y_true": emotion, "y_pred": logits.argmax(axis=1), "labels": NUMBERS, "average": None, "zero_division": 0}
    np.testing.assert_array_equal(table["precision"], metrics.precision_score(**given))
    np.testing.assert_array_equal(table["recall"], metrics.recall_score(**given))
    np.testing.assert_array_equal(table["F1"], metrics.f1_score(**given))
    assert table["images"].tolist() == np.bincount(emotion, minlength=7).tolist()
    assert table.loc["disgust"].tolist() == [0, 0, 0, 0]


def test_confusion(answers):
    logits, emotion = answers
    table = confusion(logits, emotion)
    expected = metrics.confusion_matrix(emotion, logits.argmax(axis=1), labels=NUMBERS)
    assert np.array_equal(table, expected) and table.to_numpy().sum() == 500
    assert table.index.tolist() == table.columns.tolist() == list(EMOTIONS)
    # True emotion in rows, prediction in columns.
    one = confusion(np.eye(7)[[3]], np.array([5]))
    assert one.loc["surprise", "happy"] == 1 and one.to_numpy().sum() == 1


def test_one_image_is_enough():
    logits, emotion = np.eye(7)[[2]], np.array([2], np.uint8)
    assert accuracy(logits, emotion) == 1
    assert confusion(logits, emotion).to_numpy().sum() == 1
    assert per_emotion(logits, emotion).loc["fear"].tolist() == [1, 1, 1, 1]
    assert len(confident_mistakes(logits, emotion, 5)) == 0


def test_most_confused_is_the_mistake_on_most_images():
    true = np.repeat([1, 3, 4], [4, 50, 20])
    said = np.concatenate([[0] * 3 + [1], [3] * 40 + [6] * 10, [4] * 11 + [6] * 9])
    # Disgust is mistaken most often of its own images, but happy on most images: 10 of 50.
    assert most_confused(confusion(np.eye(7)[said], true)) == ("happy", "neutral", 0.2)


def test_most_confused_where_nothing_is_confused():
    assert most_confused(confusion(np.eye(7), np.arange(7)))[2] == 0


def test_confident_mistakes_are_wrong_and_sorted(answers):
    logits, emotion = answers
    shares = probabilities(logits)
    chosen = confident_mistakes(logits, emotion, 20)
    assert len(chosen) == 20
    sure = shares.max(axis=1)
    assert (shares[chosen].argmax(axis=1) != emotion[chosen]).all()
    assert (np.diff(sure[chosen]) <= 0).all()
    wrong = np.flatnonzero(shares.argmax(axis=1) != emotion)
    assert sure[chosen].min() >= sure[np.setdiff1d(wrong, chosen)].max()
    assert len(confident_mistakes(logits, emotion, 10_000)) == len(wrong)


def test_seed_summary():
    summary = seed_summary([0.6, 0.7, 0.62, 0.64])
    # Deviations -0.04, 0.06, -0.02, 0: their squares sum to 0.0056.
    assert summary == pytest.approx((0.64, math.sqrt(0.0056 / 3), 0.6, 0.7))
    assert summary.deviation == pytest.approx(0.0432, abs=1e-4)
    one = seed_summary(np.array([0.5]))
    assert (one.mean, one.minimum, one.maximum) == (0.5, 0.5, 0.5) and math.isnan(one.deviation)


@pytest.mark.parametrize("accuracies", [[], [[0.5, 0.6]], 0.5])
def test_seed_summary_wants_one_accuracy_a_seed(accuracies):
    with pytest.raises(StudyError, match="one a seed"):
        seed_summary(accuracies)


def test_averaged_is_the_mean_probability():
    members = np.random.default_rng(3).normal(scale=4, size=(5, 200, 7)).astype(np.float32)
    together = averaged(members)
    assert together.shape == (200, 7) and together.dtype == np.float32
    mean = np.mean([probabilities(logits) for logits in members], axis=0)
    np.testing.assert_allclose(together, np.log(mean), atol=1e-5)
    np.testing.assert_allclose(probabilities(together), mean, rtol=1e-5)
    assert np.array_equal(together.argmax(axis=1), mean.argmax(axis=1))
    # The mean of the logits is another ensemble, with other answers.
    assert (together.argmax(axis=1) != members.mean(axis=0).argmax(axis=1)).any()


def test_averaged_takes_a_list_and_forgets_the_scale_of_logits():
    members = np.random.default_rng(4).normal(size=(2, 30, 7))
    shifted = [members[0] + 100, (members[1] - 7).astype(np.float32)]
    np.testing.assert_allclose(averaged(shifted), averaged(members), atol=1e-5)
    np.testing.assert_allclose(averaged(members[:1]), np.log(probabilities(members[0])), atol=1e-6)


def test_averaged_stays_finite_and_keeps_the_order_of_tiny_probabilities():
    members = np.array([[[2e3, 0, 0, 0, 0, 1, 0]], [[2e3, 0, 0, 0, 0, 1, 0]]], np.float32)
    together = averaged(members)
    assert np.isfinite(together).all()
    assert together[0].argsort()[-2:].tolist() == [5, 0]


@pytest.mark.parametrize(
    "members", [[], np.zeros((5, 7)), np.zeros((2, 5, 6)), [np.zeros((5, 7)), np.zeros((4, 7))], np.zeros((1, 2, 5, 7))]
)
def test_averaged_wants_members_of_one_shape(members):
    with pytest.raises(StudyError, match="one shape"):
        averaged(members)


def test_bootstrap_of_one_run_is_scipys_and_about_wilsons(rights):
    right = rights[0][0]
    interval = bootstrap_interval(right)
    theirs = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert interval == pytest.approx(tuple(theirs), abs=0.004)
    # Wilson's is pulled towards one half, the less the more images.
    assert interval == pytest.approx(accuracy_interval(right.mean(), 400), abs=0.006)
    low, high = interval
    wide_low, wide_high = bootstrap_interval(right, level=0.99)
    assert wide_low < low < right.mean() < high < wide_high
    assert bootstrap_interval(right[None]) == interval


def test_bootstrap_is_by_seed_and_not_by_the_order_of_images(rights):
    right = rights[0]
    interval = bootstrap_interval(right, seed=5)
    assert bootstrap_interval(right[:, ::-1], seed=5) == interval
    assert bootstrap_interval(right, seed=6) != interval
    assert bootstrap_interval(right, seed=6) == pytest.approx(interval, abs=0.005)


def test_bootstrap_covers_as_often_as_it_says():
    generator = np.random.default_rng(8)
    covered = 0
    for seed in range(600):
        low, high = bootstrap_interval(generator.random(500) < 0.63, level=0.9, resamples=1000, seed=seed)
        covered += low <= 0.63 <= high
    # Four standard errors of the simulation.
    assert covered / 600 == pytest.approx(0.9, abs=0.05)


def test_bootstrap_of_several_seeds_covers_the_recipes_mean():
    generator = np.random.default_rng(9)
    both, one = 0, 0
    for seed in range(300):
        # Seeds differ by 3 points, the sampling of 1,000 images is worth 1.5.
        right = generator.random((6, 1000)) < 0.63 + 0.03 * generator.normal(size=(6, 1))
        low, high = bootstrap_interval(right, resamples=500, seed=seed)
        both += low <= 0.63 <= high
        low, high = bootstrap_interval(right[0], resamples=500, seed=seed)
        one += low <= 0.63 <= high
    assert 0.84 < both / 300 < 0.98
    assert one / 300 < 0.75


def test_bootstrap_resamples_seeds():
    # One seed all right, one all wrong: whichever images are drawn, both are the same seed in half the resamples.
    right = np.array([[True], [False]]).repeat(50, axis=1)
    assert bootstrap_interval(right) == (0, 1)
    assert bootstrap_interval(right, level=0.4) == (0.5, 0.5)


def test_bootstrap_takes_the_same_images_for_all_seeds(rights):
    right = rights[0][0]
    assert bootstrap_interval(np.tile(right, (4, 1))) == pytest.approx(bootstrap_interval(right), abs=0.003)


def plain_bootstrap(models: list[np.ndarray], resamples: int) -> np.ndarray:
    """Mean accuracies, float64 (resamples, models), with indices and a loop."""
    generator = np.random.default_rng(10)
    means = []
    for _ in range(resamples):
        images = generator.integers(0, models[0].shape[1], models[0].shape[1])
        means.append([right[generator.integers(0, len(right), len(right))][:, images].mean() for right in models])
    return np.array(means)


def test_bootstraps_of_several_seeds_are_the_plain_ones(rights):
    a, b = rights
    plain = plain_bootstrap([a, b], 3000)
    assert bootstrap_interval(a) == pytest.approx(tuple(np.quantile(plain[:, 0], [0.025, 0.975])), abs=0.007)
    difference = plain[:, 0] - plain[:, 1]
    for level in (0.6, 0.95):
        expected = np.quantile(difference, [(1 - level) / 2, (1 + level) / 2])
        assert paired_bootstrap(a, b, level=level) == pytest.approx(tuple(expected), abs=0.007)


def test_paired_bootstrap_of_one_run_is_scipys(rights):
    a, b = rights[0][0], rights[1][0]
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


def test_paired_bootstrap_of_a_model_with_itself_and_the_other_way_round(rights):
    a, b = rights
    assert paired_bootstrap(a[0], a[0]) == (0, 0)
    low, high = paired_bootstrap(a, b)
    assert low < a.mean() - b.mean() < high
    assert paired_bootstrap(b, a) == pytest.approx((-high, -low), abs=0.005)
    # Every image right for a, none for b: nothing is uncertain.
    assert paired_bootstrap(np.ones((3, 20), bool), np.zeros(20, bool)) == (1, 1)


def test_mcnemar_by_hand():
    right_a = np.array([True] * 4 + [True] + [False] * 6 + [False] * 9)
    right_b = np.array([True] * 4 + [False] + [True] * 6 + [False] * 9)
    result = mcnemar(right_a, right_b)
    assert (result.only_a, result.only_b) == (1, 6)
    assert result.difference == pytest.approx(right_a.mean() - right_b.mean()) == pytest.approx(-5 / 20)
    # At most one head or at least six in seven tosses: 2 * (1 + 7) / 128.
    assert result.p == pytest.approx(0.125)
    other = mcnemar(right_b, right_a)
    assert other == pytest.approx((6, 1, 0.25, 0.125))


def test_mcnemar_where_nothing_or_as_much_differs():
    right = np.array([True, False, True])
    assert mcnemar(right, right) == (0, 0, 0, 1)
    assert mcnemar(right, right[[1, 0, 2]]) == pytest.approx((1, 1, 0, 1))


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


@pytest.mark.parametrize(
    "right", [np.ones(3), np.zeros(0, bool), np.zeros((0, 3), bool), np.zeros((1, 2, 3), bool), np.True_]
)
def test_intervals_want_bool_of_runs_and_images(right):
    with pytest.raises(StudyError, match="right: expected"):
        bootstrap_interval(right)
    with pytest.raises(StudyError, match="right_b: expected"):
        paired_bootstrap(np.ones(3, bool), right)
    with pytest.raises(StudyError, match="right_a: expected"):
        mcnemar(right, np.ones(3, bool))
