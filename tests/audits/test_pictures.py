"""Brightness, contrast, sharpness and blank images, compared with plain computations."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.ndimage import laplace

from fer_utils.audits import pictures
from fer_utils.audits.pictures import NEAR_CONSTANT, brightness, contrast, near_constant, sharpness


def test_contrast_and_near_constant(faces):
    images = faces.images[:5].copy()
    images[1] = 200
    images[2], images[2, :, ::2] = 100, 101  # deviation 0.5
    images[3], images[3, :, ::2] = 100, 104  # deviation 2
    few = replace(faces.select(np.arange(5)), images=images)
    deviations = contrast(few)
    assert deviations[1:4].tolist() == [0, 0.5, 2]
    assert deviations[0] == pytest.approx(np.std(images[0].astype(float)))
    assert near_constant(few).tolist() == [False, True, True, False, False]
    assert 0.5 < NEAR_CONSTANT < 2


def test_near_constant_images_of_the_sample_show_no_face(faces):
    found = set(faces.row[near_constant(faces)])
    assert found <= set(faces.truth.loc[faces.truth["fault"] == "not_a_face", "row"])


def test_batches_do_not_change_the_measures(faces, monkeypatch):
    monkeypatch.setattr(pictures, "BATCH", 64)  # 210 faces: three full batches and a rest
    for measure, alone in (
        (brightness, np.mean),
        (contrast, np.std),
        # scipy's "mirror" is OpenCV's default border.
        (sharpness, lambda image: laplace(image, mode="mirror").var()),
    ):
        found = measure(faces)
        assert found.dtype == np.float64
        np.testing.assert_allclose(
            found, [alone(image.astype(float)) for image in faces.images], rtol=1e-12
        )


def test_blur_lowers_sharpness_and_a_blank_image_has_none(faces):
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in faces.images])
    clear = ~near_constant(faces)
    assert (sharpness(replace(faces, images=blurred))[clear] < sharpness(faces)[clear]).all()
    assert (sharpness(replace(faces, images=np.full_like(faces.images, 9))) == 0).all()


@pytest.mark.parametrize("measure", [contrast, sharpness, near_constant])
def test_no_faces_give_no_measures(faces, measure):
    assert measure(faces.select(np.arange(0))).shape == (0,)
