"""Drawing: photos of any size, cards that hide no face, lengths of bars, and frames of videos."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.annotation import annotate, draw_on_frame
from fer_utils.recognition.found import Box, RecognizedFace

ASTRONAUT = data.astronaut()

ACCENT = (255, 176, 64)


def face_at(box, emotion="happy", uncertain=False):
    probabilities = np.full(7, 0.05, np.float32)
    probabilities[EMOTIONS.index(emotion)] = 0.7
    return RecognizedFace(box, 9.0, emotion, probabilities, uncertain)


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (30, 900), (900, 30), (512, 512), (3000, 2000)])
def test_annotate_draws_at_any_size(size):
    width, height = size
    box = Box(width // 4, height // 4, max(1, width // 2), max(1, height // 2))
    photo = np.full((height, width), 128, np.uint8)
    picture = annotate(photo, [face_at(box)])
    assert picture.mode == "RGB"
    assert max(picture.size) >= 720
    assert picture.width / picture.height == pytest.approx(width / height, rel=0.05)
    assert np.ptp(np.asarray(picture)) > 100  # something is drawn


def test_annotate_does_not_change_a_photo_without_faces():
    large = np.asarray(Image.fromarray(ASTRONAUT).resize((800, 800)))
    np.testing.assert_array_equal(np.asarray(annotate(large, [])), large)


def test_cards_hide_no_face_if_there_is_room():
    boxes = [Box(100, 300, 150, 150), Box(600, 300, 150, 150)]
    picture = np.asarray(
        annotate(np.full((900, 1000), 128, np.uint8), [face_at(box) for box in boxes])
    )
    for box in boxes:
        inside = picture[box.y + 8 : box.y + box.height - 8, box.x + 8 : box.x + box.width - 8]
        assert (inside == 128).all()


def test_the_length_of_a_bar_is_its_probability():
    def longest_run(share):
        probabilities = np.full(7, (1 - share) / 6, np.float32)
        probabilities[3] = share
        face = RecognizedFace(Box(60, 60, 200, 200), 9.0, "happy", probabilities, False)
        picture = np.asarray(annotate(np.full((720, 720), 128, np.uint8), [face]))[:, 262:]
        return max((row == ACCENT).all(axis=1).sum() for row in picture)

    full = longest_run(1.0)
    assert full > 60
    for share in (0.3, 0.5, 0.8):
        assert longest_run(share) == pytest.approx(share * full, abs=2)


def test_cards_hide_no_face_in_a_crowd():
    boxes = [
        Box(40 + 140 * column, 60 + 220 * row, 100, 100) for row in range(3) for column in range(5)
    ]
    picture = np.asarray(
        annotate(np.full((720, 740), 128, np.uint8), [face_at(box) for box in boxes])
    )
    for box in boxes:
        assert (picture[box.y + 8 : box.y + 92, box.x + 8 : box.x + 92] == 128).all()


def test_an_uncertain_face_looks_different():
    photo, box = np.full((720, 720, 3), 128, np.uint8), Box(100, 100, 200, 200)
    for draw in (
        lambda face: np.asarray(annotate(photo, [face])),
        lambda face: draw_on_frame(photo, [face]),
    ):
        assert (draw(face_at(box)) != draw(face_at(box, uncertain=True))).any()


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (640, 360), (90, 700)])
@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(0, 0, 10**4, 10**4), Box(20, 0, 25, 25)])
def test_a_frame_is_drawn_on_a_copy_of_its_size(size, box):
    width, height = size
    frame = np.full((height, width, 3), 128, np.uint8)
    drawn = draw_on_frame(frame, [face_at(box)])
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8
    assert (frame == 128).all()
    assert (drawn != 128).any()


def test_a_frames_label_stays_inside_at_every_edge():
    frame = np.full((360, 640, 3), 128, np.uint8)

    def lettering(x, y):
        return (draw_on_frame(frame, [face_at(Box(x, y, 100, 100))]) > 200).all(axis=2).sum()

    whole = lettering(300, 200)
    assert whole > 100
    assert [lettering(x, y) for x in (0, 540) for y in (0, 260)] == [whole] * 4


def test_a_frame_without_faces_does_not_change():
    frame = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    np.testing.assert_array_equal(draw_on_frame(frame, []), frame)
