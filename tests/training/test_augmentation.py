"""Augmentation: the place of each pixel, the distribution of the draws, and TTA."""

import cv2
import numpy as np
import pytest
from scipy.stats import kstest

from fer_utils.errors import StudyError
from fer_utils.training import augmentation
from fer_utils.training.augmentation import (
    TTA,
    Draws,
    apply,
    draw,
    similarity,
    tta_transforms,
    warp,
)
from fer_utils.training.recipes import get_recipe

PLAIN = get_recipe("baseline_cnn").but(flip=False)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Smooth noise, uint8 (40, 48, 48): neighbouring pixels have slightly different values."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 48)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(image, (9, 9), 3) for image in noise])


def one(angle=0.0, scale=1.0, translation=(0.0, 0.0), flipped=False, side=48):
    return similarity(
        np.array([angle]), np.array([scale]), np.array([translation]), np.array([flipped]), side
    )


# --- transforms ---


def test_the_identity_changes_nothing(pictures):
    assert np.array_equal(warp(pictures[:1], one(), 48, "zero"), pictures[:1])


def test_a_smaller_side_is_the_middle(pictures):
    assert np.array_equal(warp(pictures[:1], one(side=42), 42, "zero"), pictures[:1, 3:45, 3:45])


def test_flips_rotations_and_translations_move_pixels_as_they_should(pictures):
    image = pictures[:1]
    assert np.array_equal(warp(image, one(flipped=True), 48, "zero"), image[:, :, ::-1])
    assert np.array_equal(warp(image, one(angle=np.pi), 48, "zero"), image[:, ::-1, ::-1])
    quarter = warp(image, one(angle=np.pi / 2), 48, "zero")[0]
    assert any(np.abs(quarter.astype(int) - np.rot90(image[0], k)).max() <= 1 for k in (1, 3))
    shifted = warp(image, one(translation=(3, -2)), 48, "zero")[0]
    # The middle of the result is 3 pixels right of the image's middle, and 2 above it.
    assert np.array_equal(shifted[2:, :-3], image[0, :-2, 3:])
    assert not shifted[:2].any() and not shifted[:, -3:].any()


def test_zoom_above_one_enlarges(pictures):
    zoomed = warp(pictures[:1], one(scale=2.0), 48, "zero")[0].astype(int)
    expected = cv2.resize(pictures[0, 12:36, 12:36], (48, 48), interpolation=cv2.INTER_LINEAR)
    assert np.abs(zoomed - expected)[2:-2, 2:-2].max() <= 2


def test_borders(pictures):
    image = np.maximum(pictures[:1], 1)
    assert not warp(image, one(translation=(60, 0)), 48, "zero").any()
    assert np.array_equal(
        warp(image, one(translation=(60, 0)), 48, "edge")[0], np.repeat(image[0, :, -1:], 48, 1)
    )


# --- draws ---


def test_a_recipe_without_augmentation_has_none(pictures):
    draws = draw(PLAIN, np.random.default_rng(0), 40, 48)
    assert (
        draws.transform is draws.erased is draws.share is draws.pasted is None
        and not draws.flipped.any()
    )
    assert np.array_equal(apply(pictures, draws, 48, "edge"), pictures.astype(np.float32))


def test_tangs_jitter_has_its_ranges():
    """Centre within 3 pixels, up to 45 degrees either way, scale 0.8 to 1.2, half are flipped."""
    count = 4000
    draws = draw(get_recipe("tang_l2svm"), np.random.default_rng(0), count, 42)
    linear, middle = (
        draws.transform[:, :, :2].astype(float),
        draws.transform @ np.array([20.5, 20.5, 1.0]),
    )
    shift, scale = middle - 23.5, 1 / np.sqrt(np.abs(np.linalg.det(linear)))
    angle = np.degrees(np.arctan2(-linear[:, 0, 1], linear[:, 1, 1]))
    for values, low, high in (
        (shift[:, 0], -3, 3),
        (shift[:, 1], -3, 3),
        (scale, 0.8, 1.2),
        (angle, -45, 45),
    ):
        assert low - 1e-3 <= values.min() and values.max() <= high + 1e-3
        width = high - low
        assert values.min() < low + 0.01 * width and values.max() > high - 0.01 * width
        assert abs(values.mean() - (low + high) / 2) < 0.03 * width
    assert (
        np.array_equal(np.linalg.det(linear) < 0, draws.flipped)
        and 0.45 < draws.flipped.mean() < 0.55
    )


def corners(transform: np.ndarray) -> np.ndarray:
    """Top left and bottom right corner of the result in the image, (n, 2, 2), at pixels' edges."""
    return transform @ np.array([[-0.5, -0.5, 1], [47.5, 47.5, 1]]).T


def test_crops_lie_inside_the_image_and_have_their_ranges():
    """Share of the area uniform from 0.3 to 1, aspect from 3/4 to 4/3, anywhere in the image."""
    draws = draw(PLAIN.but(crop=0.3), np.random.default_rng(0), 4000, 48)
    (x0, x1), (y0, y1) = corners(draws.transform.astype(float)).transpose(1, 2, 0)
    assert min(x0.min(), y0.min()) >= -0.5 - 1e-4 and max(x1.max(), y1.max()) <= 47.5 + 1e-4
    width, height = (x1 - x0) / 48, (y1 - y0) / 48
    area, aspect = width * height, width / height
    assert kstest(area, "uniform", (0.3, 0.7)).pvalue > 0.01
    assert aspect.min() >= 3 / 4 - 1e-4 and aspect.max() <= 4 / 3 + 1e-4
    # A rectangle below 3/4 of the area fits with any aspect.
    small = area < 3 / 4
    assert (
        kstest(np.log(aspect[small]), "uniform", (np.log(3 / 4), 2 * np.log(4 / 3))).pvalue > 0.01
    )
    for start, size in ((x0, width), (y0, height)):
        room = 1 - size
        assert kstest(((start + 0.5) / 48 / room)[room > 0.05], "uniform").pvalue > 0.01


def test_a_crop_is_its_rectangle_resized(pictures):
    """A rectangle of whole pixels is resized as by OpenCV, and flipped if a flip was drawn."""
    size, middle = np.array([[30, 40]]) / 48, np.array([[4 + 14.5, 7 + 19.5]])
    expected = cv2.resize(pictures[0, 7:47, 4:34], (48, 48), interpolation=cv2.INTER_LINEAR).astype(
        int
    )
    for flipped in (False, True):
        transform = augmentation._cropped(one(flipped=flipped), size, middle)
        result = warp(pictures[:1], transform, 48, "edge")[0].astype(int)
        if flipped:
            result = result[:, ::-1]
        # At the edge OpenCV repeats the rectangle's pixels; the transform uses those outside it.
        assert np.abs(result - expected)[1:-1, 1:-1].max() <= 2


def test_a_crop_is_rotated_scaled_and_translated_afterwards():
    recipe = PLAIN.but(flip=True, rotation=20, zoom=0.2, translation=4)
    without, cropped = (
        draw(each, np.random.default_rng(5), 50, 42).transform.astype(float)
        for each in (recipe, recipe.but(crop=0.5))
    )
    # The draws are equal except for the crop. It only scales each axis and translates it.
    size = cropped[:, :, :2] / without[:, :, :2]
    np.testing.assert_allclose(size[:, :, 0], size[:, :, 1], rtol=1e-4)
    assert (size < 1).all() and (size.prod(1) > 0.5 - 1e-4).all()
    middle = cropped[:, :, 2] - size[:, :, 0] * (without[:, :, 2] - 23.5)
    assert (np.abs(middle - 23.5) <= 24 * (1 - size[:, :, 0]) + 1e-3).all()


def test_recipes_without_a_crop_have_the_draws_from_before_crops_were_added():
    """Otherwise finished runs could not be repeated from their recipe and seed."""
    recipe, generator = get_recipe("small_resnet"), np.random.default_rng(7)
    draws = draw(recipe, np.random.default_rng(7), 30, 48)
    flipped = generator.random(30) < 0.5
    angle, scale = np.deg2rad(15) * generator.uniform(-1, 1, 30), generator.uniform(0.85, 1.15, 30)
    transform = similarity(angle, scale, 4 * generator.uniform(-1, 1, (30, 2)), flipped, 48)
    assert np.array_equal(draws.flipped, flipped) and np.array_equal(draws.transform, transform)
    assert np.array_equal(draws.erased.any(1), generator.random(30) < 0.25)


def test_erased_rectangles_are_filled_with_the_mean(pictures):
    recipe = PLAIN.but(erase=0.5)
    draws = draw(recipe, np.random.default_rng(0), 40, 48)
    erased = apply(pictures, draws, 48, "edge")
    changed = (erased != pictures).any((1, 2))
    assert 8 < changed.sum() < 32
    for image, original, (x0, y0, x1, y1) in zip(erased, pictures, draws.erased, strict=True):
        np.testing.assert_allclose(image[y0:y1, x0:x1], original.mean(), rtol=1e-4)
        outside = np.ones((48, 48), bool)
        outside[y0:y1, x0:x1] = False
        assert np.array_equal(image[outside], original[outside])


def test_mixup_mixes_with_the_reversed_batch_by_its_share(pictures):
    draws = draw(PLAIN.but(mixup=0.4), np.random.default_rng(0), 40, 48)
    share = draws.share[:, None, None]
    expected = share * pictures + (1 - share) * pictures[::-1]
    np.testing.assert_allclose(apply(pictures, draws, 48, "edge"), expected, rtol=1e-4)
    assert (draws.share >= 0).all() and (draws.share <= 1).all() and draws.share.std() > 0.2


def test_cutmix_pastes_a_rectangle_and_its_area_is_the_other_images_share(pictures):
    draws = draw(PLAIN.but(cutmix=1.0), np.random.default_rng(0), 40, 48)
    mixed = apply(pictures, draws, 48, "edge")
    for index, (x0, y0, x1, y1) in enumerate(draws.pasted):
        expected = pictures[index].astype(np.float32)
        expected[y0:y1, x0:x1] = pictures[39 - index, y0:y1, x0:x1]
        np.testing.assert_allclose(mixed[index], expected, rtol=1e-5)
        assert draws.share[index] == pytest.approx(1 - (x1 - x0) * (y1 - y0) / 48**2)


def test_with_mixup_and_cutmix_each_image_has_one_of_them():
    draws = draw(PLAIN.but(cutmix=1.0, mixup=0.4), np.random.default_rng(0), 2000, 48)
    pasted = draws.pasted.any(1)
    assert 0.4 < pasted.mean() < 0.55
    covered = (
        (draws.pasted[:, 2] - draws.pasted[:, 0])
        * (draws.pasted[:, 3] - draws.pasted[:, 1])
        / 48**2
    )
    np.testing.assert_allclose(draws.share[pasted], 1 - covered[pasted], rtol=1e-5)


def test_draws_depend_on_the_generator():
    recipe = get_recipe("resnet")
    first, again, other = (draw(recipe, np.random.default_rng(seed), 30, 48) for seed in (1, 1, 2))
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name))
        assert name == "side" or not np.array_equal(value, getattr(other, name)), name


def test_draws_of_a_batch_are_those_of_its_images():
    draws = draw(get_recipe("resnet"), np.random.default_rng(0), 30, 48)
    chosen = np.array([4, 2])
    arrays = {name: value for name, value in vars(draws.of(chosen)).items() if name != "side"}
    assert all(
        np.array_equal(value, getattr(draws, name)[chosen]) for name, value in arrays.items()
    )
    assert draws.of(chosen).side == draws.side
    assert Draws(draws.flipped).of(chosen).transform is None


# --- test-time augmentation ---


def test_tta_transforms_are_fixed_and_have_their_documented_number():
    assert {name: len(tta_transforms(name, 48)) for name in TTA} == {
        "flip": 2,
        "shifts": 20,
        "crops": 10,
        "jitter": 64,
    }
    for name in TTA:
        assert np.array_equal(tta_transforms(name, 42), tta_transforms(name, 42))


def test_the_tta_flip_is_the_image_and_its_horizontal_flip(pictures):
    seen = [warp(pictures[:1], np.array([each]), 48, "edge") for each in tta_transforms("flip", 48)]
    assert np.array_equal(seen[0], pictures[:1]) and np.array_equal(seen[1], pictures[:1, :, ::-1])


def test_the_tta_crops_are_the_enlarged_corners_and_middle(pictures):
    every = np.broadcast_to(pictures[0], (10, 48, 48))
    seen = warp(every, tta_transforms("crops", 48), 48, "edge").astype(int)
    for number, (top, left) in enumerate(((3, 3), (0, 0), (0, 6), (6, 0), (6, 6))):
        square = pictures[0, top : top + 42, left : left + 42]
        expected = cv2.resize(square, (48, 48), interpolation=cv2.INTER_LINEAR).astype(int)
        for found, wanted in ((seen[number], expected), (seen[5 + number], expected[:, ::-1])):
            assert np.abs(found - wanted)[1:-1, 1:-1].max() <= 2


def test_an_unknown_tta_lists_the_known():
    with pytest.raises(StudyError, match="one of flip, shifts, crops, jitter, found 'turns'"):
        tta_transforms("turns", 48)
