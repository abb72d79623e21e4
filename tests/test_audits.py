"""Audits of the data, held to the drawn sample's list of its faults and to plain loops."""

import numpy as np
import pytest

from fer_utils.audits.copies import duplicate_groups, leaked, redundant_copies
from fer_utils.audits.pictures import NEAR_CONSTANT, contrast, near_constant
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.faces import Faces
from fer_utils.sources.sample import draw_sample


@pytest.fixture(scope="module")
def drawn():
    return draw_sample(400, seed=4)


def test_groups_are_of_equal_images():
    generator = np.random.default_rng(0)
    three = generator.integers(0, 256, (3, 48, 48), dtype=np.uint8)
    three[2, -1, -1] ^= 1
    which = np.array([0, 1, 0, 2, 1, 0])
    groups = duplicate_groups(three[which])
    assert groups.shape == (6,)
    for one in range(6):
        for other in range(6):
            assert (groups[one] == groups[other]) == (which[one] == which[other])


def test_groups_of_images_that_differ_in_one_pixel_or_are_no_neighbours_in_memory():
    images = np.zeros((4, 48, 96), np.uint8)
    images[1, 47, 94] = 1  # seen in every second column only
    groups = duplicate_groups(images[:, :, ::2])
    assert groups[0] == groups[2] == groups[3] != groups[1]


def test_planted_copies_are_found_and_no_others(drawn):
    groups = duplicate_groups(drawn.images)
    copies = drawn.truth[drawn.truth["fault"].isin(["duplicate", "leak"])]
    assert len(copies) and redundant_copies(drawn) == copies["row"].nunique()
    for row, of in copies[["row", "of"]].astype(int).to_numpy():
        assert groups[row] == groups[of]


def test_no_face_is_no_copy(drawn):
    assert redundant_copies(drawn.select(np.arange(0))) == 0
    assert len(np.unique(duplicate_groups(drawn.images[:1]))) == 1


@pytest.mark.parametrize("usage", [PUBLIC, PRIVATE])
def test_planted_leaks_are_found_and_no_others(drawn, usage):
    order = np.random.default_rng(1).permutation(len(drawn))
    planted = drawn.truth.loc[drawn.truth["fault"] == "leak", "row"]
    for faces in (drawn, drawn.select(order)):
        split = faces.of(usage)
        found = leaked(faces, usage)
        assert found.dtype == bool and found.any()
        assert found.tolist() == np.isin(split.row, planted).tolist()


def test_leaks_are_from_training_and_blanks_count():
    images = np.random.default_rng(2).integers(0, 256, (8, 48, 48), dtype=np.uint8)
    images[2], images[3] = images[0], images[0]  # leaked, twice
    images[6] = images[4]  # in both test splits, not in Training
    images[1] = images[5] = 7  # blank
    images[7] = 8  # blank, with another grey
    usage = np.array([TRAINING, TRAINING, PUBLIC, PUBLIC, PUBLIC, PRIVATE, PRIVATE, PRIVATE])
    faces = Faces(images=images, emotion=np.arange(8, dtype=np.uint8) % 7, usage=usage, row=np.arange(8), source="csv")
    assert leaked(faces, PUBLIC).tolist() == [True, True, False]
    assert leaked(faces, PRIVATE).tolist() == [True, False, False]


def test_leaks_need_training_and_another_split(drawn):
    with pytest.raises(StudyError, match="expected a test split, found Training"):
        leaked(drawn, TRAINING)
    with pytest.raises(StudyError, match="usage: expected one of"):
        leaked(drawn, "Test")
    with pytest.raises(StudyError, match="no image has usage PrivateTest"):
        leaked(drawn.without_private(), PRIVATE)
    with pytest.raises(StudyError, match="no image has usage Training"):
        leaked(drawn.select(drawn.usage != TRAINING), PUBLIC)


def test_contrast_and_near_constant(drawn):
    images = drawn.images[:5].copy()
    images[1] = 200
    images[2], images[2, :, ::2] = 100, 101  # deviation 0.5
    images[3], images[3, :, ::2] = 100, 104  # deviation 2
    faces = drawn.select(np.arange(5))
    object.__setattr__(faces, "images", images)
    deviations = contrast(faces)
    assert deviations[1:4].tolist() == [0, 0.5, 2]
    assert deviations[0] == pytest.approx(np.std(images[0].astype(float)))
    assert near_constant(faces).tolist() == [False, True, True, False, False]
    assert 0.5 < NEAR_CONSTANT < 2


def test_near_constant_images_of_the_sample_show_no_face(drawn):
    found = set(drawn.row[near_constant(drawn)])
    assert found <= set(drawn.truth.loc[drawn.truth["fault"] == "not_a_face", "row"])


@pytest.mark.slow
def test_fer2013_has_13_images_that_show_nothing_and_none_near_the_limit(real_data):
    from fer_utils.sources import read

    deviations = np.sort(contrast(read("csv", real_data / "fer2013.csv.gz")))
    assert (deviations < NEAR_CONSTANT).sum() == 13
    assert 3.5 < deviations[13] < 4


@pytest.mark.slow
def test_fer2013_has_280_and_288_test_images_in_training(real_data):
    from fer_utils.sources import read

    faces = read("csv", real_data / "fer2013.csv.gz")
    public, private = leaked(faces, PUBLIC), leaked(faces, PRIVATE)
    assert (len(public), public.sum()) == (3589, 280)
    assert (len(private), private.sum(), (~private).sum()) == (3589, 288, 3301)
    # Found once more by a set of bytes.
    seen = {image.tobytes() for image in faces.of(TRAINING).images}
    assert private.tolist() == [image.tobytes() in seen for image in faces.of(PRIVATE).images]
