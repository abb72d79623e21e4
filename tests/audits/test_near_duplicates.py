"""Near-duplicates: planted ones are found, others are not, and trees replace a full search."""

import cv2
import numpy as np
import pytest

from fer_utils.audits import near_duplicates as module
from fer_utils.audits.near_duplicates import (
    expected_by_chance,
    near_duplicates,
    near_duplicates_by_usage,
    near_leaked,
)
from fer_utils.audits.pictures import near_constant
from fer_utils.data.faces import Faces
from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING, USAGES
from fer_utils.errors import StudyError

COLUMNS = ["i", "j", "similarity", "flipped", "usage_i", "usage_j", "same_label"]


def jpeg(image):
    return cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE
    )


def resized(image):
    return cv2.resize(cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA), (48, 48))


def translated(image, right=2, down=-1):
    return np.pad(image, 3, mode="edge")[3 - down : 51 - down, 3 - right : 51 - right]


def rotated(image):
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), 3, 1)
    return cv2.warpAffine(image, matrix, (48, 48), borderMode=cv2.BORDER_REPLICATE)


def retouched(image):
    """Another brightness and contrast, and a watermark."""
    image = np.clip(image * 0.8 + 30, 0, 255).astype(np.uint8)
    cv2.putText(image, "stock", (6, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1)
    return image


CHANGES = {
    "jpeg": jpeg,
    "resized": resized,
    "translated": translated,
    "rotated": rotated,
    "retouched": retouched,
    "flipped": lambda image: image[:, ::-1],
    "flipped and translated": lambda image: translated(image[:, ::-1]),
}


def as_faces(images, usage=TRAINING, emotion=3):
    """Faces with these images. `usage` and `emotion` are one value for all, or one per image."""
    count = len(images)
    return Faces(
        images=np.ascontiguousarray(images),
        emotion=np.broadcast_to(np.asarray(emotion, np.uint8), count),
        usage=np.broadcast_to(np.asarray(usage), count),
        row=np.arange(count),
        source="csv",
    )


@pytest.fixture(scope="module")
def originals():
    """Random pictures in which the amplitude falls with frequency, as in natural images."""
    generator = np.random.default_rng(8)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(48), np.fft.fftfreq(48)))
    frequency[0, 0] = np.inf
    waves = np.fft.ifft2(np.fft.fft2(generator.standard_normal((300, 48, 48))) / frequency).real
    waves /= waves.std(axis=(1, 2), keepdims=True)
    return np.clip(128 + 45 * waves, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("change", CHANGES)
def test_planted_near_duplicates_are_found_and_no_others(originals, change):
    changed = np.stack([CHANGES[change](image) for image in originals[:100]])
    pairs = near_duplicates(as_faces(np.concatenate([originals, changed])))
    planted = {(one, 300 + one) for one in range(100)}
    found = set(zip(pairs["i"], pairs["j"], strict=True))
    assert found <= planted
    assert len(found) >= 95
    assert (pairs["flipped"] == change.startswith("flipped")).all()


def test_different_pictures_make_no_pair(originals):
    pairs = near_duplicates(as_faces(originals))
    assert list(pairs) == COLUMNS and len(pairs) == 0
    assert expected_by_chance(pairs) is None


def test_the_trees_find_the_pairs_of_a_full_search(originals, monkeypatch):
    changed = [change(image) for image in originals[:60] for change in CHANGES.values()]
    faces = as_faces(np.concatenate([originals, np.stack(changed)]))
    monkeypatch.setattr(module, "LEAF", len(faces))
    every = near_duplicates(faces)
    monkeypatch.setattr(module, "LEAF", 32)
    found = near_duplicates(faces).merge(every, on=["i", "j"])
    assert len(every) > 1000
    assert len(found) >= 0.98 * len(every)
    np.testing.assert_allclose(found["similarity_x"], found["similarity_y"])


def test_similarity_is_the_best_correlation_of_the_filtered_images(originals):
    faces = as_faces(np.stack([originals[0], translated(originals[0], 3, 0), *originals[1:40]]))
    pairs = near_duplicates(faces)
    assert pairs[["i", "j"]].to_numpy().tolist() == [[0, 1]]
    # The same with OpenCV: cosine transform, whitening, inverse at 32 x 32 pixels, matching.
    spectra = np.stack([cv2.dct(image.astype(np.float32))[:12, :12] for image in faces.images])
    spectra[:, 0, 0] = 0
    size = np.sqrt((spectra**2).mean(axis=0))
    size[0, 0] = 1
    padded = np.zeros((2, 32, 32), np.float32)
    padded[:, :12, :12] = (spectra / size)[:2]
    one, other = (cv2.idct(each) for each in padded)
    expected = cv2.matchTemplate(other, one[2:-2, 2:-2].copy(), cv2.TM_CCORR_NORMED).max()
    assert pairs["similarity"][0] == pytest.approx(expected, abs=1e-4)


def test_exact_duplicates_are_no_near_duplicates_but_each_makes_pairs(originals):
    near = jpeg(originals[0])
    images = np.stack([originals[0], near, originals[0], near, *originals[1:50]])
    pairs = near_duplicates(as_faces(images))
    assert pairs[["i", "j"]].to_numpy().tolist() == [[0, 1], [0, 3], [1, 2], [2, 3]]


def test_blanks_are_left_out(originals):
    noise = np.random.default_rng(1).integers(0, 2, (6, 48, 48), dtype=np.uint8)
    blanks = np.concatenate([noise + 100, np.full((3, 48, 48), 7, np.uint8), noise[:1] + 101])
    faces = as_faces(np.concatenate([blanks, originals[:20], jpeg(originals[0])[None]]))
    assert near_constant(faces).sum() == 10
    assert near_duplicates(faces)[["i", "j"]].to_numpy().tolist() == [[10, 30]]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_or_no_faces(originals, count):
    assert len(near_duplicates(as_faces(originals[:count]))) == 0
    assert list(near_duplicates(as_faces(originals[:count]))) == COLUMNS


def test_the_same_faces_give_the_same_pairs(faces):
    assert near_duplicates(faces, 0.7).equals(near_duplicates(faces, 0.7))


@pytest.fixture
def across(originals):
    """Four pictures with near-duplicates in other splits, and 36 single ones in Training."""
    one, two, three, four = originals[:4]
    images = [one, jpeg(one), two, translated(two), resized(two)]
    images += [three, three, rotated(three), four, jpeg(four)]
    usage = [TRAINING, PUBLIC, TRAINING, PRIVATE, PRIVATE]
    usage += [TRAINING, PUBLIC, PUBLIC, PUBLIC, PRIVATE]
    emotion = [3, 3, 3, 4, 3, 3, 3, 0, 3, 3]
    rest = originals[4:40]
    return as_faces(
        np.concatenate([np.stack(images), rest]),
        usage + [TRAINING] * len(rest),
        emotion + [3] * len(rest),
    )


def test_near_duplicates_by_usage_and_leaks(across):
    pairs = near_duplicates(across)
    table = near_duplicates_by_usage(pairs)
    assert (tuple(table.index), tuple(table.columns)) == (USAGES, USAGES)
    assert table.to_numpy().tolist() == [[0, 2, 1], [2, 2, 1], [2, 1, 2]]
    assert near_leaked(across, PUBLIC, pairs).tolist() == [True, False, True, False]
    assert near_leaked(across, PRIVATE, pairs).tolist() == [True, True, False]
    assert (near_duplicates_by_usage(pairs.iloc[:0]) == 0).all(axis=None)
    with pytest.raises(StudyError, match="usage: expected one of"):
        near_leaked(across, "Test", pairs)


def test_similar_drawn_faces_are_expected_by_chance(faces):
    """They have one generator, so about as many pairs are flipped as unflipped."""
    pairs = near_duplicates(faces, 0.7)
    assert len(pairs) > 20
    assert expected_by_chance(pairs) > 0.5


def test_chance_is_flipped_pairs_over_unflipped_ones(across):
    pairs = near_duplicates(across)
    assert expected_by_chance(pairs) == 0
    assert expected_by_chance(pairs.assign(flipped=[True] + [False] * (len(pairs) - 1))) == 1 / (
        len(pairs) - 1
    )
    assert expected_by_chance(pairs.assign(flipped=[False] + [True] * (len(pairs) - 1))) == 1
    assert expected_by_chance(pairs.assign(flipped=True)) is None


def test_the_order_of_the_images_does_not_matter(across):
    order = np.random.default_rng(0).permutation(len(across))
    pairs, shuffled = near_duplicates(across), near_duplicates(across.select(order))
    back = {tuple(sorted(pair)) for pair in order[shuffled[["i", "j"]]].tolist()}
    assert back == set(map(tuple, pairs[["i", "j"]].to_numpy().tolist()))
