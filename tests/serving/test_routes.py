"""The routes: photos, the page, health checks and metrics, with every error."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from serving_cases import (
    ASTRONAUT,
    NO_FACE,
    PREDICT,
    check_problem,
    encoded,
    metrics,
    only_image,
    post,
    send,
)

from fer_utils.emotions import EMOTIONS
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.serving import create_app, running
from fer_utils.serving.services import services_of

# --- /api/v1/predict ---


def test_predict_returns_the_faces(client):
    response = post(client, ASTRONAUT)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    [body] = json.loads(response.data)["images"]
    assert (body["width"], body["height"]) == (512, 512)
    [face] = body["faces"]
    assert list(face) == ["box", "score", "emotion", "probabilities", "uncertain"]
    assert 165 < face["box"]["x"] < 190
    assert list(face["probabilities"]) == list(EMOTIONS)
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert face["emotion"] == max(face["probabilities"], key=face["probabilities"].get)
    assert face["uncertain"] is (max(face["probabilities"].values()) < 0.5)


def test_several_photos_keep_their_order(client):
    response = post(client, NO_FACE, ASTRONAUT, NO_FACE)
    assert response.status_code == 200
    assert list(response.json) == ["images"]
    assert [len(photo["faces"]) for photo in response.json["images"]] == [0, 1, 0]
    assert response.json["images"][1] == only_image(post(client, ASTRONAUT))
    assert response.json["images"][0] == {
        "width": 60,
        "height": 40,
        "detector": "haar",
        "faces": [],
    }


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/png", "IMAGE/JPEG; q=1", "application/octet-stream"]
)
def test_a_photo_may_be_the_body_itself(client, kind):
    # The bytes determine the format, not the content type.
    response = client.post(PREDICT, data=ASTRONAUT, content_type=kind)
    assert response.status_code == 200
    assert response.json == post(client, ASTRONAUT).json


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "video/mp4", None],
)
def test_a_body_of_another_content_type_is_a_415(client, kind):
    check_problem(
        client.post(PREDICT, data=ASTRONAUT, content_type=kind), 415, kind or "no content type"
    )


def test_more_photos_than_the_limit_are_a_400(recognizer):
    client = create_app(recognizer, max_photos=3).test_client()
    assert len(post(client, *[NO_FACE] * 3).json["images"]) == 3
    check_problem(post(client, *[NO_FACE] * 4), 400, "at most 3")


def test_one_bad_photo_among_several_is_one_error(client):
    good = only_image(post(client, NO_FACE))
    bomb = encoded(Image.new("1", (16000, 16000)))
    response = post(client, NO_FACE, b"junk", bomb, b"", NO_FACE)
    assert response.status_code == 200
    first, junk, large, empty, last = response.json["images"]
    assert first == last == good
    for image, status, reason in ((junk, 400, "expected an image"), (empty, 400, "empty")):
        assert image["error"]["status"] == status
        assert reason in image["error"]["detail"]
    assert (large["error"]["status"], large["error"]["title"]) == (413, "Request Entity Too Large")


def test_if_no_photo_can_be_read_the_response_is_the_error_of_the_first(client):
    check_problem(post(client, b"junk", b""), 400, "expected an image")
    check_problem(post(client, encoded(Image.new("1", (16000, 16000))), b"junk"), 413, "pixels")


# --- JSON ---


def in_base64(photo, head="data:image/jpeg;base64,"):
    return head + base64.b64encode(photo).decode()


@pytest.mark.parametrize("head", ["data:image/jpeg;base64,", "data:;base64,", ""])
def test_a_photo_may_be_in_json(client, head):
    response = client.post(PREDICT, json={"image": in_base64(ASTRONAUT, head)})
    assert only_image(response) == only_image(post(client, ASTRONAUT))


def test_several_photos_may_be_in_json(client):
    texts = [in_base64(NO_FACE), in_base64(b"junk"), in_base64(ASTRONAUT)]
    response = client.post(PREDICT, json={"image": texts})
    assert response.json == post(client, NO_FACE, b"junk", ASTRONAUT).json


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"{", "JSON object"),
        (b"", "JSON object"),
        (b"[" * 100_000, "JSON object"),
        (b'{"photo": "data:"}', "`image`"),
        (b'["image"]', "`image`"),
        (b"null", "`image`"),
        (b"\xff\xfe\xfa", "`image`"),
        (b'{"image": 3}', "text"),
        (b'{"image": [null]}', "text"),
        (b'{"image": []}', "found none"),
        (b'{"image": "no base64!"}', "base64"),
        ('{"image": "ä"}'.encode(), "base64"),
        (b'{"image": "data:image/png,abc"}', "base64,"),
        (b'{"image": "https://lab.example/photo,1.jpg"}', "base64,"),
        (b'{"image": ""}', "empty"),
        (b'{"image": "anVuaw=="}', "expected an image"),
    ],
)
def test_json_with_something_else_is_a_400(client, body, reason):
    response = client.post(PREDICT, data=body, content_type="application/json")
    check_problem(response, 400, reason)


def test_the_number_of_photos_in_json_has_the_same_limit(recognizer):
    client = create_app(recognizer, max_photos=2).test_client()
    response = client.post(PREDICT, json={"image": [in_base64(NO_FACE)] * 3})
    check_problem(response, 400, "at most 2")


# --- what is read ---


def test_no_face_is_an_empty_list(client):
    response = post(client, NO_FACE)
    assert response.status_code == 200
    assert response.json == {
        "images": [{"width": 60, "height": 40, "detector": "haar", "faces": []}]
    }


def test_the_size_is_that_of_the_upright_photo(client):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)
    assert only_image(post(client, photo)) == {
        "width": 40,
        "height": 60,
        "detector": "haar",
        "faces": [],
    }


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
    response = post(client, encoded(image, **options))
    assert only_image(response)["faces"] == []


@pytest.mark.parametrize(
    "junk", [b"not an image", b"\xff\xd8\xff\xe0junk", ASTRONAUT[:2000], b"<svg/>"]
)
def test_a_file_that_is_no_image_is_a_400_with_a_reason(client, junk):
    check_problem(post(client, junk), 400, "expected")


def test_an_empty_file_is_a_400(client):
    check_problem(post(client, b""), 400, "empty")
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
    assert only_image(named)["faces"] == []


def test_an_upload_over_the_limit_is_a_413(client):
    check_problem(post(client, b"\0" * 300_000), 413, "200,000 bytes")
    check_problem(post(client, *[b"x"] * 1010), 413, "fields")
    check_problem(
        client.post(PREDICT, data=b"\0" * 300_000, content_type="image/png"), 413, "larger"
    )


def test_a_decompression_bomb_is_a_413(client):
    check_problem(post(client, encoded(Image.new("1", (16000, 16000)))), 413, "225 million pixels")


def test_an_unexpected_error_is_a_500_without_its_cause(model_folder):
    class Broken(HaarDetector):
        def detect(self, photo):
            raise RuntimeError("secret")

    app = create_app(Recognizer(model_folder, detector=Broken()))
    response = post(app.test_client(), NO_FACE)
    check_problem(response, 500, "log")
    assert b"secret" not in response.data


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


# --- the page and all responses ---


def test_the_page_names_the_model_and_its_limits(client):
    page = client.get("/").get_data(as_text=True)
    assert "tiny network" in page
    assert "37.5 %" in page
    assert "An expression is not an emotion" in page
    assert 'data-max-bytes="200000"' in page
    assert "drawn faces" not in page


def test_the_page_has_a_notice_if_the_model_was_trained_on_drawn_faces(write_model, tmp_path):
    app = create_app(Recognizer(write_model(tmp_path, source="sample")))
    page = app.test_client().get("/").get_data(as_text=True)
    assert "Trained on drawn faces" in page
    assert "drawn validation faces" in page


def test_the_page_needs_only_its_own_files(client):
    page = client.get("/").get_data(as_text=True)
    for name in ("page.css", "page.js", "icon.svg", "faces.svg"):
        assert f"static/{name}" in page
        text = client.get(f"/static/{name}").get_data(as_text=True)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page
    assert "<script>" not in page  # the policy forbids inline scripts and styles
    assert "<style" not in page
    assert "style=" not in page


def test_the_model_card_has_the_numbers_of_the_released_model():
    card = Recognizer(detector=HaarDetector()).card
    page = create_app(Recognizer(detector=HaarDetector())).test_client().get("/model").text
    for score in card["scores"].values():
        for share in (score["top1_accuracy"], score["top1_low"], *score["recall"].values()):
            assert f"{100 * share:.1f} %" in page
    assert f"{card['parameters']:,}" in page
    assert f"{100 * card['threshold']:.1f} %" in page
    assert "Haar cascade" in page


@pytest.mark.parametrize("source", ["csv", "sample"])
def test_the_model_card_of_any_model(write_model, tmp_path, source):
    model = write_model(tmp_path, source=source, public_accuracy=0.5)
    client = create_app(Recognizer(model), token="abc").test_client()
    response = client.get("/model")
    assert response.status_code == 200  # without a token, as the page
    assert "tiny network" in response.text
    assert "50.0 % on" in response.text
    assert ("Trained on drawn faces" in response.text) == (source == "sample")


def test_the_page_lists_the_emotions_in_their_order(client):
    script = client.get("/static/view.js").get_data(as_text=True)
    assert f"const EMOTIONS = {json.dumps(list(EMOTIONS))};" in script


def test_healthz(client):
    assert client.get("/healthz").json == {"status": "ok"}


def test_unknown_paths_and_methods_are_problems(client):
    check_problem(client.get("/nothing"), 404, "not found")
    response = client.get(PREDICT)
    check_problem(response, 405, "not allowed")
    assert "POST" in response.headers["Allow"]
    check_problem(client.get("/static/../app.py"), 404, "not found")


def test_results_are_not_cached(client):
    assert post(client, NO_FACE).headers["Cache-Control"] == "no-store"


def test_the_model_is_loaded_when_the_app_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_utils.recognition.recognizer.RELEASED", tmp_path)
    with pytest.raises(StudyError, match=re.escape(str(tmp_path))):
        create_app()


# --- readiness and metrics ---


def test_the_page_names_the_detector(client):
    assert "Haar cascade" in client.get("/").text


def test_readyz_is_a_503_while_the_server_stops(recognizer):
    app = create_app(recognizer)
    assert app.test_client().get("/readyz").json == {
        "status": "ready",
        "detector": "haar",
    }
    services_of(app).stopping.set()
    check_problem(app.test_client().get("/readyz"), 503, "stopping")
    assert app.test_client().get("/healthz").status_code == 200


def test_metrics_count_the_responses(client):
    post(client, ASTRONAUT, NO_FACE)
    post(client, b"junk")
    client.get("/nothing")
    client.get("/made/up")
    found = metrics(client)
    assert found["fer_study_requests_total /api/v1/predict 200"] == 1
    assert found["fer_study_requests_total /api/v1/predict 400"] == 1
    assert found["fer_study_requests_total none 404"] == 2  # clients cannot create labels
    assert not [name for name in found if "made" in name]
    assert found["fer_study_photos_total"] == 2
    assert found["fer_study_faces_total"] == 1
    assert found["fer_study_request_seconds_count /api/v1/predict"] == 2
    assert found["fer_study_request_seconds_sum /api/v1/predict"] > 0
    assert found["fer_study_requests_in_flight"] == 1  # the request for the metrics
    assert found["fer_study_viewers"] == 0
    assert found["fer_study_recognitions_running"] == found["fer_study_recognitions_waiting"] == 0


def test_metrics_contain_nothing_about_a_face(client):
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
    # Pillow logs each chunk of a file at the level DEBUG.
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("PIL")]
    for message in ours:
        assert not any(word in message for word in (*EMOTIONS, "face", "box")), message
