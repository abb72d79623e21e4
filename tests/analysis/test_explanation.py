"""Occlusion maps of predictors that depend on known regions, and evidence by region."""

import numpy as np
import pytest
from explanation_cases import BOXES, MOUTH, some_noise, using_box, using_boxes

from fer_utils.analysis import explanation
from fer_utils.analysis.explanation import (
    OUTSIDE,
    REGIONS,
    choose,
    mean_maps,
    occlusion_maps,
    region_finding,
    region_masks,
    region_table,
)
from fer_utils.data.csv import read_csv
from fer_utils.emotions import EMOTIONS, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.paths import MODEL, RELEASED
from fer_utils.release.export import onnx_logits


@pytest.fixture(scope="module")
def noise():
    return some_noise()


def map_by_loop(predictor, image, emotion) -> np.ndarray:
    """Return an occlusion map, computed with loops, float64 (48, 48)."""

    def log_probability(picture):
        logits = predictor(picture[None])[0].astype(np.float64)
        return logits[emotion] - np.log(np.exp(logits).sum())

    total, times = np.zeros((48, 48)), np.zeros((48, 48))
    for top in range(0, 40, 3):
        for left in range(0, 40, 3):
            hidden = image.copy()
            hidden[top : top + 9, left : left + 9] = round(float(image.mean()))
            drop = log_probability(image) - log_probability(hidden)
            total[top : top + 9, left : left + 9] += drop
            times[top : top + 9, left : left + 9] += 1
    return total / times


def test_maps_match_a_loop(faces, model_folder):
    def predictor(images):
        return onnx_logits(model_folder / "model.onnx", images)

    images, emotion = faces.images[:2], faces.emotion[:2]
    maps = occlusion_maps(predictor, images, emotion)
    assert maps.dtype == np.float32 and maps.shape == (2, 48, 48)
    for found, image, label in zip(maps, images, emotion, strict=True):
        expected = map_by_loop(predictor, np.asarray(image), label)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_map_of_a_predictor_that_uses_one_box_is_0_elsewhere(noise):
    images, _ = noise
    top, bottom, left, right = box = (12, 21, 24, 33)
    maps = occlusion_maps(using_box(*box), images, np.full(21, 3))
    reach = explanation.PATCH - 1
    near = np.zeros((48, 48), bool)
    near[top - reach : bottom + reach, left - reach : right + reach] = True
    assert (maps[:, ~near] == 0).all()
    assert (maps[:, top:bottom, left:right] > 0).all()
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in maps]
    assert all(top <= row < bottom and left <= column < right for row, column in peaks)
    # Evidence for happy is evidence against any other emotion.
    others = occlusion_maps(using_box(*box), images, np.zeros(21, int))
    assert (others[:, top:bottom, left] < 0).all()


def test_maps_of_a_constant_predictor_are_0(noise):
    maps = occlusion_maps(
        lambda images: np.tile(np.float32([1, 2, 3, 4, 5, 6, 7]), (len(images), 1)), *noise
    )
    assert (maps == 0).all()


def test_maps_of_blank_images_are_0():
    blank = np.full((2, 48, 48), 90, np.uint8)
    assert (occlusion_maps(using_boxes, blank, np.zeros(2, int)) == 0).all()


def test_maps_do_not_depend_on_the_batch_and_batches_are_limited(noise, monkeypatch):
    images, emotion = noise
    together = occlusion_maps(using_boxes, images, emotion)
    sizes = []

    def recorded(batch):
        sizes.append(len(batch))
        return using_boxes(batch)

    monkeypatch.setattr(explanation, "_BATCH", 400)
    few = occlusion_maps(recorded, images, emotion)
    assert len(sizes) == 11 and max(sizes) <= 400
    np.testing.assert_allclose(few, together, atol=1e-6)
    alone = occlusion_maps(using_boxes, images[5:6], emotion[5:6])
    np.testing.assert_allclose(alone[0], together[5], atol=1e-6)


def test_every_image_needs_an_emotion(noise):
    with pytest.raises(StudyError, match="found 21 images and 20 emotions"):
        occlusion_maps(using_boxes, noise[0], noise[1][:-1])


def test_chosen_faces_are_correct_and_depend_on_the_seed():
    emotion = np.repeat(np.arange(7), 20)
    logits = np.eye(7)[emotion]
    logits[:35] = np.eye(7)[6]  # wrong for all angry and most disgust faces
    chosen = choose(emotion, logits, 10, seed=1)
    assert (np.argmax(logits[chosen], axis=1) == emotion[chosen]).all()
    assert np.bincount(emotion[chosen], minlength=7).tolist() == [0, 5, 10, 10, 10, 10, 10]
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose(emotion, logits, 10, seed=1))
    assert not np.array_equal(chosen, choose(emotion, logits, 10, seed=2))
    assert len(choose(emotion, np.eye(7)[(emotion + 1) % 7], 10, seed=1)) == 0


def test_mean_maps_have_numbers_of_images():
    maps = np.arange(3)[:, None, None] * np.ones((3, 48, 48), np.float32)
    means = mean_maps(maps, np.array([4, 4, 0]))
    assert means.images.tolist() == [1, 0, 0, 0, 2, 0, 0]
    assert (means.maps[4] == 0.5).all() and (means.maps[0] == 2).all()
    assert np.isnan(means.maps[[1, 2, 3, 5, 6]]).all()


def test_each_pixel_is_in_one_region():
    masks = region_masks()
    assert list(masks) == [*REGIONS, OUTSIDE]
    assert (np.sum(list(masks.values()), axis=0) == 1).all()
    for name, (top, bottom, left, right) in REGIONS.items():
        assert masks[name].sum() == (bottom - top) * (right - left)


@pytest.fixture(scope="module")
def public(real_data):
    """Return the real PublicTest."""
    return read_csv(real_data / "fer2013.csv.gz").of(PUBLIC)


def test_regions_match_the_real_mean_face(public):
    mean = public.images.mean(axis=0)
    eyes, mouth = mean[10:30, 12:36].mean(axis=1), mean[30:48, 18:30].mean(axis=1)
    top, bottom, left, right = REGIONS["brows and eyes"]
    assert top + 3 <= 10 + eyes.argmin() <= bottom - 3
    assert MOUTH[0] + 3 <= 30 + mouth[:14].argmin() <= MOUTH[1] - 3
    # The face is lighter inside the band than in the columns beside it.
    band = mean[top:bottom].mean(axis=0)
    assert band[left : left + 4].mean() > band[:left].mean() + 5
    assert band[right - 4 : right].mean() > band[right:].mean() + 5


def test_shares_match_a_loop():
    generator = np.random.default_rng(2)
    maps, emotion = generator.normal(size=(12, 48, 48)), np.repeat([3, 5], 6)
    table = region_table(maps, emotion)
    assert list(table.columns) == [
        *("emotion", "region", "images", "area", "share", "low", "high", "relative", "leads")
    ]
    assert len(table) == 7 * 5
    for number in (3, 5):
        rows = table[table["emotion"] == EMOTIONS[number]]
        assert rows["share"].sum() == pytest.approx(1) and rows["area"].sum() == pytest.approx(1)
        assert (rows["images"] == 6).all()
        for row, mask in zip(rows.itertuples(), region_masks().values(), strict=True):
            each = [
                np.clip(one, 0, None)[mask].sum() / np.clip(one, 0, None).sum()
                for one in maps[emotion == number]
            ]
            assert row.share == pytest.approx(np.mean(each))
            assert row.relative == pytest.approx(np.mean(each) / mask.mean())
            assert row.low <= row.share <= row.high
    assert table[table["emotion"] == "sad"]["share"].isna().all()
    assert (table[table["emotion"] == "sad"]["images"] == 0).all()


def test_intervals_have_their_nominal_coverage():
    generator = np.random.default_rng(3)
    mask, covered = region_masks()["forehead"], 0
    for _ in range(100):
        # The share of the forehead is uniform between 0 and 1.
        maps = np.where(mask, generator.random((30, 1, 1)) / mask.sum(), 0)
        maps += np.where(~mask, (1 - maps.sum(axis=(1, 2), keepdims=True)) / (~mask).sum(), 0)
        row = region_table(maps, np.zeros(30, int)).iloc[0]
        covered += row["low"] <= 0.5 <= row["high"]
    assert 85 <= covered <= 99


def test_regions_that_a_predictor_uses_lead(noise):
    images, emotion = noise
    table = region_table(occlusion_maps(using_boxes, images, emotion), emotion)
    leading = table[table["leads"]].set_index("emotion")["region"].to_dict()
    names = {box: name for name, box in REGIONS.items()}
    assert leading == {name: names[BOXES[name]] for name in EMOTIONS}


def test_no_region_leads_if_all_are_alike():
    maps = np.random.default_rng(4).normal(size=(40, 48, 48))
    table = region_table(maps, np.zeros(40, int))
    assert not table["leads"].any()
    assert "No single region leads significantly for angry" in region_finding(table)


def test_finding_has_the_numbers(noise):
    images, _ = noise
    emotion = np.tile([3, 0, 0], 7)
    maps = occlusion_maps(using_box(*MOUTH), images, np.full(21, 3))
    table = region_table(maps, emotion)
    rows = table.set_index(["emotion", "region"])
    mouth = rows.loc[("happy", "mouth and chin")]
    text = region_finding(table)
    for name in ("angry", "happy"):
        assert f"{name} ({rows.loc[(name, 'mouth and chin')]['relative']:.1f}×)" in text
    low, high = (f"{100 * mouth[end]:.1f}" for end in ("low", "high"))
    assert f"{100 * mouth['share']:.1f} %" in text and f"95 % CI {low} to {high}" in text
    assert "No single region" not in text


def test_finding_without_evidence_and_with_one_image(noise):
    nothing = region_finding(region_table(np.zeros((3, 48, 48)), np.array([0, 3, 6])))
    assert "No map" in nothing
    assert region_finding(region_table(np.zeros((0, 48, 48)), np.zeros(0, int))) == nothing
    one = region_finding(region_table(np.abs(noise[0][:1].astype(float)), np.array([3])))
    assert "one image" in one and "angry" not in one and "nan" not in one


def test_released_model_uses_the_mouth_of_happy_faces(public):
    def predictor(images):
        return onnx_logits(RELEASED / MODEL, images)

    happy = public.select(np.flatnonzero(public.emotion == 3)[:40])
    happy = happy.select(choose(happy.emotion, predictor(happy.images), 16, seed=0))
    maps = occlusion_maps(predictor, happy.images, happy.emotion)
    table = region_table(maps, happy.emotion).set_index(["emotion", "region"])
    assert table.loc[("happy", "mouth and chin"), "leads"]
