"""The page in a real browser: every way to give a photo, every state, keyboard, phone and dark."""

import base64
import io
import json
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from skimage import data

from fer_utils.recognition import Recognizer
from fer_utils.serving import running
from fer_utils.serving.app import FRAME_ANCESTORS

pytestmark = pytest.mark.slow

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


PORTRAIT = Image.fromarray(data.astronaut())
ASTRONAUT = {"name": "astronaut.png", "mimeType": "image/png", "buffer": encoded(PORTRAIT)}
NO_FACE = {"name": "teal.png", "mimeType": "image/png", "buffer": encoded(Image.new("RGB", (90, 60), "teal"))}
NOTES = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"not an image"}
TIFF = {"name": "astronaut.tif", "mimeType": "image/tiff", "buffer": encoded(PORTRAIT, "TIFF")}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(7)
    folder = tmp_path_factory.mktemp("model")
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(x))
    keras.Model(inputs, keras.layers.Dense(7)(x)).save(folder / "model.keras")
    (folder / "about.json").write_text(json.dumps({"name": "tiny", "source": "sample", "public_accuracy": 0.5}))
    return folder


@pytest.fixture(scope="module")
def url(model_folder):
    with running(Recognizer(model_folder)) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, url):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("request", lambda request: request.url.startswith((url, "blob:")) or page.complaints.append(request.url))
    page.goto(url)
    yield page
    context.close()


def give(page, photo, state):
    page.set_input_files("#file", photo)
    page.wait_for_selector(f'body[data-state="{state}"]')


def transfer(page, photo):
    """A DataTransfer in the page that holds the photo, as a drop or a paste brings it."""
    return page.evaluate_handle(
        """([text, name, type]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type }));
            return transfer;
        }""",
        [base64.b64encode(photo["buffer"]).decode(), photo["name"], photo["mimeType"]],
    )


def check_astronaut(page):
    page.wait_for_selector('body[data-state="result"]')
    assert page.locator("#headline").inner_text() == "1 face"
    rows = page.locator(".face .bars li")
    assert rows.count() == 7
    names = rows.locator(".name").all_inner_texts()
    assert names == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert all(re.fullmatch(r"(< )?\d+ %", share) for share in rows.locator(".value").all_inner_texts())
    # The box lies where the face is, whatever the size at which the photo is shown.
    box, photo = page.locator(".box").bounding_box(), page.locator("#photo").bounding_box()
    assert (box["x"] - photo["x"]) / photo["width"] == pytest.approx(177 / 512, abs=0.03)
    assert (box["y"] - photo["y"]) / photo["height"] == pytest.approx(66 / 512, abs=0.03)
    assert box["width"] / photo["width"] == pytest.approx(97 / 512, abs=0.03)


def test_a_chosen_photo_is_answered(page):
    assert page.locator("#drop").is_visible()
    assert page.locator(".notice").is_visible()  # the model knows drawn faces only
    give(page, ASTRONAUT, "result")
    check_astronaut(page)
    assert not page.locator("#drop").is_visible()
    assert page.complaints == []


def test_the_bars_are_as_long_as_their_share(page):
    give(page, ASTRONAUT, "result")
    page.wait_for_timeout(800)  # they grow
    for row in page.locator(".face .bars li").all():
        share = row.locator(".value").inner_text()
        if not share.startswith("<"):
            track, fill = (row.locator(part).bounding_box()["width"] for part in (".track", ".fill"))
            assert fill / track == pytest.approx(int(share[:-2]) / 100, abs=0.012)


def test_a_dropped_photo_is_answered(page):
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer(page, ASTRONAUT)})
    check_astronaut(page)
    assert "dragging" not in (page.locator("body").get_attribute("class") or "")


def test_a_pasted_photo_is_answered(page):
    page.evaluate(
        "(data) => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true }))",
        transfer(page, ASTRONAUT),
    )
    check_astronaut(page)


def test_no_face_is_said(page):
    give(page, ASTRONAUT, "result")
    give(page, NO_FACE, "none")
    assert page.locator("#headline").inner_text() == "No face found"
    assert page.locator(".face").count() == page.locator(".box").count() == 0


def test_a_file_that_is_no_image_is_said_with_its_reason_and_the_next_photo_works(page):
    give(page, NOTES, "error")
    assert page.locator("#headline").inner_text() == "This photo cannot be read"
    assert "expected an image" in page.locator("#detail").inner_text()
    assert not page.locator("#again").is_visible()
    give(page, ASTRONAUT, "result")
    check_astronaut(page)


def test_a_photo_that_the_browser_cannot_show_is_answered_all_the_same(page):
    give(page, TIFF, "result")
    check_astronaut(page)


def test_a_photo_over_the_limit_is_not_sent(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    give(page, {**NOTES, "buffer": b"\0" * (10 * 2**20 + 1)}, "error")
    assert page.locator("#headline").inner_text() == "This photo is too large"
    assert "10 MB" in page.locator("#detail").inner_text()
    assert not [address for address in sent if address.endswith("/predict")]


def test_while_the_server_works_the_page_says_so_and_a_newer_photo_wins(page):
    held = []
    page.route("**/predict", lambda route: held.append(route))
    give(page, NO_FACE, "working")
    assert page.locator("#headline").inner_text() == "Looking for faces…"
    page.unroute("**/predict")
    give(page, ASTRONAUT, "result")
    check_astronaut(page)


def test_a_server_away_is_said_and_can_be_tried_again(browser, model_folder):
    page = browser.new_context().new_page()
    with running(Recognizer(model_folder)) as url:
        page.goto(url)
    port = int(url.rsplit(":", 1)[1])
    give(page, ASTRONAUT, "error")
    assert page.locator("#headline").inner_text() == "The server does not answer"
    with running(Recognizer(model_folder), port=port):
        page.locator("#again").click()
        check_astronaut(page)
    page.context.close()


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_reaches_everything(page, key):
    # Playwright asks the browser for file choosers when somebody first listens, and does not wait for its yes.
    page.on("filechooser", lambda chooser: None)
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.id") == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press(key)
    chooser.value.set_files(ASTRONAUT)
    check_astronaut(page)
    page.keyboard.press("Tab")
    label = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert re.fullmatch(r"Face 1: \w+, \d+ %", label)
    assert page.locator(".face.lit").count() == 1


def test_a_screen_reader_hears_the_answer(page):
    status = page.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"
    give(page, ASTRONAUT, "result")
    assert re.search(r"1 face\s+Most probable: \w+ \d+ %", status.inner_text())
    assert page.locator("#picture").get_attribute("alt") == "The chosen photo, astronaut.png"
    assert page.get_by_role("heading", level=1).inner_text().strip() == "Facial expressions"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser, url, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    page = context.new_page()
    page.goto(url)
    for photo, state in ((None, "waiting"), (NO_FACE, "none"), (NOTES, "error"), (ASTRONAUT, "result")):
        if photo:
            give(page, photo, state)
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    check_astronaut(page)
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert (brightness > 128) == (scheme == "light")
    context.close()


class _Frame(BaseHTTPRequestHandler):
    """A page elsewhere on this machine, as a notebook is, that shows the address after its `?` in a frame."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<iframe src="{self.path.partition("?")[2]}"></iframe>'.encode())

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("ancestors, shown", [(FRAME_ANCESTORS, 1), ((), 0)])
def test_a_notebook_on_this_machine_may_frame_the_page(browser, model_folder, ancestors, shown):
    page = browser.new_page()
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), _Frame) as notebook,
        running(Recognizer(model_folder), frame_ancestors=ancestors) as url,
    ):
        threading.Thread(target=notebook.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{notebook.server_port}/?{url}", wait_until="networkidle")
        assert page.frame_locator("iframe").locator("#drop").count() == shown
        notebook.shutdown()
    page.close()
