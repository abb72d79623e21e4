"""The page that answers on the visitor's device: the server's answers, and no picture is sent."""

import base64
import functools
import http.server
import re
import threading

import numpy as np
import pytest
from driving import ASTRONAUT, NOTES, PORTRAIT, check_astronaut, check_live, drop, give
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from serving_cases import encoded

from fer_utils.data.sample import draw_sample
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet import YuNetDetector
from fer_utils.serving import running
from fer_utils.serving.on_device import INSTALLED
from fer_utils.serving.static_page import export_page

pytestmark = pytest.mark.slow

ANSWER = """async (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const device = await import("./static/device.js");
    return device.predict(new Blob([bytes]));
}"""


@pytest.fixture(scope="session")
def runtime(project):
    """The folder of onnxruntime-web. Skips if it is not installed."""
    folder = project / INSTALLED
    if not folder.is_dir():
        pytest.skip(f"no onnxruntime-web at {folder}: run `make on-device`, which needs npm")
    return folder


@pytest.fixture(scope="session")
def recognizer(yunet_file):
    """The released model with YuNet."""
    return Recognizer(detector=YuNetDetector(yunet_file))


@pytest.fixture(scope="session")
def url(recognizer, runtime):
    with running(recognizer, onnxruntime_web=runtime) as address:
        yield address


@pytest.fixture(scope="session")
def folder_url(recognizer, runtime, tmp_path_factory):
    """The address of the page's folder on a static host, below a path."""
    top = tmp_path_factory.mktemp("host")
    export_page(recognizer, top / "faces", runtime)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=top)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}/faces/"
        host.shutdown()


@pytest.fixture
def page(visit, browser, url):
    """The page of a server, with its requests as `page.sent`."""
    return watched(visit, browser, url)


def watched(visit, browser, url, script=None):
    page = visit(browser, url, script)
    page.sent = []
    page.context.on("request", lambda request: page.sent.append(request))
    return page


def choose_device(page):
    page.get_by_label("on this device").check()
    page.get_by_text("Pictures stay on this device.").wait_for()


def check_nothing_was_sent(page):
    assert page.sent
    assert {(request.method, request.post_data) for request in page.sent} == {("GET", None)}


# --- the same answers ---


def large(image, width, height):
    return image.resize((width, height), Image.Resampling.BICUBIC)


def turned():
    """The portrait as a phone stores it: lying on its side, with an EXIF note."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(PORTRAIT.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)


def with_gamma():
    """The portrait in a PNG that asks for other colours, which the server ignores."""
    about = PngInfo()
    about.add(b"gAMA", (100_000).to_bytes(4, "big"))
    return encoded(PORTRAIT, pnginfo=about)


def partly_transparent():
    rgba = PORTRAIT.convert("RGBA")
    rgba.putalpha(
        Image.fromarray(np.tile(np.repeat([0, 255], [100, 412]).astype(np.uint8), (512, 1)))
    )
    return encoded(rgba)


def row_of_faces():
    """Twelve drawn faces, of which some are too small for the first search."""
    drawn = draw_sample(60, seed=11).images[:12]
    board = Image.new("L", (1500, 900), 200)
    for number, face in enumerate(drawn):
        side = (260, 90, 48)[number % 3]
        where = (60 + 350 * (number % 4), 40 + 290 * (number // 4))
        board.paste(large(Image.fromarray(face), side, side), where)
    return encoded(board)


PHOTOS = {
    "portrait": lambda: encoded(PORTRAIT),
    "jpeg": lambda: encoded(large(PORTRAIT, 1300, 1400), "JPEG", quality=92),
    "half": lambda: encoded(large(PORTRAIT, 1280, 1280)),
    "webp": lambda: encoded(PORTRAIT, "WEBP", lossless=True),
    "grey": lambda: encoded(PORTRAIT.convert("L"), "JPEG"),
    "palette": lambda: encoded(PORTRAIT.quantize(64)),
    "tiny": lambda: encoded(PORTRAIT.crop((160, 40, 290, 190)).resize((48, 55))),
    "at the edge": lambda: encoded(PORTRAIT.crop((195, 80, 400, 400))),
    "large": lambda: encoded(large(PORTRAIT, 3300, 3200)),
    "turned": turned,
    "gamma": with_gamma,
    "transparent": partly_transparent,
    "drawn": row_of_faces,
}


def check_same(found, expected):
    """Check that two answers have the same faces, and probabilities within 1e-3."""
    assert found.keys() == expected.keys()
    for key in ("width", "height", "detector"):
        assert found[key] == expected[key]
    assert [face["box"] for face in found["faces"]] == [face["box"] for face in expected["faces"]]
    for mine, yours in zip(found["faces"], expected["faces"], strict=True):
        assert mine.keys() == yours.keys()
        assert mine["probabilities"] == pytest.approx(yours["probabilities"], abs=1e-3)
        assert list(mine["probabilities"]) == list(yours["probabilities"])
        assert mine["score"] == pytest.approx(yours["score"], abs=1e-3)
        assert (mine["emotion"], mine["uncertain"]) == (yours["emotion"], yours["uncertain"])


def answer_of(page, photo):
    return page.evaluate(ANSWER, base64.b64encode(photo).decode())


def test_the_answers_are_those_of_the_server(page, recognizer):
    choose_device(page)
    faces = {}
    for name, make in PHOTOS.items():
        photo = make()
        expected = recognizer.answer(photo)
        check_same(answer_of(page, photo), expected)
        faces[name] = len(expected["faces"])
    assert faces.pop("drawn") > 3
    assert set(faces.values()) == {1}, faces
    check_nothing_was_sent(page)


def test_the_answers_for_photos_of_people_are_those_of_the_server(page, recognizer, real_data):
    choose_device(page)
    compared = 0
    for file in sorted((real_data / "media" / "photos").glob("*.jpg")):
        with Image.open(file) as image:
            whole = max(image.size) < 2000  # the server decodes a larger JPEG scaled down
        if whole:
            check_same(answer_of(page, file.read_bytes()), recognizer.answer(file))
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("example", ["astronaut.jpg", "drawn-happy.png", "drawn-surprise.png"])
def test_an_example_has_the_same_answer_in_both_places(page, recognizer, project, example):
    shown = []
    for place in ("on the server", "on this device"):
        page.get_by_label(place).check()
        page.set_input_files("#file", project / "fer_utils/serving/static/examples" / example)
        page.wait_for_selector('body[data-state="result"]')
        shown.append(page.locator("#faces").inner_text())
        page.locator("#clear").click()
    assert shown[0] == shown[1]


# --- the page ---


def test_nothing_is_fetched_before_the_choice(page):
    page.wait_for_load_state("networkidle")
    for tab in ("#tab-webcam", "#tab-video", "#tab-photos"):
        page.locator(tab).click()
    give(page, ASTRONAUT, "result")
    assert not [each.url for each in page.sent if re.search("on[-_]device", each.url)]
    choose_device(page)
    assert [each.url for each in page.sent if each.url.endswith(".wasm")]


def test_a_photo_stays_on_this_device(page):
    choose_device(page)
    give(page, ASTRONAUT, "result")
    check_astronaut(page)
    assert page.locator("#call").is_hidden()
    page.locator("#clear").click()
    drop(page, ASTRONAUT)
    check_astronaut(page)
    assert not page.get_by_text("up to 10").is_visible()
    check_nothing_was_sent(page)
    assert page.complaints == []


def test_a_photo_over_the_servers_limit_is_processed(visit, browser, recognizer, runtime):
    with running(recognizer, onnxruntime_web=runtime, max_upload_bytes=1000) as url:
        page = watched(visit, browser, url)
        choose_device(page)
        give(page, ASTRONAUT, "result")
        check_nothing_was_sent(page)


def test_waiting_photos_stay_when_the_place_changes(page):
    choose_device(page)
    page.set_input_files("#file", [ASTRONAUT] * 6)
    page.get_by_label("on the server").check()
    page.locator(".entry .found").nth(5).wait_for()
    page.wait_for_function("() => document.querySelectorAll('.entry .found').length === 6")
    page.get_by_text("1 face").nth(6).wait_for()
    check_nothing_was_sent(page)
    give(page, ASTRONAUT, "result")
    assert [each.method for each in page.sent].count("POST") == 1


def test_a_webcam_stays_on_this_device(visit, camera_browser, url):
    page = watched(visit, camera_browser, url)
    choose_device(page)
    page.locator("#tab-webcam").click()
    assert page.get_by_text("No frame leaves this device.").first.is_visible()
    page.locator("#start-webcam").click()
    check_live(page, "#webcam-shown", mirrored=True)
    page.wait_for_selector("#webcam-shown .rate")
    assert re.fullmatch(r"\d+(\.\d)? frames/s", page.locator("#webcam-shown .rate").inner_text())
    page.locator("#webcam-shown .snapshot").click()
    page.locator("#stop-webcam").click()
    # The snapshot is a picture that this device can answer for again.
    page.locator(".entry .title").get_by_text("webcam snapshot 1").click()
    page.wait_for_function("() => document.querySelector('#picture').naturalWidth === 640")
    check_nothing_was_sent(page)
    assert page.complaints == []


def test_a_video_stays_on_this_device(page, clip):
    choose_device(page)
    page.locator("#tab-video").click()
    page.set_input_files("#video-file", clip)
    check_live(page, "#video-shown")
    check_nothing_was_sent(page)


def test_a_file_that_is_no_picture_is_refused(page):
    choose_device(page)
    give(page, NOTES, "error")
    assert page.locator("#headline").inner_text() == "This photo cannot be read"
    assert page.locator("#again").is_hidden()
    give(page, ASTRONAUT, "result")


@pytest.mark.parametrize(
    "missing, headline",
    [
        ("**/on-device/yunet.onnx", "A file of this page is missing"),
        ("**/on-device/onnxruntime-web/ort.wasm.min.mjs", "This device cannot answer now"),
        ("**/on-device/onnxruntime-web/*.wasm", "This device cannot answer now"),
    ],
)
def test_a_missing_file_is_named_and_tried_again(page, missing, headline):
    page.route(missing, lambda route: route.fulfill(status=404))
    page.get_by_label("on this device").check()
    page.get_by_text(f"{headline}.").wait_for()
    give(page, ASTRONAUT, "error")
    assert page.locator("#headline").inner_text() == headline
    page.unroute(missing)
    page.locator("#again").click()
    check_astronaut(page)
    check_nothing_was_sent(page)


def test_a_browser_without_webassembly_is_told(visit, browser, url):
    page = watched(visit, browser, url, "delete globalThis.WebAssembly")
    page.get_by_label("on this device").check()
    give(page, ASTRONAUT, "error")
    assert "cannot recognise faces by itself" in page.locator("#headline").inner_text()
    page.get_by_label("on the server").check()
    give(page, ASTRONAUT, "result")


def test_the_models_need_the_token(visit, browser, recognizer, runtime):
    with running(recognizer, onnxruntime_web=runtime, token="abc") as url:
        page = watched(visit, browser, url)
        page.locator("#token button[type=button]").click()
        page.get_by_label("on this device").check()
        page.locator("#token-field").fill("abc")
        page.locator("#token button[type=submit]").click()
        page.get_by_text("Pictures stay on this device.").wait_for()
        give(page, ASTRONAUT, "result")
        check_nothing_was_sent(page)


def test_without_onnxruntime_web_the_page_has_one_place(visit, browser, model_folder):
    with running(Recognizer(model_folder)) as url:
        page = visit(browser, url)
        give(page, ASTRONAUT, "result")
        assert page.locator(".places").count() == 0


# --- the page as a folder ---


def test_the_folder_gives_the_servers_answers(visit, browser, folder_url, recognizer):
    page = watched(visit, browser, folder_url)
    assert page.get_by_text("Pictures stay on this device.").is_visible()
    assert page.locator("#tab-feed").count() == page.get_by_text("API").count() == 0
    page.wait_for_load_state("networkidle")
    assert not [each.url for each in page.sent if "/on-device/" in each.url]
    page.locator('[data-example$="astronaut.jpg"]').click()
    check_astronaut(page)
    for name in ("portrait", "drawn", "turned"):
        photo = PHOTOS[name]()
        check_same(answer_of(page, photo), recognizer.answer(photo))
    check_nothing_was_sent(page)
    assert page.complaints == []
    page.get_by_role("link", name="model card").click()
    assert page.get_by_role("heading", name="Model card").is_visible()
    page.get_by_role("link", name="Try it on the page").click()
    page.wait_for_selector('body[data-state="waiting"]')
