"""Videos: one row for each face of each frame, annotated clips, and damaged or wrong files."""

import itertools
import logging
import os
import struct
import subprocess
import sys
from threading import Event

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import make_detector
from fer_utils.recognition.found import Box, RecognizedFace
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.tracking import Tracker
from fer_utils.recognition.video import COLUMNS, recognize_video
from fer_utils.recognition.video_files import VideoFile

WIDTH, HEIGHT, RATE = 320, 240, 20
SQUARE = 80


class SquareRecognizer:
    """Finds the red square in the frames of `squares`: sad in every fourth frame, else happy."""

    card = {"threshold": 0.5}  # noqa: RUF012 (read only)

    def __init__(self):
        self.seen = []  # sizes of the frames

    def recognize(self, frame):
        assert frame.dtype == np.uint8
        self.seen.append(frame.shape)
        # With swapped channels the square would be blue.
        rows, columns = np.nonzero((frame[..., 0] > 150) & (frame[..., 2] < 100))
        if len(rows) < 100:
            return []
        p = np.full(7, 0.05, np.float32)
        p[EMOTIONS.index("sad" if len(self.seen) % 4 == 0 else "happy")] = 0.7
        box = Box(
            int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        )
        return [RecognizedFace(box, 1.5, EMOTIONS[int(p.argmax())], p, False)]


def film(path, frames, codec="mp4v", rate=RATE):
    """Write RGB frames as a clip."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), rate, (width, height)
    )
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def squares(count=30, width=WIDTH, height=HEIGHT, without=()):
    """Return frames whose red square moves to the right by 4 pixels each.

    The frames with the numbers in `without` have no square.
    """
    frames = np.full((count, height, width, 3), 40, np.uint8)
    for i, frame in enumerate(frames):
        if i not in without:
            frame[60 : 60 + SQUARE, 20 + 4 * i : 20 + 4 * i + SQUARE] = (220, 30, 30)
    return frames


def read(path):
    """Return the RGB frames of a clip and its frame rate."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = []
    while (result := capture.read())[0]:
        frames.append(cv2.cvtColor(result[1], cv2.COLOR_BGR2RGB))
    return np.array(frames), capture.get(cv2.CAP_PROP_FPS)


def rows_of(path, recognizer=None, **options):
    return list(recognize_video(recognizer or SquareRecognizer(), path, progress=False, **options))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return film(tmp_path_factory.mktemp("clips") / "squares.mp4", squares())


@pytest.fixture(scope="module")
def rows(clip):
    return rows_of(clip)


# --- rows ---


def test_a_row_for_each_face_of_each_frame(rows):
    assert [row["frame"] for row in rows] == list(range(30))
    assert [row["seconds"] for row in rows] == pytest.approx([i / RATE for i in range(30)])
    assert {row["track"] for row in rows} == {1}
    for i, row in enumerate(rows):
        assert tuple(row) == COLUMNS
        assert (row["x"], row["y"], row["width"], row["height"]) == pytest.approx(
            (20 + 4 * i, 60, 80, 80), abs=8
        )
        assert row["score"] == 1.5
        assert sum(row[emotion] for emotion in EMOTIONS) == pytest.approx(1, abs=1e-5)


def test_labels_do_not_flicker_although_the_recognisers_labels_do(clip, rows):
    unsmoothed = rows_of(clip, tracker=Tracker(threshold=0.5, smoothing=0, margin=0))

    assert {row["emotion"] for row in rows} == {"happy"}
    assert [row["emotion"] for row in unsmoothed][:8] == [*["happy"] * 3, "sad"] * 2


def test_uncertain_depends_on_the_models_threshold(clip):
    class Doubtful(SquareRecognizer):
        card = {"threshold": 0.9}  # noqa: RUF012

    assert not any(row["uncertain"] for row in rows_of(clip)[:3])
    assert all(row["uncertain"] for row in rows_of(clip, Doubtful()))


def test_frames_without_a_face_have_no_row_and_the_face_keeps_its_number(tmp_path):
    path = film(tmp_path / "gone.mp4", squares(without=range(10, 15)))
    found = rows_of(path)

    assert [row["frame"] for row in found] == [*range(10), *range(15, 30)]
    assert {row["track"] for row in found} == {1}


def test_only_each_third_frame_is_recognised_with_every_3(clip):
    recognizer = SquareRecognizer()
    found = rows_of(clip, recognizer, every=3)

    assert [row["frame"] for row in found] == list(range(0, 30, 3))
    assert [row["seconds"] for row in found] == pytest.approx([i / RATE for i in range(0, 30, 3)])
    assert len(recognizer.seen) == 10
    assert {row["track"] for row in found} == {1}


def test_frames_are_read_as_the_rows_are_taken(clip):
    recognizer = SquareRecognizer()
    taken = list(itertools.islice(recognize_video(recognizer, clip, progress=False), 4))

    assert len(taken) == 4
    assert len(recognizer.seen) == 4


def test_one_frame_is_read_while_the_one_before_is_recognised(clip, monkeypatch):
    read_frames, second_read, third_read = VideoFile.frames, Event(), Event()

    def frames(self, every):
        for number, frame in enumerate(read_frames(self, every), start=1):
            {2: second_read, 3: third_read}.get(number, Event()).set()
            yield frame

    monkeypatch.setattr(VideoFile, "frames", frames)

    class Waits(SquareRecognizer):
        def recognize(self, frame):
            assert second_read.wait(30)
            # One frame in advance suffices; more would take memory.
            assert self.seen or not third_read.wait(0.2)
            return super().recognize(frame)

    assert rows_of(clip, Waits()) == rows_of(clip)


def test_an_error_in_reading_reaches_the_caller(clip, monkeypatch):
    def frames(self, every):
        yield 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        raise MemoryError("too large")

    monkeypatch.setattr(VideoFile, "frames", frames)
    with pytest.raises(MemoryError, match="too large"):
        rows_of(clip)


def test_the_recogniser_on_a_portrait_that_moves_across(model_folder, tmp_path):
    portrait = cv2.resize(data.astronaut()[:256, 96:352], (200, 200), interpolation=cv2.INTER_AREA)
    frames = np.full((12, 240, 360, 3), 90, np.uint8)
    for i, frame in enumerate(frames):
        frame[20:220, 10 * i : 10 * i + 200] = portrait
    path = film(tmp_path / "portrait.avi", frames, "MJPG")
    recognizer = Recognizer(model_folder)
    found = list(recognize_video(recognizer, path, progress=False))
    alone = recognizer.recognize(read(path)[0][0])[0]

    assert [row["frame"] for row in found] == list(range(12))
    assert {row["track"] for row in found} == {1}
    # The first frame is not averaged with others.
    assert (found[0]["x"], found[0]["y"], found[0]["emotion"]) == (
        alone.box.x,
        alone.box.y,
        alone.emotion,
    )
    assert [found[0][emotion] for emotion in EMOTIONS] == pytest.approx(
        alone.probabilities.tolist(), abs=1e-5
    )
    assert found[-1]["x"] - found[0]["x"] == pytest.approx(110, abs=12)


# --- orientation and times of files ---


def test_a_clip_with_a_rotation_is_rotated_upright(tmp_path):
    lying = film(tmp_path / "lying.mp4", squares()).read_bytes()
    # The matrix in the track's header. The new one rotates by 90 degrees to the right.
    at = lying.index(b"tkhd") + 44
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)
    (tmp_path / "upright.mp4").write_bytes(lying[:at] + matrix + lying[at + 36 :])
    recognizer = SquareRecognizer()
    out = tmp_path / "out.mp4"
    found = rows_of(tmp_path / "upright.mp4", recognizer, annotate=out)

    assert set(recognizer.seen) == {(WIDTH, HEIGHT, 3)}
    moved = found[-1]["x"] - found[0]["x"], found[-1]["y"] - found[0]["y"]
    assert moved == pytest.approx((0, 4 * 29), abs=8)
    assert read(out)[0].shape == (30, WIDTH, HEIGHT, 3)


def test_times_are_those_of_the_file_when_the_frame_rate_varies(tmp_path):
    steady = bytearray(film(tmp_path / "steady.mp4", squares()).read_bytes())
    index = steady.index(b"moov")
    at = steady.index(b"stts", index)
    entries, frames, ticks = struct.unpack(">3i", steady[at + 8 : at + 20])
    assert (entries, frames) == (1, 30)
    # From the tenth frame on, each frame lasts half as long. The table of durations grows by one
    # entry, and the boxes around it grow as well.
    steady[at + 8 : at + 20] = struct.pack(">5i", 2, 10, ticks, 20, ticks // 2)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        box = steady.index(name, index) - 4
        steady[box : box + 4] = struct.pack(">i", struct.unpack(">i", steady[box : box + 4])[0] + 8)
    (tmp_path / "varying.mp4").write_bytes(steady)
    expected = np.concatenate([np.arange(10) / RATE, 10 / RATE + np.arange(20) / RATE / 2])

    assert [row["seconds"] for row in rows_of(tmp_path / "varying.mp4")] == pytest.approx(
        expected, abs=1e-3
    )


def test_times_that_go_back_do_not_start_a_new_video(clip, monkeypatch):
    opened = cv2.VideoCapture

    class Damaged:  # a subclass of OpenCV's class would crash Python
        def __init__(self, *arguments):
            self.capture = opened(*arguments)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def get(self, what):
            value = self.capture.get(what)
            return 100.0 if what == cv2.CAP_PROP_POS_MSEC and value == 250 else value

    monkeypatch.setattr(cv2, "VideoCapture", Damaged)
    found = rows_of(clip)

    assert [row["seconds"] for row in found[3:8]] == pytest.approx([0.15, 0.2, 0.2, 0.3, 0.35])
    assert {row["track"] for row in found} == {1}


# --- files ---


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_only_an_annotated_clip_of_fer_study_is_replaced(ending, clip, tmp_path):
    out = tmp_path / f"out{ending}"
    list(recognize_video(SquareRecognizer(), clip, annotate=out, progress=False))
    list(recognize_video(SquareRecognizer(), clip, annotate=out, progress=False))
    assert len(read(out)[0]) == len(read(clip)[0])
    mine = film(tmp_path / "mine.mp4", squares(3)).rename(tmp_path / f"mine{ending}")
    before = mine.read_bytes()
    with pytest.raises(StudyError, match=r"expected nothing.* annotated clip made by fer-study"):
        recognize_video(SquareRecognizer(), clip, annotate=mine, progress=False)
    assert mine.read_bytes() == before


@pytest.mark.parametrize(
    "format", ["PNG", "JPEG", "TIFF", "AVIF", "PPM", "JPEG2000", "TGA", "BMP", "GIF"]
)
def test_a_still_picture_is_no_video(format, tmp_path):
    path = tmp_path / "still.mp4"
    Image.new("RGB", (64, 64)).save(path, format)
    with pytest.raises(StudyError, match="expected a video, found"):
        recognize_video(SquareRecognizer(), path)


def test_a_video_is_read_under_any_name(clip, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9 [1] %03d.mp4")
    odd.write_bytes(clip.read_bytes())
    out = tmp_path / os.fsdecode(b"drawn \xff.mp4")
    expected = list(recognize_video(SquareRecognizer(), clip, progress=False))
    assert list(recognize_video(SquareRecognizer(), odd, annotate=out, progress=False)) == expected
    assert out.stat().st_size > 1000


# --- annotated clips ---


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_the_annotated_clip_is_the_clip_with_boxes_and_labels(ending, clip, tmp_path):
    out = tmp_path / f"out{ending}"
    found = rows_of(clip, annotate=out)
    (before, _), (after, rate) = read(clip), read(out)

    assert len(found) == 30
    assert after.shape == before.shape
    assert rate == pytest.approx(RATE)
    for i, row in enumerate(found):
        changed = np.abs(after[i].astype(int) - before[i]).max(axis=-1)
        x, y, width, height = (row[key] for key in ("x", "y", "width", "height"))
        assert np.median(changed[y : y + height, [x, x + width]]) > 60, i  # the box's sides
        assert np.median(changed[y : y + height, x + 20 : x + width - 20]) < 20, i  # inside it
        assert np.median(changed[180:]) < 20, i  # far from it
    assert list(tmp_path.iterdir()) == [out]


def test_a_clip_with_an_odd_size_loses_no_pixel(tmp_path, capsys):
    out = tmp_path / "out.mp4"
    photo = np.zeros((241, 321, 3), np.uint8)
    photo[-1] = photo[:, -1] = 255  # OpenCV alone would drop these pixels
    path = tmp_path / "odd.y4m"  # OpenCV cannot write a clip with an odd size
    grey = np.full_like(photo[..., 0], 128)
    planes = b"".join(plane.tobytes() for plane in (photo[..., 0], grey, grey))
    path.write_bytes(b"YUV4MPEG2 W321 H241 F10:1 Ip A1:1 C444\nFRAME\n" + planes)
    list(recognize_video(SquareRecognizer(), path, annotate=out))

    assert "odd.y4m: 100%" in capsys.readouterr().err
    frames, _ = read(out)
    assert frames.shape == (1, 242, 322, 3)
    assert frames[0, 240, 100:200].mean() > 200
    assert frames[0, 100:200, 320].mean() > 200


def test_frames_that_are_not_recognised_show_the_last_faces(clip, tmp_path):
    out = tmp_path / "out.mp4"
    found = rows_of(clip, annotate=out, every=10, tracker=Tracker(threshold=0.5, steadying=0))
    (before, _), (after, _) = read(clip), read(out)

    assert len(found) == 3
    assert len(after) == 30
    for i in range(30):
        x = found[i // 10]["x"]
        side = np.abs(after[i, 65:135, x].astype(int) - before[i, 65:135, x]).max(axis=-1)
        assert np.median(side) > 40, i


def test_a_clip_does_not_exist_before_all_rows_are_taken(clip, tmp_path):
    out = tmp_path / "out.mp4"
    found = recognize_video(SquareRecognizer(), clip, annotate=out, progress=False)
    next(found)
    assert not out.exists()
    found.close()

    assert list(tmp_path.iterdir()) == []


def test_the_clip_does_not_replace_its_video(tmp_path):
    path = film(tmp_path / "mine.mp4", squares(3))
    before = path.read_bytes()

    with pytest.raises(StudyError, match="expected another file than the one that is read"):
        recognize_video(SquareRecognizer(), path, annotate=path, progress=False)
    assert path.read_bytes() == before


def test_invalid_options_are_refused_at_once(clip, tmp_path):
    with pytest.raises(StudyError, match=r"out\.gif: expected .* \.mp4 or \.webm"):
        recognize_video(SquareRecognizer(), clip, annotate=tmp_path / "out.gif")
    with pytest.raises(StudyError, match="every: expected 1 or more, found 0"):
        recognize_video(SquareRecognizer(), clip, every=0)


# --- damaged and wrong files ---


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("text.mp4", b"not a video\n" * 500),
        ("text.txt", b"not a video\n" * 500),
    ],
)
def test_a_file_that_is_no_video_is_refused_at_once(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(StudyError, match=rf"{name}: expected a video, found .* bytes"):
        recognize_video(SquareRecognizer(), tmp_path / name)


@pytest.mark.parametrize("name", ["nothing.mp4", "folder", "http://127.0.0.1:1/clip.mp4"])
def test_a_path_that_is_no_file_is_refused_at_once(name, tmp_path):
    (tmp_path / "folder").mkdir()

    with pytest.raises(StudyError, match="expected a video file, found none"):
        recognize_video(SquareRecognizer(), tmp_path / name)


def test_a_clip_truncated_before_its_index_is_refused(clip, tmp_path):
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # OpenCV writes the index last

    with pytest.raises(StudyError, match="truncated before its index"):
        recognize_video(SquareRecognizer(), tmp_path / "cut.mp4")


def test_the_rest_of_a_clip_truncated_after_its_index_is_recognised(clip, tmp_path, caplog):
    whole = index_first(clip.read_bytes())
    (tmp_path / "whole.mp4").write_bytes(whole)
    with caplog.at_level(logging.WARNING):
        assert len(rows_of(tmp_path / "whole.mp4")) == 30
    assert not caplog.messages

    (tmp_path / "cut.mp4").write_bytes(whole[: -(len(whole) - whole.index(b"mdat")) // 2])
    out = tmp_path / "out.mp4"
    with caplog.at_level(logging.WARNING):
        found = rows_of(tmp_path / "cut.mp4", annotate=out)

    assert 3 <= len(found) < 28
    assert [row["frame"] for row in found] == list(range(len(found)))
    assert len(read(out)[0]) == len(found)
    [message] = caplog.messages
    assert f"expected 30 frames, found {len(found)}" in message


def index_first(mp4):
    """Return the MP4 with its index before its frames, like files on the web."""
    at = mp4.index(b"moov") - 4
    frames, index = mp4[:at], bytearray(mp4[at:])
    start = frames.index(b"mdat") - 4
    table = index.index(b"stco") + 8  # the offsets of the frames
    (count,) = struct.unpack(">i", index[table : table + 4])
    places = struct.unpack(f">{count}i", index[table + 4 : table + 4 + 4 * count])
    index[table + 4 : table + 4 + 4 * count] = struct.pack(
        f">{count}i", *(place + len(index) for place in places)
    )
    return bytes(frames[:start] + index + frames[start:])


def test_an_index_without_frames_is_refused(clip, tmp_path):
    whole = index_first(clip.read_bytes())
    (tmp_path / "index.mp4").write_bytes(whole[: whole.index(b"mdat") + 4])

    with pytest.raises(StudyError, match="without a frame that can be read"):
        recognize_video(SquareRecognizer(), tmp_path / "index.mp4")


def test_the_frames_of_an_unfinished_recording_are_recognised(tmp_path):
    whole = film(tmp_path / "whole.avi", squares(), "MJPG").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])

    assert 10 <= len(rows_of(tmp_path / "cut.avi")) <= 20


def test_a_name_like_a_pattern_is_a_name(tmp_path):
    path = film(tmp_path / "clip_%02d.mp4", squares(3))

    assert len(rows_of(path)) == 3


# --- imports and a real video ---


def test_neither_pandas_nor_a_training_library_is_imported(clip):
    code = (
        "import sys\n"
        "from fer_utils.recognition.video import recognize_video\n"
        "class Nobody:\n"
        "    card = {'threshold': 0.5}\n"
        "    def recognize(self, frame): return []\n"
        f"assert not list(recognize_video(Nobody(), {str(clip)!r}))\n"
        "heavy = ('pandas', 'tensorflow', 'keras', 'jax')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
    assert "30/30" in done.stderr  # the progress bar


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "every", "share"), [("yunet", 1, 0.99), ("haar", 5, 0.85)])
def test_the_person_in_the_real_clip_is_one_track_in_nearly_all_frames(
    detector, every, share, real_data, model_folder, tmp_path
):
    path, out = real_data / "media" / "test.mp4", tmp_path / "out.mp4"
    finds = make_detector(
        detector, real_data / "models" / "yunet_n_640_640.onnx" if detector == "yunet" else None
    )
    recognizer = Recognizer(model_folder, finds)
    found = pd.DataFrame(
        recognize_video(recognizer, path, annotate=out, every=every, progress=False)
    )
    before, rate = read(path)
    after, rate_after = read(out)
    recognised = len(range(0, len(before), every))

    # The person looks down in the middle of the clip. There Haar misses the face in a few frames,
    # and detects faces in the hand.
    assert (found["track"] == 1).sum() >= share * recognised
    assert (found["track"] != 1).sum() <= 2
    assert after.shape == before.shape
    assert rate_after == pytest.approx(rate, abs=0.01)
