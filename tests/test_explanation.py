"""Occlusion maps on predictors that are known to look somewhere, shares by region, and the check against chance."""

import random

import numpy as np
import pytest
from scipy.stats import spearmanr

from fer_utils.analysis import explanation
from fer_utils.analysis.explanation import (
    OUTSIDE,
    REGIONS,
    choose,
    finding,
    mean_maps,
    occlusion_maps,
    region_masks,
    region_table,
)
from fer_utils.analysis.sanity import randomised, sanity_check
from fer_utils.backend import keras
from fer_utils.emotions import EMOTIONS, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.export import onnx_logits
from fer_utils.recognition import MODEL, RELEASED
from fer_utils.sources.csv import read_csv
from fer_utils.training import predict

MOUTH = REGIONS["mouth and chin"]
LOOKED_AT = {emotion: list(REGIONS.values())[number % len(REGIONS)] for number, emotion in enumerate(EMOTIONS)}


def looking_at(top: int, bottom: int, left: int, right: int, emotion: int = 3):
    """A predictor whose logit of one emotion is the contrast in one box, and that sees nothing else."""

    def answer(images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8 and images.shape[1:] == (48, 48)
        logits = np.zeros((len(images), 7), np.float32)
        logits[:, emotion] = images[:, top:bottom, left:right].std(axis=(1, 2)) / 40
        return logits

    return answer


def attentive(images: np.ndarray) -> np.ndarray:
    """Each emotion's logit is the contrast in the box of `LOOKED_AT`, its own emotion's or another's."""
    boxes = [images[:, top:bottom, left:right] for top, bottom, left, right in LOOKED_AT.values()]
    return np.stack([box.std(axis=(1, 2)) / 10 for box in boxes], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def noise():
    """Images whose every box has contrast, three of each emotion, and their emotions."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (21, 48, 48), np.uint8), np.arange(21) % 7


def plain_map(predictor, image, emotion, patch, starts) -> np.ndarray:
    """One occlusion map with loops, float64 (48, 48)."""

    def log_probability(picture):
        logits = predictor(picture[None])[0].astype(np.float64)
        return logits[emotion] - np.log(np.exp(logits).sum())

    total, times = np.zeros((48, 48)), np.zeros((48, 48))
    for top in starts:
        for left in starts:
            hidden = image.copy()
            hidden[top : top + patch, left : left + patch] = round(float(image.mean()))
            drop = log_probability(image) - log_probability(hidden)
            total[top : top + patch, left : left + patch] += drop
            times[top : top + patch, left : left + patch] += 1
    return total / times


@pytest.mark.parametrize(
    ("patch", "stride", "starts"), [(9, 3, range(0, 40, 3)), (20, 9, [0, 9, 18, 27, 28]), (48, 48, [0])]
)
def test_maps_are_those_of_plain_loops(faces, model_folder, patch, stride, starts):
    def predictor(images):
        return onnx_logits(model_folder / "model.onnx", images)

    images, emotion = faces.images[:2], faces.emotion[:2]
    maps = occlusion_maps(predictor, images, emotion, patch=patch, stride=stride, progress=False)
    assert maps.dtype == np.float32 and maps.shape == (2, 48, 48)
    for found, image, label in zip(maps, images, emotion, strict=True):
        expected = plain_map(predictor, np.asarray(image), label, patch, starts)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_predictor_that_looks_at_one_box_has_its_map_there_and_nowhere_else(noise):
    images, _ = noise
    top, bottom, left, right = box = (12, 21, 24, 33)
    maps = occlusion_maps(looking_at(*box), images, np.full(21, 3), progress=False)
    reach = explanation.PATCH - 1
    near = np.zeros((48, 48), bool)
    near[top - reach : bottom + reach, left - reach : right + reach] = True
    assert (maps[:, ~near] == 0).all()
    assert (maps[:, top:bottom, left:right] > 0).all()
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in maps]
    assert all(top <= row < bottom and left <= column < right for row, column in peaks)
    # What speaks for happy speaks against any other emotion.
    assert (occlusion_maps(looking_at(*box), images, np.zeros(21, int), progress=False)[:, top:bottom, left] < 0).all()


def test_a_constant_predictor_has_maps_of_zeros(noise):
    maps = occlusion_maps(lambda images: np.tile(np.float32([1, 2, 3, 4, 5, 6, 7]), (len(images), 1)), *noise)
    assert (maps == 0).all()


def test_blank_images_have_maps_of_zeros():
    blank = np.full((2, 48, 48), 90, np.uint8)
    assert (occlusion_maps(attentive, blank, np.zeros(2, int), progress=False) == 0).all()


def test_maps_do_not_depend_on_the_batch_and_batches_are_bounded(noise, monkeypatch):
    images, emotion = noise
    together = occlusion_maps(attentive, images, emotion, progress=False)
    sizes = []

    def recorded(shown):
        sizes.append(len(shown))
        return attentive(shown)

    monkeypatch.setattr(explanation, "_BATCH", 400)
    few = occlusion_maps(recorded, images, emotion, progress=False)
    assert len(sizes) == 11 and max(sizes) <= 400
    np.testing.assert_allclose(few, together, atol=1e-6)
    alone = occlusion_maps(attentive, images[5:6], emotion[5:6], progress=False)
    np.testing.assert_allclose(alone[0], together[5], atol=1e-6)


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (49, 1), (9, 0), (9, 10)])
def test_patches_that_miss_pixels_are_refused(noise, patch, stride):
    with pytest.raises(StudyError, match=f"found patch {patch} and stride {stride}"):
        occlusion_maps(attentive, *noise, patch=patch, stride=stride)


def test_every_image_needs_its_emotion(noise):
    with pytest.raises(StudyError, match="found 21 images, 20 emotions"):
        occlusion_maps(attentive, noise[0], noise[1][:-1])


def test_chosen_are_right_as_many_as_asked_and_follow_the_seed():
    emotion = np.repeat(np.arange(7), 20)
    logits = np.eye(7)[emotion]
    logits[:35] = np.eye(7)[6]  # all angry and most of disgust are wrong
    chosen = choose(emotion, logits, 10, seed=1)
    assert (np.argmax(logits[chosen], axis=1) == emotion[chosen]).all()
    assert np.bincount(emotion[chosen], minlength=7).tolist() == [0, 5, 10, 10, 10, 10, 10]
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose(emotion, logits, 10, seed=1))
    assert not np.array_equal(chosen, choose(emotion, logits, 10, seed=2))
    assert len(choose(emotion, np.eye(7)[(emotion + 1) % 7], 10, seed=1)) == 0


def test_mean_maps_say_of_how_many():
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
    """The real PublicTest."""
    return read_csv(real_data / "fer2013.csv.gz").of(PUBLIC)


def test_regions_lie_where_the_real_mean_face_has_them(public):
    mean = public.images.mean(axis=0)
    eyes, mouth = mean[10:30, 12:36].mean(axis=1), mean[30:48, 18:30].mean(axis=1)
    top, bottom, left, right = REGIONS["brows and eyes"]
    assert top + 3 <= 10 + eyes.argmin() <= bottom - 3
    assert MOUTH[0] + 3 <= 30 + mouth[:14].argmin() <= MOUTH[1] - 3
    # The face is lighter inside the band than in the columns beside it.
    band = mean[top:bottom].mean(axis=0)
    assert band[left : left + 4].mean() > band[:left].mean() + 5
    assert band[right - 4 : right].mean() > band[right:].mean() + 5


def test_shares_are_those_of_plain_sums():
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
            each = [np.clip(one, 0, None)[mask].sum() / np.clip(one, 0, None).sum() for one in maps[emotion == number]]
            assert row.share == pytest.approx(np.mean(each))
            assert row.relative == pytest.approx(np.mean(each) / mask.mean())
            assert row.low <= row.share <= row.high
    assert table[table["emotion"] == "sad"]["share"].isna().all()
    assert (table[table["emotion"] == "sad"]["images"] == 0).all()


def test_intervals_cover_as_often_as_they_say():
    generator = np.random.default_rng(3)
    mask, covered = region_masks()["forehead"], 0
    for _ in range(100):
        # Of each image, a share drawn evenly from 0 to 1 is on the forehead.
        maps = np.where(mask, generator.random((30, 1, 1)) / mask.sum(), 0)
        maps += np.where(~mask, (1 - maps.sum(axis=(1, 2), keepdims=True)) / (~mask).sum(), 0)
        row = region_table(maps, np.zeros(30, int)).iloc[0]
        covered += row["low"] <= 0.5 <= row["high"]
    assert 85 <= covered <= 99


def test_regions_that_a_predictor_looks_at_lead(noise):
    images, emotion = noise
    table = region_table(occlusion_maps(attentive, images, emotion, progress=False), emotion)
    leading = table[table["leads"]].set_index("emotion")["region"].to_dict()
    names = {box: name for name, box in REGIONS.items()}
    assert leading == {name: names[LOOKED_AT[name]] for name in EMOTIONS}


def test_no_region_leads_where_all_are_alike():
    maps = np.random.default_rng(4).normal(size=(40, 48, 48))
    table = region_table(maps, np.zeros(40, int), level=0.999)
    assert not table["leads"].any()
    assert "no single region for angry" in finding(table)


def test_finding_is_made_of_the_numbers(noise):
    images, _ = noise
    emotion = np.tile([3, 0, 0], 7)
    maps = occlusion_maps(looking_at(*MOUTH), images, np.full(21, 3), progress=False)
    table = region_table(maps, emotion)
    rows = table.set_index(["emotion", "region"])
    mouth = rows.loc[("happy", "mouth and chin")]
    said = finding(table)
    assert f"the mouth and chin for angry ({rows.loc[('angry', 'mouth and chin')]['relative']:.1f}) and happy" in said
    assert f"hold {mouth['share']:.0%} ({mouth['low']:.0%} to {mouth['high']:.0%}) of what speaks for happy" in said
    assert "no single region" not in said


def test_finding_holds_for_nothing_and_for_one_image(noise):
    nothing = region_table(np.zeros((3, 48, 48)), np.array([0, 3, 6]))
    assert "nothing can be said" in finding(nothing)
    assert finding(region_table(np.zeros((0, 48, 48)), np.zeros(0, int))) == finding(nothing)
    one = finding(region_table(np.abs(noise[0][:1].astype(float)), np.array([3])))
    assert "(one image) of what speaks for happy" in one and "angry" not in one and "nan" not in one


@pytest.fixture(scope="module")
def network():
    """A small network with batch normalisation whose every weight is unlike any initial one, as after a training."""
    from fer_utils.architectures import build

    model = build("resnet", widths=(4, 8), blocks=(1, 1))
    generator = np.random.default_rng(5)
    model.set_weights([generator.uniform(0.3, 0.9, weight.shape).astype(np.float32) for weight in model.get_weights()])
    return model


def test_randomised_differs_in_all_weights_and_leaves_the_original(network):
    before = [weight.copy() for weight in network.get_weights()]
    state, others = random.getstate(), np.random.get_state()[1].copy()
    fresh = randomised(network, 1)
    assert random.getstate() == state and np.array_equal(np.random.get_state()[1], others)
    for old, now, new in zip(before, network.get_weights(), fresh.get_weights(), strict=True):
        assert np.array_equal(old, now)
        assert old.shape == new.shape and not np.isclose(old, new).any()
    statistics = [v for v in fresh.non_trainable_variables if "moving" in v.path]
    assert statistics and all(np.isin(keras.ops.convert_to_numpy(v), [0, 1]).all() for v in statistics)


def test_randomised_follows_the_seed(network):
    one, again, other = (randomised(network, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim == 4]
    assert kernels and not any(np.isclose(a, b).any() for a, b in kernels)


def test_randomised_renews_nested_parts_and_what_began_as_zeros(noise):
    from fer_utils.architectures import build

    model = build("tang", width=0.1)
    front = model.get_layer("front")
    front.adapt(noise[0])
    fitted = [weight.copy() for weight in front.get_weights()]
    fresh = randomised(model, 1)
    for old, now, new in zip(fitted, front.get_weights(), fresh.get_layer("front").get_weights(), strict=True):
        assert np.array_equal(old, now) and not np.array_equal(old, new)
    kernels = [(a, b) for a, b in zip(model.get_weights(), fresh.get_weights(), strict=True) if a.ndim > 1]
    assert len(kernels) > 6 and not any(np.array_equal(a, b) for a, b in kernels)
    logits = predict(fresh, noise[0])
    assert (logits.std(axis=0) > 0).all()
    assert (predict(model, noise[0]).std(axis=0) == 0).all(), "Tang's network answers alike before it is trained"
    assert np.array_equal(logits, predict(randomised(model, 1), noise[0]))


def planted(box, seed: int, count: int = 42) -> np.ndarray:
    """Maps that are high in a box, with noise of their own, (count, 48, 48)."""
    maps = np.random.default_rng(seed).normal(0, 0.3, (count, 48, 48))
    top, bottom, left, right = box
    maps[:, top:bottom, left:right] += 1
    return maps


def test_sanity_check_tells_networks_that_look_elsewhere_apart():
    emotion = np.arange(42) % 7
    check = sanity_check(planted((0, 24, 0, 48), 1), planted((0, 48, 0, 24), 2), emotion)
    assert check.passed and "depend on what was learned" in check.verdict
    itself, other, *_ = check.table["correlation"]
    assert itself > other + 0.3
    assert f"{itself:.2f}" in check.verdict and f"{other:.2f}" in check.verdict


def test_sanity_check_fails_where_the_random_network_has_the_same_maps():
    emotion = np.arange(42) % 7
    check = sanity_check(planted(MOUTH, 1), planted(MOUTH, 2), emotion)
    assert not check.passed and "Nothing shows" in check.verdict
    itself, other, *_ = check.table["correlation"]
    assert itself == pytest.approx(other, abs=0.05)
    same = sanity_check(planted(MOUTH, 1), planted(MOUTH, 1), emotion)
    assert not same.passed and same.table["correlation"].iloc[3] == pytest.approx(1)


def test_sanity_check_on_predictors(noise):
    images, emotion = noise
    trained = occlusion_maps(attentive, images, emotion, progress=False)
    lower = occlusion_maps(looking_at(36, 48, 0, 48), images, np.full(21, 3), progress=False)
    assert sanity_check(trained, lower, emotion).passed
    assert not sanity_check(trained, trained, emotion).passed


def test_correlations_are_scipys():
    generator = np.random.default_rng(8)
    trained, untrained = generator.normal(size=(2, 6, 48, 48)).round(1)
    untrained += 0.2 * trained
    table = sanity_check(trained, untrained, np.arange(6) // 2).table.set_index("comparison")
    same = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(trained, untrained, strict=True)]
    row = table.loc["trained with random, same image"]
    assert (row["correlation"], row["images"]) == (pytest.approx(np.mean(same)), 6)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(same, [0.025, 0.975])))
    # With two images of an emotion, each half is one of them, whichever way they fall.
    pairs = [spearmanr(trained[i].ravel(), trained[i + 1].ravel()).statistic for i in (0, 2, 4)]
    assert table.loc["trained with itself, other images"]["correlation"] == pytest.approx(np.mean(pairs))
    across = [(i, i ^ 1) for i in range(6)]
    pairs = [spearmanr(trained[i].ravel(), untrained[j].ravel()).statistic for i, j in across]
    assert table.loc["trained with random, other images"]["correlation"] == pytest.approx(np.mean(pairs))
    unsigned = [spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(trained, untrained, strict=True)]
    found = table.loc["trained with random, same image, without sign"]["correlation"]
    assert found == pytest.approx(np.mean(unsigned))


def test_sanity_check_of_maps_that_are_the_same_all_over():
    emotion, flat = np.zeros(4, int), np.zeros((4, 48, 48))
    check = sanity_check(planted(MOUTH, 1, 4), flat, emotion)
    assert check.passed and "nothing of the trained" in check.verdict
    check = sanity_check(flat, planted(MOUTH, 1, 4), emotion)
    assert not check.passed and "nothing to check" in check.verdict


def test_sanity_check_wants_the_same_images_and_two_of_one_emotion():
    maps = planted(MOUTH, 1, 3)
    with pytest.raises(StudyError, match="maps of the same 3 images"):
        sanity_check(maps, maps[:2], np.zeros(3, int))
    with pytest.raises(StudyError, match="Choose more images"):
        sanity_check(maps, maps, np.arange(3))


def test_the_released_model_looks_at_the_mouth_of_happy_faces(public):
    def predictor(images):
        return onnx_logits(RELEASED / MODEL, images)

    happy = public.select(np.flatnonzero(public.emotion == 3)[:40])
    happy = happy.select(choose(happy.emotion, predictor(happy.images), 16, seed=0))
    maps = occlusion_maps(predictor, happy.images, happy.emotion, patch=12, stride=6, progress=False)
    table = region_table(maps, happy.emotion).set_index(["emotion", "region"])
    assert table.loc[("happy", "mouth and chin"), "leads"]
