"""Robustness, compared with loops and with predictors of known results."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.analysis.robustness import robustness, robustness_finding, subset, summary
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def images(faces):
    return faces.images[faces.images.std(axis=(1, 2)) > 10][:24]


def by_pixels(images):
    """Return logits that depend on the pixels."""
    kernel = np.random.default_rng(7).normal(size=(48 * 48, 7))
    return ((images.reshape(len(images), -1) / 255) @ kernel).astype(np.float32)


def happy(images):
    """Return logits that ignore the image and always predict happy."""
    return np.tile(np.eye(7, dtype=np.float32)[3], (len(images), 1))


@pytest.fixture(scope="module")
def some(faces):
    return faces.select(np.arange(0, 210, 5))


@pytest.fixture(scope="module")
def measured(some):
    return robustness({"by pixels": by_pixels, "happy": happy}, some.images, some.emotion)


def test_accuracy_matches_a_loop(some, measured):
    table, correct, _ = measured
    assert list(table.columns) == [
        *("model", "corruption", "strength", "value", "unit", "images", "accuracy", "low", "high"),
    ]
    assert len(table) == 2 * (1 + 5 * len(CORRUPTIONS))
    assert not table.drop(columns="value").isna().any(axis=None)
    for model, predict in (("by pixels", by_pixels), ("happy", happy)):
        rows = table[table["model"] == model].reset_index(drop=True)
        assert (rows["strength"] == [0, *list(STRENGTHS) * len(CORRUPTIONS)]).all()
        for row in rows.itertuples():
            inputs, value = some.images, np.nan
            if row.strength:
                inputs = np.stack(
                    [corrupt(image[None], row.corruption, row.strength)[0] for image in some.images]
                )
                value = CORRUPTIONS[row.corruption].values[row.strength - 1]
            predictions = predict(inputs).argmax(axis=1)
            assert row.accuracy == pytest.approx(accuracy_score(some.emotion, predictions))
            assert np.array_equal(correct[model][row.Index], predictions == some.emotion)
            np.testing.assert_equal(row.value, value)
            hits = int((predictions == some.emotion).sum())
            interval = binomtest(hits, len(some)).proportion_ci(method="wilson")
            assert (row.low, row.high) == pytest.approx((interval.low, interval.high))


def test_predictor_that_ignores_the_image_keeps_its_accuracy(some, measured):
    table, _, floor = measured
    share = (some.emotion == 3).mean()
    assert table.loc[table["model"] == "happy", "accuracy"].tolist() == pytest.approx([share] * 56)
    scores = summary(measured).set_index("model").loc["happy"]
    assert scores[["relative", "relative_low", "relative_high"]].tolist() == pytest.approx(
        [1, 1, 1]
    )
    assert scores["corrupted"] == pytest.approx(share)
    assert floor == pytest.approx(max(np.mean(some.emotion == number) for number in range(7)))


def test_summary_is_the_mean_over_conditions(some, measured):
    scores = summary(measured)
    assert scores["corrupted"].is_monotonic_decreasing
    row = scores.set_index("model").loc["by pixels"]
    table = measured.table[measured.table["model"] == "by pixels"]
    clean, rest = table["accuracy"].iloc[0], table.iloc[1:]
    assert row["clean"] == pytest.approx(clean) and row["images"] == len(some)
    assert row["corrupted"] == pytest.approx(rest["accuracy"].mean())
    assert row["relative"] == pytest.approx(rest["accuracy"].mean() / clean)
    means = {name: rest.loc[rest["corruption"] == name, "accuracy"].mean() for name in CORRUPTIONS}
    assert row["worst_accuracy"] == pytest.approx(min(means.values())) == means[row["worst"]]
    assert row["corrupted_low"] < row["corrupted"] < row["corrupted_high"]
    assert summary(measured).equals(scores)


def test_intervals_match_resampled_images(measured):
    correct = measured.correct["by pixels"]
    generator = np.random.default_rng(3)
    resamples = []
    for _ in range(4000):
        drawn = correct[:, generator.integers(0, correct.shape[1], correct.shape[1])]
        resamples.append(
            (drawn[1:].mean(), drawn[1:].mean() / drawn[0].mean() if drawn[0].any() else np.nan)
        )
    row = summary(measured).set_index("model").loc["by pixels"]
    for column, values in zip(("corrupted", "relative"), np.transpose(resamples), strict=True):
        low, high = np.nanquantile(values, [0.025, 0.975])
        tolerance = 0.08 * (high - low)
        assert row[f"{column}_low"] == pytest.approx(low, abs=tolerance)
        assert row[f"{column}_high"] == pytest.approx(high, abs=tolerance)


def test_predictor_that_is_never_correct(some):
    sad = np.full(len(some), 4, np.uint8)
    measured = robustness({"happy": happy}, some.images, sad)
    (row,) = summary(measured).to_dict("records")
    assert row["clean"] == row["corrupted"] == row["worst_accuracy"] == 0
    assert np.isnan(row["relative"]) and np.isnan(row["relative_low"]) and row["floor"] == 1
    text = robustness_finding(summary(measured))
    assert text.count(" 0.0 %") == 3 and "nan" not in text


def test_finding_names_the_most_and_the_least_robust_model(measured):
    scores = summary(measured)
    text = robustness_finding(scores)
    for row in scores.to_dict("records"):
        assert row["model"] in text and f"{100 * row['corrupted']:.1f} %" in text
    best = scores.iloc[0]
    for value in (best["clean"], best["worst_accuracy"], best["floor"]):
        assert f"{100 * value:.1f} %" in text
    assert best["worst"] in text
    assert scores["model"].iloc[1] not in robustness_finding(scores.iloc[:1])


def test_subset_has_the_emotions_in_proportion(faces):
    private = faces.of(PRIVATE)
    chosen = subset(private, 14, seed=1)
    assert len(chosen) == 14 and len(set(chosen.row.tolist())) == 14
    expected = np.bincount(private.emotion, minlength=7) * 14 / len(private)
    assert (np.abs(np.bincount(chosen.emotion, minlength=7) - expected) < 1).all()
    assert np.array_equal(chosen.row, subset(private, 14, seed=1).row)
    assert not np.array_equal(chosen.row, subset(private, 14, seed=2).row)
    assert np.array_equal(subset(private, len(private) + 1).row, private.row)


def test_invalid_arguments_are_refused(images):
    with pytest.raises(StudyError, match="at least one predictor"):
        robustness({}, images, np.zeros(len(images), np.uint8))
    with pytest.raises(StudyError, match="24 images and 23 emotions"):
        robustness({"happy": happy}, images, np.zeros(23, np.uint8))
    with pytest.raises(StudyError, match=r"short: expected logits \(24, 7\), found \(24, 3\)"):
        robustness({"short": lambda x: happy(x)[:, :3]}, images, np.zeros(24, np.uint8))
