"""Tracking: identities from frame to frame, steady labels, and time in seconds."""

import itertools
import json

import numpy as np
import pytest

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.found import Box, RecognizedFace
from fer_utils.recognition.tracking import Tracker


def face(x, y=50, size=100, probabilities=None, score=1.0):
    """Return a face as the recogniser does; happy by default."""
    p = np.array(mostly("happy") if probabilities is None else probabilities, np.float32)
    return RecognizedFace(
        box=Box(round(x), round(y), size, size),
        score=score,
        emotion=EMOTIONS[int(p.argmax())],
        probabilities=p,
        uncertain=bool(p.max() < 0.5),
    )


def mostly(emotion, p=0.7):
    probabilities = np.full(7, (1 - p) / 6)
    probabilities[EMOTIONS.index(emotion)] = p
    return probabilities


def follow(frames, rate=25, **options):
    """Return the numbers of the faces of each frame. A frame is a list of faces."""
    tracker = Tracker(threshold=0.5, **options)
    return [
        [found.track for found in tracker.update(faces, index / rate)]
        for index, faces in enumerate(frames)
    ]


def changes(labels):
    return sum(a != b for a, b in itertools.pairwise(labels))


# --- identities ---


def test_a_face_keeps_its_number_and_each_new_one_gets_the_next():
    frames = (
        [[face(10 + 3 * i)] for i in range(10)] + [[face(400), face(40)]] + [[face(40), face(400)]]
    )

    assert follow(frames) == [[1]] * 10 + [[2, 1], [1, 2]]


@pytest.mark.parametrize("hidden", [(), range(10, 16)], ids=["both seen", "one behind the other"])
def test_two_faces_that_cross_keep_their_numbers(hidden):
    frames = []
    for i in range(26):
        left, right = face(20 * i, y=50), face(500 - 20 * i, y=60)
        # When they overlap most, the detector finds only the face in front.
        frames.append([left] if i in hidden else [left, right])

    numbers = follow(frames)

    assert numbers[0] == numbers[-1] == [1, 2]
    assert {number for frame in numbers for number in frame} == {1, 2}


def test_the_greatest_overlap_wins_in_any_order_of_the_faces():
    # The second new face overlaps both old faces.
    frames = [[face(0), face(60)], [face(70), face(30)]]

    assert follow(frames) == [[1, 2], [2, 1]]


def test_no_two_faces_of_a_frame_have_the_same_number():
    assert follow([[face(0)], [face(30), face(5)]]) == [[1], [2, 1]]


def test_a_face_faster_than_its_own_width_is_followed_by_distance():
    # The faces are small and the frames rare, so no box overlaps the previous one.
    frames = [[face(x, size=20), face(300, size=20)] for x in range(0, 120, 19)]

    assert follow(frames, rate=10) == [[1, 2]] * len(frames)


@pytest.mark.parametrize(
    ("later", "number"),
    [(face(160), 1), (face(320), 2), (face(130, y=80, size=40), 2)],
    ids=["near", "far", "near and much smaller"],
)
def test_without_overlap_only_a_near_face_of_about_its_size_is_the_same(later, number):
    assert follow([[face(70)], [later]]) == [[1], [number]]


@pytest.mark.parametrize(("missed", "number"), [(1, 1), (23, 1), (24, 2), (50, 2)])
def test_a_face_missed_for_less_than_a_second_keeps_its_number(missed, number):
    # After 24 missed frames the face is back 25 frames, one second, after it was last seen.
    assert follow([[face(10)], *[[]] * missed, [face(14)]])[-1] == [number]


def test_the_time_for_which_a_face_may_be_missed_is_an_option():
    frames = [[face(10)], *[[]] * 12, [face(14)]]

    assert follow(frames)[-1] == [1]
    assert follow(frames, hold=0.5)[-1] == [2]


def test_a_missed_face_is_expected_to_move_on():
    def seen(x):
        return [face(x, size=40)]

    moving = [seen(10 * i) for i in range(10)]  # 250 pixels a second
    frames = [*moving, *[[]] * 9, seen(190)]

    assert follow(frames)[-1] == [1]
    # A face that stood still cannot be there.
    assert follow([*[seen(90)] * 10, *[[]] * 9, seen(190)])[-1] == [2]


def test_sparse_frames_are_no_missed_faces():
    assert follow([[face(10)], [face(15)], [face(20)]], rate=0.5) == [[1]] * 3


def test_a_number_is_not_reused_and_an_earlier_time_starts_a_new_video():
    tracker = Tracker(threshold=0.5)
    angry = face(10, probabilities=mostly("angry"))
    first = tracker.update([angry], 4.0)[0]
    again = tracker.update([face(10)], 0.0)[0]

    assert (first.track, again.track) == (1, 2)
    # The old video has no influence on the average.
    assert again.probabilities == pytest.approx(face(10).probabilities)


def test_frames_without_faces_and_empty_videos_are_fine():
    assert follow([[], [], [face(3)], []]) == [[], [], [1], []]


def test_faces_come_back_in_their_order_with_the_detectors_score():
    tracker = Tracker(threshold=0.5)
    tracker.update([face(10), face(400)], 0.0)
    found = tracker.update([face(400, score=7.0), face(10, score=3.0)], 0.04)

    assert [(f.box.x, f.score, f.track) for f in found] == [(400, 7.0, 2), (10, 3.0, 1)]


# --- labels ---


def test_a_single_odd_frame_does_not_change_the_label():
    tracker = Tracker(threshold=0.5)
    odd = {10, 17, 24}
    labels = []
    for i in range(30):
        now = mostly("sad", 0.9) if i in odd else mostly("happy")
        labels.append(tracker.update([face(10, probabilities=now)], i / 25)[0].emotion)

    assert set(labels) == {"happy"}


def test_noise_between_two_emotions_flickers_without_smoothing_and_hardly_with_it():
    rng = np.random.default_rng(4)
    noisy = []
    for _ in range(250):
        p = mostly("neutral", 0.4)
        p[EMOTIONS.index("sad")] = 0.38
        p = np.clip(p + rng.normal(0, 0.08, 7), 0.001, None)
        noisy.append([face(10, probabilities=p / p.sum())])

    def labels(**options):
        tracker = Tracker(threshold=0.5, **options)
        return [tracker.update(faces, i / 25)[0].emotion for i, faces in enumerate(noisy)]

    assert changes(labels(smoothing=0, margin=0)) > 50
    assert changes(labels()) <= 2


def test_a_lasting_change_is_followed_within_a_second():
    tracker = Tracker(threshold=0.5)
    labels = {}
    for i in range(100):
        now = mostly("happy") if i < 50 else mostly("angry")
        labels[i / 25] = tracker.update([face(10, probabilities=now)], i / 25)[0].emotion

    assert labels[1.96] == "happy"
    assert labels[3.0] == "angry"
    assert changes(list(labels.values())) == 1


def test_a_new_label_must_lead_by_the_margin():
    near = mostly("happy", 0.4)
    near[EMOTIONS.index("sad")] = 0.43
    faces = [face(10), face(10, probabilities=near)]

    def last(margin):
        tracker = Tracker(threshold=0.5, smoothing=0, margin=margin)
        return [tracker.update([one], i / 25)[0].emotion for i, one in enumerate(faces)][-1]

    assert last(0.02) == "sad"
    assert last(0.05) == "happy"


def test_smoothing_does_not_depend_on_the_frame_rate():
    def after_a_change(rate):
        """Return angry's probability 0.4 s after the change, and the time of the new label."""
        tracker = Tracker(threshold=0.5)
        tracker.update([face(10)], 0.0)
        followed = None
        for i in range(1, 2 * rate + 1):
            now = tracker.update([face(10, probabilities=mostly("angry"))], i / rate)[0]
            if i / rate == 0.4:
                level = float(now.probabilities[EMOTIONS.index("angry")])
            if followed is None and now.emotion == "angry":
                followed = i / rate
        return level, followed

    slow, fast = after_a_change(5), after_a_change(60)

    assert slow[0] == pytest.approx(fast[0], abs=1e-5)
    assert abs(slow[1] - fast[1]) <= 1 / 5


def test_smoothing_has_its_time_constant():
    tracker = Tracker(threshold=0.5, smoothing=0.5)
    tracker.update([face(10, probabilities=mostly("happy", 1.0))], 0.0)
    found = tracker.update([face(10, probabilities=mostly("sad", 1.0))], 0.5)[0]

    assert found.probabilities[EMOTIONS.index("happy")] == pytest.approx(np.exp(-1), abs=1e-6)
    assert found.probabilities.dtype == np.float32
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_uncertain_depends_on_the_smoothed_probabilities():
    sure, unsure = (
        face(10, probabilities=mostly("happy", 0.9)),
        face(10, probabilities=mostly("happy", 0.3)),
    )
    tracker = Tracker(threshold=0.5)

    assert [
        tracker.update([sure if i < 25 else unsure], i / 25)[0].uncertain for i in (0, 24, 25, 26)
    ] == [False] * 4
    assert tracker.update([unsure], 4.0)[0].uncertain
    assert not Tracker(threshold=0.2).update([unsure], 0.0)[0].uncertain


def test_input_faces_are_not_changed_and_two_people_are_not_mixed():
    tracker = Tracker(threshold=0.5)
    first = face(10)
    tracker.update([first], 0.0)
    left, right = (
        face(10, probabilities=mostly("fear")),
        face(400, probabilities=mostly("surprise")),
    )
    for i in range(200):
        found = tracker.update([left, right], 0.04 + i / 25)

    assert np.array_equal(first.probabilities, face(10).probabilities)
    assert found[0].probabilities == pytest.approx(left.probabilities, abs=1e-6)
    assert found[1].probabilities == pytest.approx(right.probabilities, abs=1e-6)


# --- boxes ---


def test_jitter_of_the_box_is_reduced_and_a_real_movement_is_followed_at_once():
    rng = np.random.default_rng(2)
    jitter = [face(200 + rng.normal(0, 3)) for _ in range(100)]
    tracker = Tracker(threshold=0.5)
    steady = [tracker.update([one], i / 25)[0].box.x for i, one in enumerate(jitter)]
    moved = tracker.update([face(240)], 4.0)[0]

    assert np.std(steady[10:]) < 0.5 * np.std([one.box.x for one in jitter[10:]])
    assert moved.box == Box(240, 50, 100, 100)


def test_without_steadying_the_boxes_are_the_detectors():
    tracker = Tracker(threshold=0.5, steadying=0)
    boxes = [face(200 + 3 * (-1) ** i, y=40 + i) for i in range(20)]

    assert [tracker.update([one], i / 25)[0].box for i, one in enumerate(boxes)] == [
        one.box for one in boxes
    ]


def test_a_box_at_the_border_stays_inside_the_frame():
    tracker = Tracker(threshold=0.5)
    # The frame is 640 pixels wide. The detector's boxes are cut at its border as the face leaves.
    for i in range(30):
        x = min(500 + 8 * i, 620)
        given = RecognizedFace(
            box=Box(x, 0, min(100, 640 - x), 100),
            score=1.0,
            emotion="happy",
            probabilities=np.array(mostly("happy"), np.float32),
            uncertain=False,
        )
        box = tracker.update([given], i / 25)[0].box
        assert box.x + box.width <= 640
        assert box.y == 0


# --- JSON ---


def test_as_dict_has_the_number_and_is_plain_json():
    found = Tracker(threshold=0.5).update([face(10)], 0.0)[0]
    plain = found.as_dict()

    assert plain == {"track": 1, **face(10).as_dict()}
    assert json.loads(json.dumps(plain)) == plain
