"""Serving photos: every route and every error, headers, bounds, and the server's start and stop."""

import gc
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import jsonschema
import numpy as np
import pytest
from markupsafe import escape
from PIL import Image
from serving_cases import (
    PREDICT,
    check_problem,
    encoded,
    metrics,
    wait_until,
    write_video,
)
from skimage import data

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.found import Detection
from fer_utils.recognition.images import UnreadableImage
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import create_app, running, serve
from fer_utils.serving.server import running_app


@pytest.fixture(scope="session")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture
def client(recognizer):
    return create_app(recognizer, max_upload_bytes=200_000).test_client()


ASTRONAUT = encoded(Image.fromarray(data.astronaut()), "JPEG")
NO_FACE = encoded(Image.new("RGB", (60, 40), "teal"))


def post(client, *photos, headers=None):
    files = [(io.BytesIO(photo), f"{number}.jpg") for number, photo in enumerate(photos)]
    return client.post(PREDICT, data={"image": files}, headers=headers)


# --- /api/v1/predict ---


def test_predict_answers_the_faces(client):
    answer = post(client, ASTRONAUT)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    body = json.loads(answer.data)
    assert (body["width"], body["height"]) == (512, 512)
    [face] = body["faces"]
    assert list(face) == ["box", "score", "emotion", "probabilities", "uncertain"]
    assert 165 < face["box"]["x"] < 190
    assert list(face["probabilities"]) == list(EMOTIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert face["emotion"] == max(face["probabilities"], key=face["probabilities"].get)
    assert face["uncertain"] is (max(face["probabilities"].values()) < 0.5)


def test_several_photos_are_answered_in_their_order(client):
    answer = post(client, NO_FACE, ASTRONAUT, NO_FACE)
    assert answer.status_code == 200
    assert list(answer.json) == ["images"]
    assert [len(photo["faces"]) for photo in answer.json["images"]] == [0, 1, 0]
    assert answer.json["images"][1] == post(client, ASTRONAUT).json
    assert answer.json["images"][0] == {"width": 60, "height": 40, "faces": []}


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/png", "IMAGE/JPEG; q=1", "application/octet-stream"]
)
def test_a_photo_may_be_the_body_itself(client, kind):
    # What the body calls itself does not matter: its bytes say what it is.
    answer = client.post(PREDICT, data=ASTRONAUT, content_type=kind)
    assert answer.status_code == 200
    assert answer.json == post(client, ASTRONAUT).json


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/json", "application/x-www-form-urlencoded", "video/mp4", None],
)
def test_a_body_of_another_kind_is_a_415(client, kind):
    check_problem(
        client.post(PREDICT, data=ASTRONAUT, content_type=kind), 415, kind or "no content type"
    )


def test_more_photos_than_the_limit_are_a_400(recognizer):
    client = create_app(recognizer, max_photos=3).test_client()
    assert len(post(client, *[NO_FACE] * 3).json["images"]) == 3
    check_problem(post(client, *[NO_FACE] * 4), 400, "at most 3")


def test_one_bad_photo_among_several_is_named(client):
    check_problem(post(client, NO_FACE, b"junk", NO_FACE), 400, "Image 2 of 3")
    check_problem(
        post(client, NO_FACE, encoded(Image.new("1", (16000, 16000)))), 413, "Image 2 of 2"
    )


def test_no_face_is_an_empty_list(client):
    answer = post(client, NO_FACE)
    assert answer.status_code == 200
    assert answer.json == {"width": 60, "height": 40, "faces": []}


def test_the_size_is_that_of_the_upright_photo(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)
    assert post(client, photo).json == {"width": 40, "height": 60, "faces": []}


@pytest.mark.parametrize(
    "image, options",
    [
        (Image.new("RGBA", (30, 30)), {}),
        (Image.new("CMYK", (30, 30)), {"format": "JPEG"}),
        (Image.fromarray(np.full((30, 30), 40_000, np.uint16)), {}),
        (
            Image.new("P", (30, 30)),
            {"format": "GIF", "save_all": True, "append_images": [Image.new("P", (30, 30), 1)]},
        ),
        (Image.new("1", (30, 30)), {"format": "TIFF"}),
    ],
)
def test_unusual_images_are_read(client, image, options):
    answer = post(client, encoded(image, **options))
    assert answer.status_code == 200
    assert answer.json["faces"] == []


@pytest.mark.parametrize(
    "junk", [b"not an image", b"\xff\xd8\xff\xe0junk", ASTRONAUT[:2000], b"<svg/>"]
)
def test_what_is_no_image_is_a_400_with_a_reason(client, junk):
    check_problem(post(client, junk), 400, "expected")


def test_an_empty_file_is_a_400(client):
    check_problem(post(client, b""), 400, "empty")
    check_problem(post(client, NO_FACE, b""), 400, "empty")
    check_problem(client.post(PREDICT, data=b"", content_type="image/png"), 400, "empty")


def test_a_missing_field_is_a_400(client):
    check_problem(
        client.post(PREDICT, data={"other": (io.BytesIO(ASTRONAUT), "a.jpg")}), 400, "`image`"
    )
    form = {"data": {"image": "just text"}, "content_type": "multipart/form-data"}
    check_problem(client.post(PREDICT, **form), 400, "`image`")
    check_problem(
        client.post(PREDICT, data=b"torn", content_type="multipart/form-data"), 400, "`image`"
    )


def test_a_path_from_the_client_is_never_opened(client, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(ASTRONAUT)
    form = {"data": {"image": str(photo)}, "content_type": "multipart/form-data"}
    check_problem(client.post(PREDICT, **form), 400, "`image`")
    check_problem(
        client.post(PREDICT, data=str(photo), content_type="image/jpeg"), 400, "expected an image"
    )
    named = client.post(PREDICT, data={"image": (io.BytesIO(NO_FACE), str(photo))})
    assert named.json["faces"] == []


def test_an_upload_over_the_limit_is_a_413(client):
    check_problem(post(client, b"\0" * 300_000), 413, "larger")
    check_problem(
        client.post(PREDICT, data=b"\0" * 300_000, content_type="image/png"), 413, "larger"
    )


def test_a_decompression_bomb_is_a_413(client):
    check_problem(post(client, encoded(Image.new("1", (16000, 16000)))), 413, "225 million pixels")


def test_an_unexpected_error_is_a_500_that_tells_nothing(model_folder):
    class Broken(HaarDetector):
        def detect(self, photo):
            raise RuntimeError("secret")

    app = create_app(Recognizer(model_folder, detector=Broken()))
    answer = post(app.test_client(), NO_FACE)
    check_problem(answer, 500, "log")
    assert b"secret" not in answer.data


def test_a_large_upload_never_becomes_a_file(recognizer, monkeypatch):
    def store(*_args, **_kwargs):
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr("tempfile._mkstemp_inner", store)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", store)
    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.__init__", store)
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    photo = encoded(Image.fromarray(noise))
    assert len(photo) > 2_000_000
    with running(recognizer) as url:
        assert send(url, photo)["width"] == 1000


# --- the other routes, and all answers ---


def test_the_page_names_the_model_and_its_limits(client):
    page = client.get("/").get_data(as_text=True)
    assert "tiny network" in page
    assert "37.5 %" in page
    assert "An expression is not an emotion" in page
    assert 'data-max-bytes="200000"' in page
    assert "drawn faces" not in page


def test_the_page_says_when_the_model_knows_drawn_faces_only(write_model, tmp_path):
    page = (
        create_app(Recognizer(write_model(tmp_path, source="sample")))
        .test_client()
        .get("/")
        .get_data(as_text=True)
    )
    assert "Trained on drawn faces" in page
    assert "mean little" in page


def test_the_page_needs_nothing_but_its_own_files(client):
    page = client.get("/").get_data(as_text=True)
    for name in ("page.css", "page.js", "icon.svg", "faces.svg"):
        assert f"static/{name}" in page
        text = client.get(f"/static/{name}").get_data(as_text=True)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page
    assert "<script>" not in page  # the policy forbids what is inline
    assert "<style" not in page
    assert "style=" not in page


def test_the_page_lists_the_emotions_in_their_order(client):
    script = client.get("/static/view.js").get_data(as_text=True)
    assert f"const EMOTIONS = {json.dumps(list(EMOTIONS))};" in script


def test_healthz(client):
    assert client.get("/healthz").json == {"status": "ok"}


def test_unknown_paths_and_methods_are_problems(client):
    check_problem(client.get("/nothing"), 404, "not found")
    answer = client.get(PREDICT)
    check_problem(answer, 405, "not allowed")
    assert "POST" in answer.headers["Allow"]
    check_problem(client.get("/static/../app.py"), 404, "not found")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/healthz", PREDICT, "/metrics", "/nothing", "/static/page.js"]
)
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == policy["media-src"] == "'self' blob:"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == "'self' http://localhost:* http://127.0.0.1:*"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert "Server" not in headers


def test_answers_about_faces_are_not_cached(client):
    assert post(client, NO_FACE).headers["Cache-Control"] == "no-store"


def test_who_may_frame_the_page_can_be_said(recognizer):
    for given, said in (((), "'none'"), (("https://lab.example",), "https://lab.example")):
        headers = create_app(recognizer, frame_ancestors=given).test_client().get("/").headers
        assert headers["Content-Security-Policy"].endswith(f"frame-ancestors {said}")
        assert headers["X-Frame-Options"] == ("SAMEORIGIN" if given else "DENY")


def test_flask_settings_are_passed_on(recognizer):
    app = create_app(recognizer, TESTING=True)
    assert app.config["TESTING"]
    assert not app.debug


def test_the_model_is_loaded_when_the_app_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.recognition.recognizer.RELEASED", tmp_path)
    with pytest.raises(StudyError, match=re.escape(str(tmp_path))):
        create_app()


# --- health, metrics, description ---


def test_readyz_ends_when_the_server_stops(recognizer):
    app = create_app(recognizer)
    assert app.test_client().get("/readyz").json == {"status": "ready"}
    app.extensions["stopping"] = True
    check_problem(app.test_client().get("/readyz"), 503, "stopping")
    assert app.test_client().get("/healthz").status_code == 200


def test_metrics_count_what_was_answered(client):
    post(client, ASTRONAUT, NO_FACE)
    post(client, b"junk")
    client.get("/nothing")
    client.get("/made/up")
    found = metrics(client)
    assert found["fer_study_requests_total /api/v1/predict 200"] == 1
    assert found["fer_study_requests_total /api/v1/predict 400"] == 1
    assert found["fer_study_requests_total none 404"] == 2  # a client cannot make new labels
    assert not [name for name in found if "made" in name]
    assert found["fer_study_photos_total"] == 2
    assert found["fer_study_faces_total"] == 1
    assert found["fer_study_request_seconds_count /api/v1/predict"] == 2
    assert found["fer_study_request_seconds_sum /api/v1/predict"] > 0
    assert found["fer_study_requests_in_flight"] == 1  # this one
    assert found["fer_study_viewers"] == 0
    assert found["fer_study_recognitions_running"] == found["fer_study_recognitions_waiting"] == 0


def test_metrics_say_nothing_about_a_face(client):
    post(client, ASTRONAUT)
    text = client.get("/metrics").get_data(as_text=True)
    assert not [emotion for emotion in EMOTIONS if emotion in text]


def test_each_application_counts_for_itself(recognizer):
    first, second = (create_app(recognizer).test_client() for _ in range(2))
    post(first, ASTRONAUT)
    assert metrics(first)["fer_study_photos_total"] == 1
    assert metrics(second)["fer_study_photos_total"] == 0


def test_nothing_about_a_face_is_logged(recognizer, caplog):
    with caplog.at_level("DEBUG"), running(recognizer) as url:
        assert len(send(url, ASTRONAUT)["faces"]) == 1
    # Pillow tells of each chunk of a file that it reads, but only to who asks for it by name.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("PIL")]
    assert not [said for said in ours if any(word in said for word in (*EMOTIONS, "face", "box"))]


@pytest.mark.parametrize("options", [{}, {"token": "abc"}])
def test_the_description_is_valid_openapi(recognizer, options):
    document = create_app(recognizer, **options).test_client().get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    import schemathesis

    schemathesis.openapi.from_dict(document).validate()


def test_the_description_is_complete(recognizer, tmp_path):
    app = create_app(recognizer, token="abc", video=write_video(tmp_path / "clip.avi"))
    document = app.test_client().get("/openapi.json", base_url="http://localhost").json
    described = {
        (path, method.upper())
        for path, operations in document["paths"].items()
        for method in operations
    }
    there = {
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }
    assert described == there
    secured = {
        path
        for path, operations in document["paths"].items()
        for each in operations.values()
        if "security" in each
    }
    assert secured == {PREDICT, "/video_feed", "/metrics"}
    limits = document["paths"][PREDICT]["post"]["requestBody"]["content"]["multipart/form-data"][
        "schema"
    ]
    assert limits["properties"]["image"]["maxItems"] == 16


def test_answers_are_as_described(client):
    document = client.get("/openapi.json").json
    names = ("Photo", "Photos", "Problem")
    photo, photos, problem = (
        jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **document})
        for name in names
    )
    photo.validate(post(client, ASTRONAUT).json)
    photos.validate(post(client, ASTRONAUT, NO_FACE).json)
    problem.validate(json.loads(post(client, b"junk").data))
    with pytest.raises(jsonschema.ValidationError):
        photo.validate(post(client, ASTRONAUT, NO_FACE).json)


def test_the_docs_show_the_description(client):
    page = client.get("/docs").get_data(as_text=True)
    document = client.get("/openapi.json").json
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert path in page
            assert str(escape(operation["summary"])) in page
    for name, schema in document["components"]["schemas"].items():
        assert f'id="{name}"' in page
        assert all(f"<code>{field}</code>" in page for field in schema["properties"])
    assert "static/docs.css" in page
    assert client.get("/static/docs.css").status_code == 200
    assert not re.search(r"<script|<style|style=|https?://(?!localhost)", page)
    assert "A token is asked for" not in page


# --- who may ask ---

GOOD = {"Authorization": "Bearer s3cret-token"}


@pytest.fixture
def guarded(recognizer):
    return create_app(recognizer, token="s3cret-token").test_client()


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer s3cret-toke",
        "Basic s3cret-token",
        "s3cret-token",
        "Bearer ü",
    ],
)
def test_a_token_is_asked_for(guarded, sent):
    headers = {} if sent is None else {"Authorization": sent}
    for answer in (
        post(guarded, ASTRONAUT, headers=headers),
        guarded.get("/metrics", headers=headers),
        guarded.get("/video_feed", headers=headers),
        guarded.get("/api/v1/nothing", headers=headers),
        guarded.get("/video_feed?token=s3cret-token", headers=headers),
    ):
        check_problem(answer, 401, "Bearer")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_who_has_the_token_is_answered(guarded):
    assert len(post(guarded, ASTRONAUT, headers=GOOD).json["faces"]) == 1
    assert (
        post(guarded, NO_FACE, headers={"Authorization": "bearer s3cret-token"}).status_code == 200
    )
    assert metrics(guarded, headers=GOOD)["fer_study_faces_total"] == 1
    check_problem(guarded.get("/video_feed", headers=GOOD), 404, "--camera")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/static/docs.css"]
)
def test_page_health_and_docs_are_open(guarded, path):
    assert guarded.get(path).status_code == 200


def test_the_docs_say_that_a_token_is_asked_for(guarded):
    assert "A token is asked for" in guarded.get("/docs").get_data(as_text=True)


@pytest.mark.parametrize("token", ["", "two words", "umlaut-ü", "line\nend"])
def test_a_token_that_no_header_can_carry_is_a_clear_error(recognizer, token):
    with pytest.raises(StudyError, match="token: expected") as raised:
        create_app(recognizer, token=token)
    assert not token or token not in str(raised.value)


def test_only_the_names_of_the_server_are_answered(recognizer):
    client = create_app(recognizer, trusted_hosts=("localhost", "[::1]")).test_client()
    for good in ("localhost", "LOCALHOST:5000", "[::1]:80"):
        assert client.get("/healthz", headers={"Host": good}).status_code == 200
    for bad in ("evil.example", "evil.example:5000", "localhost.evil.example", ""):
        check_problem(client.get("/healthz", headers={"Host": bad}), 400, "localhost")


# --- bounds ---


class Gate(HaarDetector):
    """A detector that waits until it is let on."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.entered, self.most = threading.Event(), threading.Semaphore(0), 0
        self._inside, self._counting = 0, threading.Lock()

    def detect(self, photo) -> list[Detection]:
        with self._counting:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self.entered.release()
        assert self.open.wait(60)
        with self._counting:
            self._inside -= 1
        return super().detect(photo)


def test_beyond_the_queue_is_a_503_at_once_and_health_answers(model_folder):
    gate = Gate()
    recognizer = Recognizer(model_folder, detector=gate)
    with running(recognizer, at_once=2, waiting=3) as url, ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(send, url, ASTRONAUT) for _ in range(5)]
        try:
            wait_until(lambda: gauges(url) == (2, 3))
            for _ in range(20):  # none of them is let in, and none harms
                with pytest.raises(urllib.error.HTTPError) as raised:
                    send(url, ASTRONAUT, timeout=10)
                assert raised.value.code == 503
                assert int(raised.value.headers["Retry-After"]) >= 1
                assert raised.value.headers["Content-Type"] == "application/problem+json"
                for path in ("/healthz", "/readyz", "/", "/docs"):
                    assert urllib.request.urlopen(url + path, timeout=10).status == 200
        finally:
            gate.open.set()
        assert [len(answer.result(60)["faces"]) for answer in answers] == [1] * 5
        assert gate.most == 2
        wait_until(lambda: gauges(url) == (0, 0))
        assert send(url, NO_FACE)["faces"] == []


def gauges(url):
    text = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    return tuple(
        float(re.search(rf"^fer_study_recognitions_{name} (\S+)$", text, re.MULTILINE)[1])
        for name in ("running", "waiting")
    )


def test_a_place_is_free_again_after_an_error(recognizer):
    client = create_app(recognizer, at_once=1, waiting=0).test_client()
    for _ in range(3):
        check_problem(post(client, b"junk"), 400, "expected")
        check_problem(client.post(PREDICT, data=b"x", content_type="text/plain"), 415, "text/plain")
    assert post(client, NO_FACE).status_code == 200


def test_a_photo_that_cannot_be_read_does_not_stay_in_memory(client):
    workers = client.application.extensions["workers"]

    class Photo:
        pass

    def fail(data):
        raise UnreadableImage("no")

    gc.disable()  # what a cycle holds must not wait for the collector
    try:
        photo = Photo()
        gone = weakref.ref(photo)
        with pytest.raises(UnreadableImage):
            workers.do(fail, photo)
        del photo
        workers.do(len, b"")  # the thread has let go of what it did before
        assert gone() is None
    finally:
        gc.enable()


# --- the server ---


def send(url, photo, timeout=60):
    boundary = "edge-of-part"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}{PREDICT}", body, kind), timeout=timeout
    ) as answer:
        return json.load(answer)


def refused(url):
    host, port = url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_running_serves_and_ends(recognizer):
    with running(recognizer) as url:
        assert url.startswith("http://127.0.0.1:")
        assert len(send(url, ASTRONAUT)["faces"]) == 1
    refused(url)
    assert not [thread for thread in threading.enumerate() if thread.name == "fer-study-serve"]


def test_running_ends_when_its_block_fails(recognizer):
    with pytest.raises(KeyError), running(recognizer) as url:
        raise KeyError
    refused(url)


def test_many_clients_at_once_get_their_own_answers(recognizer):
    photos = [NO_FACE, ASTRONAUT]
    with running(recognizer) as url, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: send(url, photos[n % 2]), range(36)))
    assert [len(answer["faces"]) for answer in answers] == [0, 1] * 18
    assert all(answer == answers[n % 2] for n, answer in enumerate(answers))


@pytest.mark.parametrize(
    "size", [250_000, 3_000_000]
)  # what the application refuses, and what waitress does
def test_a_client_still_sending_too_much_learns_why(recognizer, size):
    with running(recognizer, max_upload_bytes=200_000) as url:
        with pytest.raises(urllib.error.HTTPError) as raised:
            send(url, b"\0" * size)
        assert raised.value.code == 413
        assert raised.value.headers["Content-Type"] == "application/problem+json"
        assert json.load(raised.value)["status"] == 413
        assert send(url, NO_FACE)["faces"] == []


def test_a_malformed_request_is_a_problem_too(recognizer):
    with running(recognizer) as url:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.putrequest("GET", "/")
        connection.putheader("Content-Length", "many")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert json.load(answer)["title"] == "Bad Request"


def test_a_request_in_flight_is_finished(model_folder):
    entered, go_on = threading.Event(), threading.Event()

    class Slow(HaarDetector):
        def detect(self, photo) -> list[Detection]:
            entered.set()
            assert go_on.wait(30)
            return super().detect(photo)

    with ThreadPoolExecutor(1) as pool:
        with running(Recognizer(model_folder, detector=Slow())) as url:
            answer = pool.submit(send, url, ASTRONAUT)
            assert entered.wait(30)
            threading.Timer(0.3, go_on.set).start()
        assert len(answer.result(30)["faces"]) == 1


def test_a_request_half_sent_when_the_server_stops_is_finished(recognizer):
    with ThreadPoolExecutor(1) as pool:
        with running(recognizer) as url:
            host, port = url.removeprefix("http://").split(":")
            client = socket.create_connection((host, int(port)), timeout=30)
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            client.sendall(f"{head}Content-Length: {len(NO_FACE)}\r\n\r\n".encode() + NO_FACE[:50])
            idle = socket.create_connection((host, int(port)), timeout=30)  # holds nothing up
            assert urllib.request.urlopen(f"{url}/healthz", timeout=30).status == 200
            pool.submit(lambda: (time.sleep(0.3), client.sendall(NO_FACE[50:])))
        with client, idle, client.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            assert answer.read().endswith(b'"faces":[]}\n')
            assert idle.recv(1) == b""


@pytest.mark.parametrize("sent", [b"Content-Len", b"Content-Length: 500\r\n\r\nsome of it"])
def test_a_request_that_comes_too_slowly_is_a_408(recognizer, monkeypatch, sent):
    monkeypatch.setattr("fer_utils.serving.server._PATIENCE", 0.0)
    with running(recognizer) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"POST /api/v1/predict HTTP/1.1\r\nContent-Type: image/png\r\n" + sent)
            answer = client.makefile("rb").read()
        assert re.match(rb"HTTP/1.[01] 408 Request Timeout\r\n", answer)
        assert b"application/problem+json" in answer


def test_an_answer_that_is_not_taken_is_given_up(recognizer, monkeypatch):
    monkeypatch.setattr("fer_utils.serving.server._STALLED", 0.5)
    app = create_app(recognizer)
    left = threading.Event()

    def endless():
        try:
            while True:
                yield b"x" * 100_000
        finally:
            left.set()

    app.add_url_rule("/endless", view_func=lambda: app.response_class(endless()))
    with running_app(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert left.wait(30)


def test_uploads_hold_no_more_memory_than_there_is_work_for(recognizer):
    # Three bodies of 100,000 bytes may be there at once: two that are let in, and one more.
    with running(recognizer, at_once=1, waiting=1, max_upload_bytes=35_000) as url:
        host, port = url.removeprefix("http://").split(":")
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
        clients = [socket.create_connection((host, int(port)), timeout=30) for _ in range(4)]
        for client in clients:
            client.sendall(head.encode())
            time.sleep(0.2)  # they are taken in this order
        clients[3].sendall(b"\0" * 100_000)
        answer = clients[3].makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Retry-After: 1\r\n" in answer
        assert urllib.request.urlopen(f"{url}/healthz", timeout=30).status == 200
        clients[0].close()
        wait_until(lambda: try_upload(url) != 503)
        for client in clients:
            client.close()


def try_upload(url):
    try:
        send(url, b"\0" * 90_000)
    except urllib.error.HTTPError as error:
        return error.code


def test_who_asks_before_sending_too_much_is_answered_at_once(recognizer, monkeypatch):
    monkeypatch.setattr(
        "fer_utils.serving.server._PATIENCE", 600.0
    )  # else it is answered when that is over
    with running(recognizer, max_upload_bytes=1000) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            client.sendall(
                f"{head}Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert client.makefile("rb").readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"


def test_what_the_server_refuses_itself_has_the_headers_and_is_counted(recognizer):
    with running(recognizer) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(b"NONSENSE\r\n\r\n")
            answer = client.makefile("rb").read().decode()
        assert "Content-Security-Policy: default-src 'none'" in answer
        assert "Server:" not in answer
        text = urllib.request.urlopen(f"{url}/metrics", timeout=30).read().decode()
        assert 'fer_study_requests_total{route="none",status="400"} 1.0' in text


def test_running_answers_to_this_machine_only(recognizer):
    with running(recognizer) as url:
        request = urllib.request.Request(f"{url}/healthz", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=30)
        assert raised.value.code == 400


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_a_clear_error(recognizer, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=f"{host}:{port}.*--port"):
            serve(recognizer, host=host, port=port)


def test_a_port_that_is_no_port_is_a_clear_error(recognizer):
    with pytest.raises(StudyError, match="99999"):
        serve(recognizer, port=99_999)


def test_serve_without_a_model_leaves_the_port_free(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.recognition.recognizer.RELEASED", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    for _ in range(2):
        with pytest.raises(StudyError, match=re.escape(str(tmp_path))):
            serve(port=port)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_server_cleanly(model_folder, number):
    code = (
        "from fer_utils.recognition.recognizer import Recognizer; from fer_utils.serving import serve; "
        f"serve(Recognizer({str(model_folder)!r}), port=0)"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as server:
        try:
            said = server.stdout.readline()
            assert "tiny network" in said, server.stderr.read()
            url = next(word for word in said.split() if word.startswith("http://127.0.0.1:"))
            assert send(url, NO_FACE)["faces"] == []
            server.send_signal(number)
            assert server.wait(60) == 0
            assert server.stdout.read() == "Stopped.\n"
            assert "Traceback" not in server.stderr.read()
            refused(url)
        finally:
            if server.poll() is None:
                server.kill()
