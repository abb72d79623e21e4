"""Corruptions and what they cost, held to the pixels, to a plain loop and to predictors of known answers."""

import os
import subprocess
import sys

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
    return robustness({"by pixels": by_pixels, "happy": happy}, some.images, some.emotion, progress=False)


def apart(one, other):
    return ((one.astype(float) - other) ** 2).mean(axis=(1, 2))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_stronger_is_farther_from_the_original(images, corruption):
    before = images.copy()
    results = [corrupt(images, corruption, strength) for strength in STRENGTHS]
    assert np.array_equal(images, before), "what was given is left as it was"
    distances = [apart(result, images).mean() for result in results]
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all(), distances
    for result in results:
        assert result.dtype == np.uint8 and result.shape == images.shape
    assert (apart(results[-1], images) > 0).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_an_image_has_its_own_corruption_whatever_is_beside_it(images, corruption):
    together = corrupt(images, corruption, 3, seed=4)
    assert np.array_equal(together, corrupt(images, corruption, 3, seed=4))
    assert np.array_equal(together[::-2], corrupt(images[::-2], corruption, 3, seed=4))
    assert np.array_equal(together[5:6], corrupt(images[5:6], corruption, 3, seed=4))
    assert corrupt(images[:0], corruption, 3).shape == (0, 48, 48)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_seed_decides_what_is_drawn_and_nothing_else(images, corruption):
    same = np.array_equal(corrupt(images, corruption, 3, seed=0), corrupt(images, corruption, 3, seed=1))
    assert same == (corruption not in ("noise", "rotation", "shift"))


def test_values_are_what_their_units_say(images):
    grey = np.full((1, 48, 48), 128, np.uint8)
    for number, strength in enumerate(STRENGTHS):
        assert (corrupt(grey, "darker", strength) == 128 - CORRUPTIONS["darker"].values[number]).all()
        assert (corrupt(grey, "brighter", strength) == 128 + CORRUPTIONS["brighter"].values[number]).all()
    calm = np.clip(images, 96, 160)
    noise = corrupt(calm, "noise", 2).astype(float) - calm
    assert noise.std() == pytest.approx(CORRUPTIONS["noise"].values[1], rel=0.05)
    assert abs(noise.mean()) < 1
    flat = corrupt(images, "lower contrast", 2)
    np.testing.assert_allclose(flat.std(axis=(1, 2)) / images.std(axis=(1, 2)), 0.5, atol=0.02)
    np.testing.assert_allclose(flat.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1)


def test_blur_is_a_gaussian_of_its_sigma():
    step = np.zeros((1, 48, 48), np.uint8)
    step[:, :, 24:] = 200
    for strength, sigma in zip(STRENGTHS, CORRUPTIONS["blur"].values, strict=True):
        slope = np.diff(corrupt(step, "blur", strength)[0, 24].astype(float))
        places = np.arange(len(slope))
        middle = np.average(places, weights=slope)
        assert np.sqrt(np.average((places - middle) ** 2, weights=slope)) == pytest.approx(sigma, rel=0.12)


def test_shift_moves_whole_pixels_each_way(images):
    pixels = int(CORRUPTIONS["shift"].values[2])
    rest, middle = slice(pixels, 48 - pixels), images[:, 10:30, 10:30]
    assert middle.shape[1:] == (20, 20) and rest.start < 10
    seen = set()
    for image, moved in zip(images, corrupt(images, "shift", 3), strict=True):
        ways = [(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)]
        seen |= {
            (down, right)
            for down, right in ways
            if np.array_equal(moved[10 + down : 30 + down, 10 + right : 30 + right], image[10:30, 10:30])
        }
    assert seen == {(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)}


def test_rotation_goes_both_ways_and_keeps_the_middle():
    bar = np.zeros((16, 48, 48), np.uint8)
    bar[:, 23:25] = 255
    bar[:, 0, 0] = np.arange(16)  # so that each is drawn for on its own
    turned = corrupt(bar, "rotation", 4)[:, 4:44, 4:44].astype(float)
    y, x = np.mgrid[-19.5:20, -19.5:20]
    inside = np.hypot(x, y) < 18
    angles = {
        round(np.degrees(np.arctan((image * x * y)[inside].sum() / (image * x * x)[inside].sum()))) for image in turned
    }
    assert len(angles) == 2
    assert all(abs(abs(angle) - CORRUPTIONS["rotation"].values[3]) <= 2 for angle in angles), angles


@pytest.mark.parametrize(("corruption", "rows"), [("eyes covered", range(12, 24)), ("mouth covered", range(33, 45))])
def test_a_bar_of_the_images_mean_covers_its_place_and_nothing_else(images, corruption, rows):
    for strength, height in zip(STRENGTHS, CORRUPTIONS[corruption].values, strict=True):
        middle = rows[len(rows) // 2]
        expected = images.copy()
        for image in expected:
            image[middle - height // 2 : middle + height // 2, 6:42] = round(image.mean())
        assert np.array_equal(corrupt(images, corruption, strength), expected)
    assert height == len(rows)


def test_low_resolution_has_that_many_blocks():
    fine = np.indices((48, 48)).sum(axis=0) % 2 * np.uint8(255)
    assert fine.std() > 100
    assert corrupt(fine[None].astype(np.uint8), "low resolution", 2).std() < 1, "detail finer than a pixel is gone"


def test_accuracy_is_that_of_a_loop(some, measured):
    table, right, _ = measured
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
                shown = np.stack([corrupt(image[None], row.corruption, row.strength)[0] for image in some.images])
                value = CORRUPTIONS[row.corruption].values[row.strength - 1]
            answers = predict(shown).argmax(axis=1)
            assert row.accuracy == pytest.approx(accuracy_score(some.emotion, answers))
            assert np.array_equal(right[model][row.Index], answers == some.emotion)
            np.testing.assert_equal(row.value, value)
            hits = int((answers == some.emotion).sum())
            interval = binomtest(hits, len(some)).proportion_ci(method="wilson")
            assert (row.low, row.high) == pytest.approx((interval.low, interval.high))


def test_who_ignores_the_image_is_flat_and_keeps_everything(some, measured):
    table, _, floor = measured
    share = (some.emotion == 3).mean()
    assert table.loc[table["model"] == "happy", "accuracy"].tolist() == pytest.approx([share] * 56)
    scores = summary(measured).set_index("model").loc["happy"]
    assert scores[["relative", "relative_low", "relative_high"]].tolist() == pytest.approx([1, 1, 1])
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
        resamples.append((drawn[1:].mean(), drawn[1:].mean() / drawn[0].mean() if drawn[0].any() else np.nan))
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
    assert row["model"] == "model" and row["clean"] == row["corrupted"] == row["worst_accuracy"] == 0
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
    with pytest.raises(StudyError, match=r"expected one of blur, noise.*found 'fog'"):
        corrupt(images, "fog", 1)
    for strength in (0, 6, 1.5, "1"):
        with pytest.raises(StudyError, match=f"from 1 .*found {strength!r}"):
            corrupt(images, "blur", strength)
    with pytest.raises(StudyError, match="found float64"):
        corrupt(images / 255, "blur", 1)
    with pytest.raises(StudyError, match=r"found uint8 \(48, 48\)"):
        corrupt(images[0], "blur", 1)
    with pytest.raises(StudyError, match="at least one predictor"):
        robustness({}, images, np.zeros(len(images), np.uint8))
    with pytest.raises(StudyError, match="24 images and 23 emotions"):
        robustness(happy, images, np.zeros(23, np.uint8))
    with pytest.raises(StudyError, match=r"lame: expected logits \(24, 7\), found \(24, 3\)"):
        robustness({"lame": lambda shown: happy(shown)[:, :3]}, images, np.zeros(24, np.uint8), progress=False)


def test_nobody_is_asked_for_newer_versions_and_nothing_is_said():
    """In a process of its own: albumentations asks when it is first imported. What it would say is an error here."""
    code = """
import socket, sys, warnings
warnings.simplefilter("error")
asked = []
def refuse(*given, **options):
    asked.append(given)
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = socket.create_connection = refuse
import numpy as np
from fer_utils.analysis.corruptions import CORRUPTIONS, corrupt
assert "albumentations" not in sys.modules, "imported by who only reads the table"
face = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8)
for corruption in CORRUPTIONS:
    corrupt(face, corruption, 5)
assert "albumentations" in sys.modules
sys.exit(f"asked {asked}" if asked else None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_without_the_switch())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _without_the_switch() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
