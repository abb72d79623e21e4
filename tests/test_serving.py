"""Serving: every route and every error, headers, and the server's start and stop."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition import Detection, HaarDetector, Recognizer
from fer_utils.serving import create_app, running, serve


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


ASTRONAUT = encoded(Image.fromarray(data.astronaut()), "JPEG")
NO_FACE = encoded(Image.new("RGB", (60, 40), "teal"))


def save_model(folder, source):
    import keras

    keras.utils.set_random_seed(7)
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    keras.Model(inputs, keras.layers.Dense(7)(x)).save(folder / "model.keras")
    about = {"name": "tiny network", "source": source, "public_accuracy": 0.375}
    (folder / "about.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("real"), "csv")


@pytest.fixture(scope="session")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture
def client(recognizer):
    return create_app(recognizer, max_upload_bytes=200_000).test_client()


def post(client, data, name="photo.jpg"):
    return client.post("/predict", data={"image": (io.BytesIO(data), name)})


def check_problem(answer, status, detail):
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    problem = json.loads(answer.data)
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["status"] == status
    assert problem["title"]
    assert detail in problem["detail"]


# --- /predict ---


def test_predict_answers_the_faces(client):
    answer = post(client, ASTRONAUT)
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    body = json.loads(answer.data)
    assert (body["width"], body["height"]) == (512, 512)
    [face] = body["faces"]
    assert list(face) == ["box", "score", "emotion", "probabilities"]
    assert 165 < face["box"]["x"] < 190
    assert list(face["probabilities"]) == list(EMOTIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert face["emotion"] == max(face["probabilities"], key=face["probabilities"].get)


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
        (Image.new("P", (30, 30)), {"format": "GIF", "save_all": True, "append_images": [Image.new("P", (30, 30), 1)]}),
        (Image.new("1", (30, 30)), {"format": "TIFF"}),
    ],
)
def test_unusual_images_are_read(client, image, options):
    answer = post(client, encoded(image, **options))
    assert answer.status_code == 200
    assert answer.json["faces"] == []


@pytest.mark.parametrize("junk", [b"not an image", b"\xff\xd8\xff\xe0junk", ASTRONAUT[:2000], b"<svg/>"])
def test_what_is_no_image_is_a_400_with_a_reason(client, junk):
    check_problem(post(client, junk), 400, "expected")


def test_an_empty_file_is_a_400(client):
    check_problem(post(client, b""), 400, "empty")


def test_a_missing_field_is_a_400(client):
    check_problem(client.post("/predict"), 400, "`image`")
    check_problem(client.post("/predict", data={"other": (io.BytesIO(ASTRONAUT), "a.jpg")}), 400, "found 0")
    check_problem(client.post("/predict", data={"image": "just text"}), 400, "found 0")
    check_problem(client.post("/predict", data=ASTRONAUT, content_type="image/jpeg"), 400, "found 0")


def test_two_photos_are_a_400(client):
    files = [(io.BytesIO(NO_FACE), "a.png"), (io.BytesIO(NO_FACE), "b.png")]
    check_problem(client.post("/predict", data={"image": files}), 400, "found 2")


def test_an_upload_over_the_limit_is_a_413(client):
    check_problem(post(client, b"\0" * 300_000), 413, "larger")


def test_a_decompression_bomb_is_a_413(client):
    check_problem(post(client, encoded(Image.new("1", (9000, 9000)))), 413, "50 million pixels")


def test_an_unexpected_error_is_a_500_that_tells_nothing(recognizer, model_folder):
    class Broken:
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


def test_the_page_says_when_the_model_knows_drawn_faces_only(tmp_path):
    page = create_app(Recognizer(save_model(tmp_path, "sample"))).test_client().get("/").get_data(as_text=True)
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
    script = client.get("/static/page.js").get_data(as_text=True)
    assert f"const EMOTIONS = {json.dumps(list(EMOTIONS))};" in script


def test_healthz(client):
    assert client.get("/healthz").json == {"status": "ok"}


def test_unknown_paths_and_methods_are_problems(client):
    check_problem(client.get("/nothing"), 404, "not found")
    answer = client.get("/predict")
    check_problem(answer, 405, "not allowed")
    assert "POST" in answer.headers["Allow"]
    check_problem(client.get("/static/../app.py"), 404, "not found")


@pytest.mark.parametrize("path", ["/", "/healthz", "/predict", "/nothing", "/static/page.js"])
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == "'self' http://localhost:* http://127.0.0.1:*"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_answers_about_faces_are_not_cached(client):
    assert post(client, NO_FACE).headers["Cache-Control"] == "no-store"


def test_who_may_frame_the_page_can_be_said(recognizer):
    for given, said in (((), "'none'"), (("https://lab.example",), "https://lab.example")):
        headers = create_app(recognizer, frame_ancestors=given).test_client().get("/").headers
        assert headers["Content-Security-Policy"].endswith(f"frame-ancestors {said}")


def test_flask_settings_are_passed_on(recognizer):
    app = create_app(recognizer, TESTING=True)
    assert app.config["TESTING"]
    assert not app.debug


def test_the_model_is_loaded_when_the_app_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_STUDY_ROOT", str(tmp_path))
    with pytest.raises(StudyError, match="make study"):
        create_app()


# --- the server ---


def send(url, photo):
    boundary = "edge-of-part"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/predict", body, kind), timeout=60) as answer:
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


@pytest.mark.parametrize("size", [250_000, 3_000_000])  # what the application refuses, and what waitress does
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


@pytest.mark.parametrize("host", ["127.0.0.1", "no.such.host.invalid"])
def test_an_address_that_cannot_be_had_is_a_clear_error(model_folder, host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudyError, match=f"{host}:{port}.*--port"):
            serve(model_folder, host=host, port=port)


def test_a_port_that_is_no_port_is_a_clear_error(model_folder):
    with pytest.raises(StudyError, match="99999"):
        serve(model_folder, port=99_999)


def test_serve_without_a_model_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match="make study"):
        serve(tmp_path, port=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_ends_the_server_cleanly(model_folder, number):
    code = f"from fer_utils.serving import serve; serve({str(model_folder)!r}, port=0)"
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
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
