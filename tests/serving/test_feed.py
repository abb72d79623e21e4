"""The stream of a camera or a video: one reader for all viewers, pacing, limits and failures."""

import io
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image
from serving_cases import check_problem, metrics, wait_until, write_video

from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import connections, create_app, running
from fer_utils.serving.feed import Feed
from fer_utils.serving.server import running_app
from fer_utils.serving.services import services_of
from fer_utils.serving.work import Unavailable

TIMEOUT = 30


class Counting(HaarDetector):
    """Finds one face at the same place in every frame, and counts frames and threads."""

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.threads = 0, set()

    def detect(self, photo) -> list[Detection]:
        self.frames += 1
        self.threads.add(threading.get_ident())
        return [Detection(Box(40, 30, 60, 60), 9.0)]


class Camera:
    """An endless camera in place of OpenCV's. It counts how often it is opened and released."""

    opened = released = 0

    def __init__(self, source) -> None:
        assert source == 3
        type(self).opened += 1
        self.number = 0

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def set(self, *_setting) -> bool:
        return True

    def read(self):
        time.sleep(0.01)
        self.number += 1
        return True, np.full((120, 160, 3), 50, np.uint8)

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture
def camera(monkeypatch):
    kind = type("Camera", (Camera,), {})
    monkeypatch.setattr("fer_utils.serving.feed.cv2.VideoCapture", kind)
    return kind


@pytest.fixture
def detector():
    return Counting()


@pytest.fixture
def recognizer(model_folder, detector):
    return Recognizer(model_folder, detector)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.avi")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "long.avi", frames=2400)


def parts(stream):
    """Return the JPEGs in a viewer's stream."""
    pieces = stream.split(b"--frame\r\n")
    assert pieces[0] == b""
    images = []
    for piece in pieces[1:]:
        if piece == b"\r\n--frame--\r\n":
            break
        head, _, body = piece.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ") for line in head.split(b"\r\n"))
        assert fields[b"Content-Type"] == b"image/jpeg"
        length = int(fields[b"Content-Length"])
        assert body[length:] == b"\r\n"
        images.append(body[:length])
    else:
        raise AssertionError("the stream was truncated")
    return images


def brightness(jpeg):
    """Return the mean brightness of the left edge, where nothing is drawn."""
    return float(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"), float)[:, :20].mean())


def view(url):
    """Return a new viewer's socket, from which nothing has been read."""
    host, port = url.removeprefix("http://").split(":")
    viewer = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    viewer.sendall(f"GET /video_feed HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return viewer


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "fer-study-feed"]


# --- a file ---


def test_a_video_is_shown_to_its_end_annotated(recognizer, clip):
    response = create_app(recognizer, video=clip).test_client().get("/video_feed")
    assert response.status_code == 200
    assert response.content_type == "multipart/x-mixed-replace; boundary=frame"
    assert response.headers["Cache-Control"] == "no-store"
    images = parts(response.data)
    shown = [brightness(image) for image in images]
    assert shown[0] == pytest.approx(0, abs=4)
    assert shown == sorted(shown)
    picture = np.asarray(Image.open(io.BytesIO(images[-1])).convert("RGB"), int)
    assert picture.shape == (120, 160, 3)
    assert np.ptp(picture, axis=2).max() > 60  # the box is coloured; the clip is grey


def test_a_new_viewer_sees_a_finished_video_from_its_start(recognizer, clip):
    client = create_app(recognizer, video=clip).test_client()
    for _ in range(2):
        assert brightness(parts(client.get("/video_feed").data)[0]) == pytest.approx(0, abs=4)


def test_a_single_frame_is_shown(recognizer, tmp_path):
    clip = write_video(tmp_path / "one.avi", frames=1)
    client = create_app(recognizer, video=clip).test_client()
    assert len(parts(client.get("/video_feed").data)) == 1


def test_a_video_is_paced_at_its_frame_rate(recognizer, clip, monkeypatch):
    slept = []
    clock = [0.0]

    class Waiting(threading.Condition().__class__):
        def wait_for(self, condition, timeout=None):
            if threading.current_thread().name != "fer-study-feed":
                return super().wait_for(condition, timeout)
            slept.append(timeout)
            clock[0] += timeout
            return condition()

    monkeypatch.setattr("fer_utils.serving.feed.threading.Condition", Waiting)
    monkeypatch.setattr("fer_utils.serving.feed.time.monotonic", lambda: clock[0])
    viewer = Feed(clip, recognizer).watch()
    list(viewer)
    viewer.close()
    assert len(slept) == 12  # the last wait is before the end of the file
    assert slept == pytest.approx([1 / 24] * 12)


def test_frames_are_skipped_if_the_recogniser_is_slow(model_folder, long_clip, times):
    class Slow(Counting):
        def detect(self, photo):
            time.sleep(0.25)  # the duration of six frames
            return super().detect(photo)

    viewer = Feed(long_clip, Recognizer(model_folder, Slow())).watch()
    for _ in range(5):
        next(viewer)
    viewer.close()
    assert len(times) >= 4
    assert min(np.diff(times)) >= 0.25 - 1 / 24 - 1e-9


def test_large_frames_are_scaled_down(recognizer, tmp_path):
    clip = write_video(tmp_path / "large.avi", frames=2, size=(1920, 1080))
    [first, *_] = parts(create_app(recognizer, video=clip).test_client().get("/video_feed").data)
    assert Image.open(io.BytesIO(first)).size == (1280, 720)


@pytest.fixture
def times(recognizer, monkeypatch):
    """The times in seconds of the frames that the tracker received."""
    seen = []

    class Tracker:
        def __init__(self, *, threshold) -> None:
            assert threshold == recognizer.card["threshold"]

        def update(self, faces, time_s):
            seen.append(time_s)
            return faces

    monkeypatch.setattr("fer_utils.serving.feed.Tracker", Tracker)
    return seen


def test_faces_are_tracked(recognizer, clip, times):
    parts(create_app(recognizer, video=clip).test_client().get("/video_feed").data)
    assert times[0] == 0
    assert times == sorted(times)
    assert [round(time * 24, 6) % 1 for time in times] == [0] * len(times)  # the file's own time


@pytest.mark.parametrize("content", [None, b"no video"])
def test_a_video_that_cannot_be_read_is_named_in_the_error(recognizer, tmp_path, content):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=r"clip\.mp4: expected a video"):
        create_app(recognizer, video=path)


def test_a_camera_and_a_video_together_are_refused(recognizer, clip):
    with pytest.raises(StudyError, match="found both"):
        create_app(recognizer, camera=0, video=clip)


def test_without_a_source_there_is_a_404(recognizer):
    app = create_app(recognizer)
    check_problem(app.test_client().get("/video_feed"), 404, "--camera")
    assert "/video_feed" not in app.test_client().get("/openapi.json").json["paths"]


def test_a_head_request_is_no_viewer(recognizer, long_clip, detector):
    app = create_app(recognizer, video=long_clip)
    with running_app(app) as url:
        with view(url) as viewer:
            viewer.recv(1)
            wait_until(lambda: viewers(app) == 1)
        wait_until(lambda: viewers(app) == 0)
        client = app.test_client()
        assert client.head("/video_feed").content_type.startswith("multipart/x-mixed-replace")
        assert viewers(app) == 0


# --- viewers ---


def viewers(app):
    return services_of(app).feed.viewers


def test_one_reader_and_one_detector_serve_all_viewers(recognizer, detector, camera):
    app = create_app(recognizer, camera=3)
    with running_app(app) as url:
        watching = [view(url) for _ in range(5)]
        try:
            for viewer in watching:
                assert b"image/jpeg" in take(viewer, 20_000)
            assert len(readers()) == 1
            assert camera.opened == 1
            assert len(detector.threads) == 1
            assert metrics(app.test_client())["fer_study_viewers"] == 5
        finally:
            for viewer in watching:
                viewer.close()
        wait_until(lambda: not readers())
        assert camera.released == 1
        assert metrics(app.test_client())["fer_study_viewers"] == 0
        frames = detector.frames
        time.sleep(0.1)
        assert detector.frames == frames  # without viewers, no frame is processed
        with view(url) as late:
            assert b"image/jpeg" in take(late, 5_000)
        wait_until(lambda: camera.released == 2)
    assert camera.opened == 2


def take(viewer, least):
    """Read at least this many bytes of a viewer's stream."""
    received = b""
    while len(received) < least:
        more = viewer.recv(65536)
        assert more, received[-300:]
        received += more
    return received


def test_the_camera_is_not_opened_before_there_is_a_viewer(recognizer, camera):
    create_app(recognizer, camera=3)
    assert camera.opened == 0


def test_a_viewer_gets_the_newest_frame(recognizer, camera, detector):
    viewer = Feed(3, recognizer).watch()
    try:
        next(viewer)  # the first boundary
        next(viewer)
        first = detector.frames
        wait_until(lambda: detector.frames > first + 20)
        newest = viewer._reader._number
        next(viewer)
        assert viewer._last >= newest  # the twenty frames between are skipped
    finally:
        viewer.close()
    wait_until(lambda: not readers())


def test_viewers_beyond_the_limit_are_a_503_until_one_leaves(recognizer, camera):
    app = create_app(recognizer, camera=3, viewers=2)
    client = app.test_client()
    with running_app(app) as url:
        first, second = view(url), view(url)
        take(first, 2000), take(second, 2000)
        response = client.get("/video_feed")
        check_problem(response, 503, "All 2 places")
        assert int(response.headers["Retry-After"]) >= 1
        assert client.get("/healthz").status_code == 200
        first.close()
        wait_until(lambda: viewers(app) == 1)
        with view(url) as third:
            take(third, 2000)
        second.close()
        wait_until(lambda: viewers(app) == 0)


def test_a_viewer_who_reads_nothing_holds_little_and_is_given_up(recognizer, camera, monkeypatch):
    monkeypatch.setattr(connections, "_STALLED", 1.0)
    monkeypatch.setattr("fer_utils.serving.feed._annotated", lambda *_: b"\xff" * 200_000)
    app = create_app(recognizer, camera=3)
    held = []

    stuck = connections.Channel.give_up_if_stuck

    def watch(channel):
        held.append(channel.total_outbufs_len)
        stuck(channel)

    monkeypatch.setattr(connections.Channel, "give_up_if_stuck", watch)
    with running_app(app) as url, view(url):
        wait_until(lambda: viewers(app) == 1)
        wait_until(lambda: viewers(app) == 0)
        wait_until(lambda: not readers())
    # At most one frame and the rest of the frame before, not all frames of a second.
    assert 0 < max(held) < 600_000


def test_a_viewer_who_left_is_noticed_while_no_frame_comes(recognizer, camera, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.feed._REPEAT", 0.1)
    stuck = threading.Event()
    read = camera.read

    def once(self):
        if self.number:
            stuck.wait(TIMEOUT)
        return read(self)

    monkeypatch.setattr(camera, "read", once)
    app = create_app(recognizer, camera=3)
    with running_app(app) as url:
        with view(url) as viewer:
            take(viewer, 1000)
        wait_until(lambda: viewers(app) == 0)
        stuck.set()


def test_stopping_ends_the_streams(recognizer, camera):
    with running(recognizer, camera=3) as url:
        viewer = view(url)
        received = take(viewer, 2000)
    with viewer:
        while more := viewer.recv(65536):
            received += more
    # The stream has its proper end. It was not truncated by the time limit of the stop.
    assert received.endswith(b"--frame--\r\n\r\n0\r\n\r\n")
    assert camera.released == camera.opened == 1
    assert not readers()


def test_a_closed_feed_refuses_viewers(recognizer, camera):
    feed = Feed(3, recognizer)
    feed.close()
    with pytest.raises(Unavailable, match="stopping"):
        feed.watch()
    assert camera.opened == 0


# --- cameras that fail ---


def test_a_camera_that_is_not_there_is_a_503(recognizer, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.feed.cv2.VideoCapture", lambda _source: Missing())
    client = create_app(recognizer, camera=3).test_client()
    for _ in range(2):
        response = client.get("/video_feed")
        check_problem(response, 503, "cannot be opened")
        assert "Retry-After" in response.headers
    assert viewers(client.application) == 0


class Missing:
    def isOpened(self) -> bool:  # noqa: N802
        return False

    def release(self) -> None:
        pass


def test_a_camera_that_returns_no_picture_is_a_503(recognizer, camera, monkeypatch):
    monkeypatch.setattr(camera, "read", lambda _self: (False, None))
    client = create_app(recognizer, camera=3).test_client()
    check_problem(client.get("/video_feed"), 503, "no picture")
    wait_until(lambda: camera.released == 1)


def test_a_reader_that_fails_ends_the_stream_without_its_cause(
    recognizer, camera, monkeypatch, caplog
):
    def fail(self):
        raise RuntimeError("secret")

    monkeypatch.setattr(camera, "read", fail)
    client = create_app(recognizer, camera=3).test_client()
    response = client.get("/video_feed")
    check_problem(response, 503, "log")
    assert b"secret" not in response.data
    assert "secret" in caplog.text
    wait_until(lambda: camera.released == 1)


# --- the real one ---


@pytest.mark.slow
def test_a_real_video_is_shown_with_its_faces(model_folder, real_data):
    app = create_app(Recognizer(model_folder), video=real_data / "media" / "test.mp4")
    with running_app(app) as url, view(url) as viewer:
        assert take(viewer, 200_000).count(b"image/jpeg") >= 2
