"""Equal copies, held to the drawn sample's list of its faults and to plain loops."""

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
    assert len(copies) and redundant_duplicates(drawn) == copies["row"].nunique()
    for row, of in copies[["row", "of"]].astype(int).to_numpy():
        assert groups[row] == groups[of]


def test_no_face_is_no_copy(drawn):
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
    images[2], images[3] = images[0], images[0]  # leaked, twice
    images[6] = images[4]  # in both test splits, not in Training
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
    """Eleven faces; picture 0 is five times there, 1 twice, 2 twice, the others once."""
    pictures = np.random.default_rng(6).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    which = np.array([0, 0, 1, 1, 2, 3, 0, 0, 2, 0, 4])
    emotion = np.array([3, 3, 5, 5, 6, 0, 3, 2, 4, 1, 1], np.uint8)
    usage = np.array([TRAINING] * 6 + [PUBLIC] * 3 + [PRIVATE] * 2)
    return Faces(
        images=pictures[which], emotion=emotion, usage=usage, row=np.arange(11), source="csv"
    )


def test_groups_of_copies_are_counted_by_usage_and_label(few):
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
    seen = [image.tobytes() for image in faces.images]
    by_picture = {}
    for position, pixels in enumerate(seen):
        by_picture.setdefault(pixels, []).append(position)
    table = duplicates_by_usage(faces)
    assert (tuple(table.index), tuple(table.columns)) == (USAGES, USAGES)
    for usage in USAGES:
        for other in USAGES:
            expected = sum(
                any(there != one and faces.usage[there] == other for there in by_picture[seen[one]])
                for one in np.flatnonzero(faces.usage == usage)
            )
            assert table.loc[usage, other] == expected
    assert table.loc[PUBLIC, TRAINING] == leaked(faces, PUBLIC).sum() > 0


def test_a_leak_with_its_label_has_one_copy_in_training_labelled_so(few):
    assert leaked(few, PUBLIC).tolist() == [True, True, True]
    assert leaked_same_label(few, PUBLIC).tolist() == [True, False, False]
    assert leaked_same_label(few, PRIVATE).tolist() == [False, False]
    # One copy in Training with the label is enough, whatever the others are labelled.
    several = few.select(np.arange(11))
    several.emotion[0] = 2
    assert leaked_same_label(several, PUBLIC).tolist() == [True, True, False]


def test_no_face_has_no_copy(few):
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
    with pytest.raises(StudyError, match="no image has usage PrivateTest"):
        leaked(drawn.without_private(), PRIVATE)
    with pytest.raises(StudyError, match="no image has usage Training"):
        leaked(drawn.select(drawn.usage != TRAINING), PUBLIC)
