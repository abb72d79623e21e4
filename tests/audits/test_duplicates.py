"""Exact duplicates, compared with planted faults and plain loops."""

import numpy as np
import pytest

from fer_utils.audits.duplicates import (
    conflicting,
    copied,
    copy_groups,
    duplicate_groups,
    duplicates_by_usage,
    leaked,
    leaked_same_label,
    redundant_duplicates,
)
from fer_utils.data.faces import Faces
from fer_utils.data.sample import draw_sample
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING, USAGES
from fer_utils.errors import StudyError


@pytest.fixture(scope="module")
def drawn():
    return draw_sample(400, seed=4)


def test_a_group_has_equal_images():
    generator = np.random.default_rng(0)
    three = generator.integers(0, 256, (3, 48, 48), dtype=np.uint8)
    three[2, -1, -1] ^= 1
    which = np.array([0, 1, 0, 2, 1, 0])
    groups = duplicate_groups(three[which])
    assert groups.shape == (6,)
    for one in range(6):
        for other in range(6):
            assert (groups[one] == groups[other]) == (which[one] == which[other])


def test_one_pixel_makes_a_difference_in_images_that_are_not_contiguous():
    images = np.zeros((4, 48, 96), np.uint8)
    images[1, 47, 94] = 1
    groups = duplicate_groups(images[:, :, ::2])
    assert groups[0] == groups[2] == groups[3] != groups[1]


def test_planted_duplicates_are_found_and_no_others(drawn):
    groups = duplicate_groups(drawn.images)
    planted = drawn.truth[drawn.truth["fault"].isin(["duplicate", "leak"])]
    assert len(planted) and redundant_duplicates(drawn) == planted["row"].nunique()
    for row, of in planted[["row", "of"]].astype(int).to_numpy():
        assert groups[row] == groups[of]


def test_one_image_or_none_has_no_duplicate(drawn):
    assert redundant_duplicates(drawn.select(np.arange(0))) == 0
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
    images[2], images[3] = images[0], images[0]  # two leaks
    images[6] = images[4]  # a duplicate in the other test split is no leak
    images[1] = images[5] = 7  # blank
    images[7] = 8  # blank, with another grey
    usage = np.array([TRAINING, TRAINING, PUBLIC, PUBLIC, PUBLIC, PRIVATE, PRIVATE, PRIVATE])
    faces = Faces(
        images=images,
        emotion=np.arange(8, dtype=np.uint8) % 7,
        usage=usage,
        row=np.arange(8),
        source="csv",
    )
    assert leaked(faces, PUBLIC).tolist() == [True, True, False]
    assert leaked(faces, PRIVATE).tolist() == [True, False, False]


@pytest.fixture
def few():
    """Eleven faces: picture 0 occurs five times, 1 and 2 twice, the others once."""
    pictures = np.random.default_rng(6).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    which = np.array([0, 0, 1, 1, 2, 3, 0, 0, 2, 0, 4])
    emotion = np.array([3, 3, 5, 5, 6, 0, 3, 2, 4, 1, 1], np.uint8)
    usage = np.array([TRAINING] * 6 + [PUBLIC] * 3 + [PRIVATE] * 2)
    return Faces(
        images=pictures[which], emotion=emotion, usage=usage, row=np.arange(11), source="csv"
    )


def test_groups_are_counted_by_split_and_label(few):
    table = copy_groups(few)
    counted = table.drop(columns="group").sort_values(["images", "labels"], ascending=[False, True])
    assert counted.to_dict("split")["data"] == [[5, 2, 2, 1, 3], [2, 2, 0, 0, 1], [2, 1, 1, 0, 2]]
    assert list(counted) == ["images", *USAGES, "labels"]
    assert table["images"].is_monotonic_decreasing
    assert table.loc[0, "group"] == duplicate_groups(few.images)[0]


def test_copied_and_conflicting_images(few):
    assert np.flatnonzero(~copied(few)).tolist() == [5, 10]
    assert np.flatnonzero(conflicting(few)).tolist() == [0, 1, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("chosen", ["few", "drawn"])
def test_duplicates_by_usage_are_those_of_a_plain_loop(chosen, request):
    faces = request.getfixturevalue(chosen)
    pictures = [image.tobytes() for image in faces.images]
    positions = {}
    for position, picture in enumerate(pictures):
        positions.setdefault(picture, []).append(position)
    table = duplicates_by_usage(faces)
    assert (tuple(table.index), tuple(table.columns)) == (USAGES, USAGES)
    for usage in USAGES:
        for other in USAGES:
            expected = 0
            for one in np.flatnonzero(faces.usage == usage):
                others = [each for each in positions[pictures[one]] if each != one]
                expected += other in faces.usage[others]
            assert table.loc[usage, other] == expected
    assert table.loc[PUBLIC, TRAINING] == leaked(faces, PUBLIC).sum() > 0


def test_a_leak_with_the_same_label_has_such_a_duplicate_in_training(few):
    assert leaked(few, PUBLIC).tolist() == [True, True, True]
    assert leaked_same_label(few, PUBLIC).tolist() == [True, False, False]
    assert leaked_same_label(few, PRIVATE).tolist() == [False, False]
    # One duplicate in Training with the label is enough.
    several = few.select(np.arange(11))
    several.emotion[0] = 2
    assert leaked_same_label(several, PUBLIC).tolist() == [True, True, False]


def test_no_face_has_no_duplicate(few):
    none = few.select(np.arange(0))
    assert len(copy_groups(none)) == len(copied(none)) == len(conflicting(none)) == 0
    assert (duplicates_by_usage(none) == 0).all(axis=None)


def test_leaks_need_training_and_another_split(drawn):
    with pytest.raises(StudyError, match="expected a test split, found Training"):
        leaked(drawn, TRAINING)
    with pytest.raises(StudyError, match="usage: expected one of"):
        leaked(drawn, "Test")
    with pytest.raises(StudyError, match="expected a test split, found Training"):
        leaked_same_label(drawn, TRAINING)
    with pytest.raises(StudyError, match="PrivateTest"):
        leaked(drawn.without_private(), PRIVATE)
    with pytest.raises(StudyError, match="Training"):
        leaked(drawn.select(drawn.usage != TRAINING), PUBLIC)
