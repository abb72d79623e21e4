"""What corruptions cost, held to a plain loop and to predictors of known answers."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.analysis.robustness import finding, robustness, subset, summary
from fer_utils.emotions import PRIVATE
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def images(faces):
    return faces.images[faces.images.std(axis=(1, 2)) > 10][:24]


def by_pixels(images):
    """Answers hang on the pixels."""
    kernel = np.random.default_rng(7).normal(size=(48 * 48, 7))
    return ((images.reshape(len(images), -1) / 255) @ kernel).astype(np.float32)


def happy(images):
    """Ignores the image."""
    return np.tile(np.eye(7, dtype=np.float32)[3], (len(images), 1))


@pytest.fixture(scope="module")
def some(faces):
    return faces.select(np.arange(0, 210, 5))


@pytest.fixture(scope="module")
def measured(some):
    return robustness(
        {"by pixels": by_pixels, "happy": happy}, some.images, some.emotion, progress=False
    )


def test_accuracy_is_that_of_a_loop(some, measured):
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
            shown, value = some.images, np.nan
            if row.strength:
                shown = np.stack(
                    [corrupt(image[None], row.corruption, row.strength)[0] for image in some.images]
                )
                value = CORRUPTIONS[row.corruption].values[row.strength - 1]
            answers = predict(shown).argmax(axis=1)
            assert row.accuracy == pytest.approx(accuracy_score(some.emotion, answers))
            assert np.array_equal(correct[model][row.Index], answers == some.emotion)
            np.testing.assert_equal(row.value, value)
            hits = int((answers == some.emotion).sum())
            interval = binomtest(hits, len(some)).proportion_ci(method="wilson")
            assert (row.low, row.high) == pytest.approx((interval.low, interval.high))


def test_who_ignores_the_image_is_flat_and_keeps_everything(some, measured):
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


def test_intervals_are_those_of_resampling_images(measured):
    answers = measured.right["by pixels"]
    generator = np.random.default_rng(3)
    resamples = []
    for _ in range(4000):
        drawn = answers[:, generator.integers(0, answers.shape[1], answers.shape[1])]
        resamples.append(
            (drawn[1:].mean(), drawn[1:].mean() / drawn[0].mean() if drawn[0].any() else np.nan)
        )
    row = summary(measured).set_index("model").loc["by pixels"]
    for column, values in zip(("corrupted", "relative"), np.transpose(resamples), strict=True):
        low, high = np.nanquantile(values, [0.025, 0.975])
        tolerance = 0.08 * (high - low)
        assert row[f"{column}_low"] == pytest.approx(low, abs=tolerance)
        assert row[f"{column}_high"] == pytest.approx(high, abs=tolerance)


def test_one_predictor_and_one_that_is_never_right(some):
    sad = np.full(len(some), 4, np.uint8)
    measured = robustness(happy, some.images, sad, progress=False)
    (row,) = summary(measured).to_dict("records")
    assert (
        row["model"] == "model" and row["clean"] == row["corrupted"] == row["worst_accuracy"] == 0
    )
    assert np.isnan(row["relative"]) and np.isnan(row["relative_low"]) and row["floor"] == 1
    said = finding(summary(measured))
    assert "to 0.0% on average" in said and "nan" not in said


def test_the_sentence_names_the_best_and_the_last(measured):
    scores = summary(measured)
    said = finding(scores)
    for row in scores.to_dict("records"):
        assert row["model"] in said and f"{row['corrupted']:.1%}" in said
    assert scores["worst"].iloc[0] in said and said.endswith(".") and said.count(". ") == 0
    assert scores["model"].iloc[1] not in finding(scores.iloc[:1])


def test_a_subset_has_the_emotions_in_proportion(faces):
    private = faces.of(PRIVATE)
    chosen = subset(private, 14, seed=1)
    assert len(chosen) == 14 and len(set(chosen.row.tolist())) == 14
    expected = np.bincount(private.emotion, minlength=7) * 14 / len(private)
    assert (np.abs(np.bincount(chosen.emotion, minlength=7) - expected) < 1).all()
    assert np.array_equal(chosen.row, subset(private, 14, seed=1).row)
    assert not np.array_equal(chosen.row, subset(private, 14, seed=2).row)
    assert np.array_equal(subset(private, len(private) + 1).row, private.row)


def test_what_is_unknown_is_refused(images):
    with pytest.raises(StudyError, match="at least one predictor"):
        robustness({}, images, np.zeros(len(images), np.uint8))
    with pytest.raises(StudyError, match="24 images and 23 emotions"):
        robustness(happy, images, np.zeros(23, np.uint8))
    with pytest.raises(StudyError, match=r"lame: expected logits \(24, 7\), found \(24, 3\)"):
        robustness(
            {"lame": lambda shown: happy(shown)[:, :3]},
            images,
            np.zeros(24, np.uint8),
            progress=False,
        )
