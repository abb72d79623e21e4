"""Corruptions, held to the pixels and to what their units say."""

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
    same = np.array_equal(
        corrupt(images, corruption, 3, seed=0), corrupt(images, corruption, 3, seed=1)
    )
    assert same == (corruption not in ("noise", "rotation", "shift"))


def test_values_are_what_their_units_say(images):
    grey = np.full((1, 48, 48), 128, np.uint8)
    for number, strength in enumerate(STRENGTHS):
        assert (
            corrupt(grey, "darker", strength) == 128 - CORRUPTIONS["darker"].values[number]
        ).all()
        assert (
            corrupt(grey, "brighter", strength) == 128 + CORRUPTIONS["brighter"].values[number]
        ).all()
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
        assert np.sqrt(np.average((places - middle) ** 2, weights=slope)) == pytest.approx(
            sigma, rel=0.12
        )


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
            if np.array_equal(
                moved[10 + down : 30 + down, 10 + right : 30 + right], image[10:30, 10:30]
            )
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
        round(np.degrees(np.arctan((image * x * y)[inside].sum() / (image * x * x)[inside].sum())))
        for image in turned
    }
    assert len(angles) == 2
    assert all(abs(abs(angle) - CORRUPTIONS["rotation"].values[3]) <= 2 for angle in angles), angles


@pytest.mark.parametrize(
    ("corruption", "rows"), [("eyes covered", range(12, 24)), ("mouth covered", range(33, 45))]
)
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
    assert corrupt(fine[None].astype(np.uint8), "low resolution", 2).std() < 1, (
        "detail finer than a pixel is gone"
    )


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
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=_without_the_switch()
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _without_the_switch() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
