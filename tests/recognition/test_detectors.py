"""Detectors: both find the faces in the test photos, in many threads. YuNet's file is checked."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from skimage import data

from fer_utils.errors import StudyError
from fer_utils.recognition import yunet_file as files
from fer_utils.recognition.detectors import HaarDetector, make_detector
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.search import Detector, find_faces
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.recognition.yunet_file import download_yunet, yunet_path

ASTRONAUT = data.astronaut()  # public domain, 512 x 512; the face is about x 175..275, y 65..165


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "fer-study" / files.YUNET_FILE


def test_each_thread_has_its_own_cascade():
    detector = HaarDetector()
    seen = []

    def work():
        detector.detect(ASTRONAUT)
        seen.append(detector._of_thread.cascade)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(cascade) for cascade in seen}) == 3


class OnlyIfLarge(Detector):
    """Finds one face, in photos that are wider than `least` pixels."""

    def __init__(self, least):
        self.least, self.widths = least, []

    def detect(self, photo):
        self.widths.append(photo.shape[1])
        return [Detection(Box(10, 20, 30, 40), 1.0)] if photo.shape[1] > self.least else []


@pytest.mark.parametrize(
    ("width", "least", "widths"),
    [
        (3200, 0, [640, 1000]),
        (3200, 700, [640, 1000]),
        (3200, 5000, [640, 1000]),
        (800, 700, [640, 800]),
        (500, 900, [500]),
    ],
)
def test_a_photo_is_searched_at_each_size_that_it_reaches(width, least, widths):
    detector = OnlyIfLarge(least)
    found = find_faces(np.zeros((width, width, 3), np.uint8), detector)
    assert detector.widths == widths
    # If both searches find the face, the result is the box of the first.
    seen = [each for each in widths if each > least]
    box = [Box(*(round(edge * width / each) for edge in (10, 20, 30, 40))) for each in seen]
    assert [found_box for found_box, _ in found] == box[:1]


class AtTwoSizes(Detector):
    """Finds a large face at both sizes, and a small one beside it only at the larger size."""

    def detect(self, photo):
        share = photo.shape[1] / 2000
        boxes = (
            [(200, 200, 400, 400)] if share < 0.4 else [(210, 190, 380, 420), (1500, 100, 50, 60)]
        )
        return [Detection(Box(*(round(share * edge) for edge in box)), 1.0) for box in boxes]


def test_a_small_face_is_found_beside_a_large_one_and_the_large_one_once():
    found = find_faces(np.zeros((1500, 2000, 3), np.uint8), AtTwoSizes())
    assert [box.width for box, _ in found] == pytest.approx([400, 50], abs=3)


class Records(Detector):
    """Records the widths of the photos and the limits of the second search."""

    def __init__(self):
        self.limits = []

    def detect(self, photo):
        self.limits.append((photo.shape[1], None))
        return []

    def detect_small(self, photo, largest):
        self.limits.append((photo.shape[1], largest))
        return []


@pytest.mark.parametrize(
    ("width", "limits"),
    [
        (500, [(500, None)]),
        (800, [(640, None), (800, 44)]),
        (3000, [(640, None), (1000, 55)]),
    ],
)
def test_the_second_search_is_for_faces_too_small_for_the_first(width, limits):
    detector = Records()
    find_faces(np.zeros((width // 2, width, 3), np.uint8), detector)
    assert detector.limits == limits


def test_a_scaled_photo_has_boxes_in_pixels_of_the_whole_one():
    whole, scaled = np.zeros((3000, 4000, 3), np.uint8), np.zeros((900, 1200, 3), np.uint8)
    expected = find_faces(whole, AtTwoSizes())
    assert find_faces(scaled, AtTwoSizes(), (4000, 3000)) == expected != []


@pytest.mark.parametrize("share", [0.026, 0.034, 0.04, 0.042, 0.046, 0.05, 0.06, 0.2])
def test_haar_finds_faces_of_every_size_between_the_searches(share):
    side = round(share * 1000 / 100 * 160)  # the face has 100 of the 160 pixels
    face = cv2.resize(ASTRONAUT[35:195, 145:305], (side, side), interpolation=cv2.INTER_AREA)
    photo = np.full((750, 1000, 3), 110, np.uint8)
    photo[300 : 300 + side, 400 : 400 + side] = face
    assert len(find_faces(photo, HaarDetector())) == 1


def test_haars_search_for_small_faces_leaves_out_large_ones():
    detector = HaarDetector()
    ((box, _),) = detector.detect(ASTRONAUT)
    assert detector.detect_small(ASTRONAUT, box.width // 2) == []
    assert len(detector.detect_small(ASTRONAUT, 2 * box.width)) == 1


@pytest.mark.parametrize(
    "box", [(-90, 0, 100, 100), (0, 500, 50, 50), (-5000, -5000, 10000, 10000), (95, 95, 40, 40)]
)
def test_boxes_that_lie_mostly_outside_are_dropped(box):
    class Sees:
        def detect(self, photo):
            return [Detection(Box(*box), 1.0), Detection(Box(-10, 20, 40, 40), 2.0)]

    found = find_faces(np.zeros((100, 100, 3), np.uint8), Sees())
    assert found == [Detection(Box(0, 20, 30, 40), 2.0)]


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (5, 640), (900, 3), (16, 16), (31, 4000)])
def test_strips_of_a_photo_have_finite_boxes(size, yunet_file):
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for detector in (HaarDetector(), YuNetDetector(yunet_file)):
        for box, score in find_faces(noise, detector):
            assert np.isfinite([*box, score]).all()
            assert (
                box.x >= 0
                and box.y >= 0
                and box.x + box.width <= size[1]
                and box.y + box.height <= size[0]
            )


def check_photos(recognizer, real_data):
    folder = real_data / "media" / "photos"
    for line in (folder / "faces.csv").read_text().split()[1:]:
        name, count = line.split(",")
        assert len(recognizer.recognize(folder / name)) == int(count), name


def test_haar_finds_the_faces_of_the_photos(model_folder, real_data):
    check_photos(Recognizer(model_folder), real_data)


def test_yunet_finds_the_faces_of_the_photos(model_folder, real_data, yunet_file):
    check_photos(Recognizer(model_folder, YuNetDetector(yunet_file)), real_data)


def test_yunet_works_in_many_threads_on_photos_of_several_sizes(yunet_file):
    detector = YuNetDetector(yunet_file)
    photos = [ASTRONAUT, ASTRONAUT[:400], ASTRONAUT[:, :300]]
    expected = [detector.detect(photo) for photo in photos]
    assert [len(found) for found in expected] == [1, 1, 1]
    box, score = expected[0][0]
    assert 150 < box.x < 200
    assert 40 < box.y < 80
    assert 0.7 < score <= 1
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(lambda _: [detector.detect(photo) for photo in photos], range(12)):
            assert found == expected


@pytest.mark.parametrize("size", [(512, 512), (100, 90), (333, 500)])
def test_yunets_boxes_are_those_of_opencvs_own(size, yunet_file):
    portrait = cv2.resize(ASTRONAUT[:320, 60:380], size, interpolation=cv2.INTER_AREA)
    theirs = cv2.FaceDetectorYN.create(str(yunet_file), "", size, YuNetDetector.SCORE)
    ours = YuNetDetector(yunet_file)
    beside = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    for photo, count in ((portrait, 1), (beside, 2)):
        theirs.setInputSize(photo.shape[1::-1])
        _, rows = theirs.detect(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR))
        expected = sorted([*row[:4], row[-1]] for row in ([] if rows is None else rows))
        found = sorted([*box, score] for box, score in ours.detect(photo))
        assert len(found) == len(expected) == count
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, abs=0.51)  # our boxes are whole pixels


def test_yunet_finds_no_face_in_a_blank_photo(yunet_file):
    assert YuNetDetector(yunet_file).detect(np.full((120, 90, 3), 128, np.uint8)) == []


def test_the_squares_of_both_detectors_agree(yunet_file):
    squares = []
    for detector in (HaarDetector(), YuNetDetector(yunet_file)):
        x, y, width, height = detector.detect(ASTRONAUT)[0].box
        side = detector.frame * max(width, height)
        squares.append((side, x + width / 2, y + height / 2 - detector.rise * side))
    (side, *middle), (other, *other_middle) = squares
    assert other == pytest.approx(side, rel=0.1)
    assert other_middle == pytest.approx(middle, abs=0.1 * side)


def test_detectors_by_name(tmp_path, cache):
    assert isinstance(make_detector(), HaarDetector)
    with pytest.raises(StudyError, match="expected auto, haar, yunet, found 'mtcnn'"):
        make_detector("mtcnn")
    with pytest.raises(StudyError, match="no model file"):
        make_detector("haar", tmp_path / "x.onnx")
    with pytest.raises(StudyError, match="fetch-yunet"):
        make_detector("yunet")


def test_a_file_other_than_yunets_is_named_in_the_error(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no network")
    with pytest.raises(StudyError, match=r"x\.onnx: expected YuNet"):
        YuNetDetector(tmp_path / "x.onnx")


# --- downloading ---


def test_the_file_is_downloaded_once_and_checked(tmp_path, cache, monkeypatch):
    source = tmp_path / "there.onnx"
    source.write_bytes(b"the network")
    monkeypatch.setattr(files, "YUNET_SHA256", hashlib.sha256(b"the network").hexdigest())
    assert download_yunet(source.as_uri()) == cache == yunet_path()
    assert cache.read_bytes() == b"the network"
    source.unlink()
    assert download_yunet(source.as_uri()) == cache  # no second download
    cache.write_bytes(b"damaged")
    with pytest.raises(StudyError, match="by hand"):
        download_yunet(source.as_uri())


def test_another_file_is_not_kept(tmp_path, cache):
    source = tmp_path / "there.onnx"
    source.write_bytes(b"something else")
    with pytest.raises(StudyError, match="14 bytes"):
        download_yunet(source.as_uri())
    assert not cache.exists()
