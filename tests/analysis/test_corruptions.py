"""Corruptions, compared with pixels and with their units."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fer_utils.analysis.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def images(faces):
    return faces.images[faces.images.std(axis=(1, 2)) > 10][:24]


def squared_distance(one, other):
    return ((one.astype(float) - other) ** 2).mean(axis=(1, 2))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_stronger_corruptions_are_farther_from_the_original(images, corruption):
    before = images.copy()
    results = [corrupt(images, corruption, strength) for strength in STRENGTHS]
    assert np.array_equal(images, before), "the input must not change"
    distances = [squared_distance(result, images).mean() for result in results]
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all(), distances
    for result in results:
        assert result.dtype == np.uint8 and result.shape == images.shape
    assert (squared_distance(results[-1], images) > 0).all()


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_corruption_of_an_image_does_not_depend_on_other_images(images, corruption):
    together = corrupt(images, corruption, 3, seed=4)
    assert np.array_equal(together, corrupt(images, corruption, 3, seed=4))
    assert np.array_equal(together[::-2], corrupt(images[::-2], corruption, 3, seed=4))
    assert np.array_equal(together[5:6], corrupt(images[5:6], corruption, 3, seed=4))
    assert corrupt(images[:0], corruption, 3).shape == (0, 48, 48)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_seed_affects_random_corruptions_only(images, corruption):
    same = np.array_equal(
        corrupt(images, corruption, 3, seed=0), corrupt(images, corruption, 3, seed=1)
    )
    assert same == (corruption not in ("noise", "rotation", "translation"))


def test_values_have_their_units(images):
    grey = np.full((1, 48, 48), 128, np.uint8)
    for number, strength in enumerate(STRENGTHS):
        assert (
            corrupt(grey, "darker", strength) == 128 - CORRUPTIONS["darker"].values[number]
        ).all()
        assert (
            corrupt(grey, "brighter", strength) == 128 + CORRUPTIONS["brighter"].values[number]
        ).all()
    mid_grey = np.clip(images, 96, 160)
    noise = corrupt(mid_grey, "noise", 2).astype(float) - mid_grey
    assert noise.std() == pytest.approx(CORRUPTIONS["noise"].values[1], rel=0.05)
    assert abs(noise.mean()) < 1
    flat = corrupt(images, "lower contrast", 2)
    np.testing.assert_allclose(flat.std(axis=(1, 2)) / images.std(axis=(1, 2)), 0.5, atol=0.02)
    np.testing.assert_allclose(flat.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1)


def test_blur_is_gaussian_with_its_sigma():
    step = np.zeros((1, 48, 48), np.uint8)
    step[:, :, 24:] = 200
    for strength, sigma in zip(STRENGTHS, CORRUPTIONS["blur"].values, strict=True):
        slope = np.diff(corrupt(step, "blur", strength)[0, 24].astype(float))
        places = np.arange(len(slope))
        middle = np.average(places, weights=slope)
        assert np.sqrt(np.average((places - middle) ** 2, weights=slope)) == pytest.approx(
            sigma, rel=0.12
        )


def test_translation_is_by_whole_pixels_in_all_directions(images):
    pixels = int(CORRUPTIONS["translation"].values[2])
    rest, middle = slice(pixels, 48 - pixels), images[:, 10:30, 10:30]
    assert middle.shape[1:] == (20, 20) and rest.start < 10
    seen = set()
    for image, moved in zip(images, corrupt(images, "translation", 3), strict=True):
        ways = [(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)]
        seen |= {
            (down, right)
            for down, right in ways
            if np.array_equal(
                moved[10 + down : 30 + down, 10 + right : 30 + right], image[10:30, 10:30]
            )
        }
    assert seen == {(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)}


def test_rotation_is_in_both_directions_around_the_middle():
    bar = np.zeros((16, 48, 48), np.uint8)
    bar[:, 23:25] = 255
    bar[:, 0, 0] = np.arange(16)  # different pixels give different random directions
    rotated = corrupt(bar, "rotation", 4)[:, 4:44, 4:44].astype(float)
    y, x = np.mgrid[-19.5:20, -19.5:20]
    inside = np.hypot(x, y) < 18
    angles = {
        round(np.degrees(np.arctan((image * x * y)[inside].sum() / (image * x * x)[inside].sum())))
        for image in rotated
    }
    assert len(angles) == 2
    assert all(abs(abs(angle) - CORRUPTIONS["rotation"].values[3]) <= 2 for angle in angles), angles


@pytest.mark.parametrize(
    ("corruption", "rows"), [("eyes covered", range(12, 24)), ("mouth covered", range(33, 45))]
)
def test_bar_with_the_mean_of_the_image_covers_its_place_only(images, corruption, rows):
    for strength, height in zip(STRENGTHS, CORRUPTIONS[corruption].values, strict=True):
        middle = rows[len(rows) // 2]
        expected = images.copy()
        for image in expected:
            image[middle - height // 2 : middle + height // 2, 6:42] = round(image.mean())
        assert np.array_equal(corrupt(images, corruption, strength), expected)
    assert height == len(rows)


def test_low_resolution_removes_fine_detail():
    fine = np.indices((48, 48)).sum(axis=0) % 2 * np.uint8(255)
    assert fine.std() > 100
    assert corrupt(fine[None].astype(np.uint8), "low resolution", 2).std() < 1, (
        "detail finer than a pixel must disappear"
    )


def test_invalid_arguments_are_refused(images):
    with pytest.raises(StudyError, match=r"expected one of blur, noise.*found 'fog'"):
        corrupt(images, "fog", 1)
    for strength in (0, 6, 1.5, "1"):
        with pytest.raises(StudyError, match=f"from 1 .*found {strength!r}"):
            corrupt(images, "blur", strength)
    with pytest.raises(StudyError, match="found float64"):
        corrupt(images / 255, "blur", 1)
    with pytest.raises(StudyError, match=r"found uint8 \(48, 48\)"):
        corrupt(images[0], "blur", 1)


def test_no_request_for_newer_versions_and_no_warnings():
    """In a new process, because albumentations sends its request at the first import."""
    code = """
import socket, sys, warnings
warnings.simplefilter("error")
requests = []
def refuse(*args, **options):
    requests.append(args)
    raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = socket.create_connection = refuse
import numpy as np
from fer_utils.analysis.corruptions import CORRUPTIONS, corrupt
assert "albumentations" not in sys.modules, "reading the table must not import it"
face = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8)
for corruption in CORRUPTIONS:
    corrupt(face, corruption, 5)
assert "albumentations" in sys.modules
sys.exit(f"requests {requests}" if requests else None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=_without_the_switch()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _without_the_switch() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
