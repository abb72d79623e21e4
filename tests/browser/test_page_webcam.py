"""The page with a camera that plays a file: its frames are processed, and it is released."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from driving import PREDICT, check_live, face, hide

from fer_utils.serving import running

pytestmark = pytest.mark.slow

# Stores the streams that the page opens, for the tests.
KEEP_STREAMS = """
    window.streams = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wish) => {
        if (window.delayed) await window.delayed;
        const stream = await open(wish);
        window.streams.push(stream);
        return stream;
    };
"""
TRACKS = (
    "() => window.streams.flatMap((stream) => stream.getTracks()).map((track) => track.readyState)"
)
PICTURE = "#webcam-shown video"


@pytest.fixture
def page(visit, camera_browser, url):
    return visit(camera_browser, url, KEEP_STREAMS)


def start(page):
    page.locator("#tab-webcam").click()
    page.locator("#start-webcam").click()
    page.wait_for_selector('body[data-state="live"]')


def check_freed(page, tracks=1):
    assert page.evaluate(TRACKS) == ["ended"] * tracks
    assert page.locator(PICTURE).evaluate("(video) => video.srcObject") is None
    assert not page.locator("#webcam-shown").is_visible()
    assert page.locator("#start-webcam").is_visible()
    assert page.locator(".box").count() == page.locator(".face:not(.ghost)").count() == 0


def test_boxes_and_bars_are_drawn_over_the_live_picture(page):
    start(page)
    check_live(page, "#webcam-shown", mirrored=True)
    assert page.evaluate(TRACKS) == ["live"]
    page.wait_for_selector("#webcam-shown .rate")
    assert re.fullmatch(r"\d+(\.\d)? frames/s", page.locator("#webcam-shown .rate").inner_text())
    first = page.locator("#webcam-shown .box").element_handle()
    page.wait_for_timeout(1000)
    assert first.evaluate("(box) => box.isConnected")  # the box is reused for each frame
    assert page.complaints == []


def test_the_next_frame_is_sent_only_after_the_response(visit, camera_browser, recognizer):
    class Slow:
        card, drawn, detector = recognizer.card, False, recognizer.detector
        lock, now, most, count = threading.Lock(), 0, 0, 0

        def answer(self, image):
            with self.lock:
                self.now, self.count = self.now + 1, self.count + 1
                self.most = max(self.most, self.now)
            time.sleep(0.2)
            with self.lock:
                self.now -= 1
            return {"width": 640, "height": 480, "detector": "haar", "faces": []}

    slow = Slow()
    with running(slow, at_once=4) as url:
        page = visit(camera_browser, url)
        start(page)
        assert page.locator("#headline").inner_text() == "No face in view"
        page.wait_for_timeout(2000)
        page.locator("#stop-webcam").click()
    assert slow.most == 1
    assert slow.count >= 3


def test_the_stop_button_releases_the_camera_and_ends_the_requests(page):
    start(page)
    assert page.evaluate("() => document.activeElement.id") == "stop-webcam"
    page.keyboard.press("Enter")
    check_freed(page)
    assert page.evaluate("() => document.activeElement.id") == "start-webcam"
    assert page.locator("#headline").inner_text() == "Camera stopped"
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.wait_for_timeout(700)
    assert sent == []
    page.keyboard.press("Enter")  # starts the camera again
    check_live(page, "#webcam-shown", mirrored=True)
    assert page.evaluate(TRACKS) == ["ended", "live"]


@pytest.mark.parametrize(
    "leave",
    [
        hide,
        lambda page: page.evaluate("() => dispatchEvent(new PageTransitionEvent('pagehide'))"),
        lambda page: page.locator("#tab-photos").click(),
    ],
    ids=["tab hidden", "page left", "other source"],
)
def test_leaving_releases_the_camera(page, leave):
    start(page)
    leave(page)
    assert page.evaluate(TRACKS) == ["ended"]
    page.locator("#tab-webcam").click()
    check_freed(page)


def test_a_camera_that_opens_after_the_stop_is_released_at_once(page):
    page.evaluate(
        "() => { window.delayed = new Promise((resolve) => { window.allow = resolve; }); }"
    )
    page.locator("#tab-webcam").click()
    page.locator("#start-webcam").click()
    page.wait_for_selector('body[data-state="loading"]')
    page.locator("#tab-photos").click()
    page.evaluate("() => window.allow()")
    page.wait_for_function("() => window.streams.length === 1")
    page.wait_for_timeout(100)
    page.locator("#tab-webcam").click()
    check_freed(page)


def test_an_unplugged_camera_is_reported(page):
    start(page)
    page.evaluate("""() => {
        const [track] = window.streams[0].getTracks();
        track.dispatchEvent(new Event("ended"));
    }""")
    check_freed(page)
    assert "unplugged" in page.locator("#detail").inner_text()


def test_snapshots_are_kept_in_the_history(page):
    start(page)
    page.wait_for_selector(".snapshot:enabled")
    page.locator("#webcam-shown .snapshot").click()
    page.locator("#webcam-shown .snapshot").click()
    assert page.locator(".entry .title").all_inner_texts() == [
        "webcam snapshot 2",
        "webcam snapshot 1",
    ]
    page.wait_for_function(
        "() => document.querySelectorAll('.entry canvas.thumbnail').length === 2"
    )
    with page.expect_download() as download:
        page.locator("#save-json").click()
    kept = json.loads(Path(download.value.path()).read_bytes())["results"]
    assert [entry["kind"] for entry in kept] == ["webcam", "webcam"]
    assert kept[0]["width"] == 640
    assert len(kept[0]["faces"]) == 1
    page.locator(".entry").nth(1).click()  # shows it like a photo, and releases the camera
    page.wait_for_selector('body[data-state="result"] #photo .box')
    assert page.evaluate(TRACKS) == ["ended"]


def test_a_screen_reader_is_not_told_of_every_frame(page):
    page.evaluate("""() => {
        window.told = [];
        for (const element of document.querySelectorAll("[aria-live]")) {
            new MutationObserver(() => {
                if (element.getAttribute("aria-live") === "off") return;
                window.told.push(element.textContent);
            }).observe(element, { childList: true, characterData: true, subtree: true });
        }
    }""")
    numbers = iter(range(10**6))

    def other_faces(route):
        faces = [face(x=x) for x in range(1 + next(numbers) % 3)]
        body = json.dumps({"images": [{"width": 90, "height": 60, "faces": faces}]})
        route.fulfill(body=body, content_type="application/json")

    page.route(PREDICT, other_faces)
    start(page)
    page.wait_for_timeout(300)
    page.evaluate("() => { window.told = []; }")
    begun = next(numbers)
    page.wait_for_timeout(3000)
    page.locator("#stop-webcam").click()
    assert next(numbers) - begun > 6  # that many frames had other faces
    told = [text for text in page.evaluate("() => window.told") if "stopped" not in text]
    assert len(told) <= 2


def test_a_server_that_is_away_is_reported_and_its_return_is_noticed(page):
    start(page)
    page.route(PREDICT, lambda route: route.abort())
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "The server does not respond"
    assert page.locator(".box").count() == 0
    assert page.locator("#stop-webcam").is_visible()
    page.unroute(PREDICT)
    check_live(page, "#webcam-shown", mirrored=True)


def test_another_camera_can_be_chosen(visit, launch, url):
    cameras = launch(
        "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=2"
    )
    page = visit(cameras, url, KEEP_STREAMS)
    start(page)
    first, second = page.get_by_label("Camera", exact=True).locator("option").all_inner_texts()
    assert first != second
    page.get_by_label("Camera", exact=True).focus()
    page.get_by_label("Camera", exact=True).select_option(second)
    page.wait_for_function("() => window.streams.length === 2")
    page.wait_for_selector('body[data-state="live"]')
    assert page.evaluate(TRACKS) == ["ended", "live"]
    assert page.evaluate("() => window.streams[1].getTracks()[0].label") == second
    assert page.locator("#webcam-shown").is_visible()
    assert page.get_by_label("Camera", exact=True).evaluate(
        "(select) => select === document.activeElement"
    )
    page.locator("#stop-webcam").click()
    check_freed(page, tracks=2)


def test_a_refused_camera_is_reported_and_can_be_tried_again(visit, launch, url):
    page = visit(launch("--use-fake-device-for-media-stream", "--deny-permission-prompts"), url)
    page.locator("#tab-webcam").click()
    page.locator("#start-webcam").click()
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "The camera is not allowed"
    assert page.locator("#start-webcam").is_visible()
    page.context.grant_permissions(["camera"])
    page.locator("#again").click()
    page.wait_for_selector('body[data-state="live"]')


def test_a_machine_without_a_camera_is_reported(visit, browser, url):
    page = visit(browser, url, permissions=["camera"])
    page.locator("#tab-webcam").click()
    page.locator("#start-webcam").click()
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "No camera found"


def test_a_page_without_camera_access_explains_the_reason(visit, browser, url):
    # Browsers hide the cameras from pages of other machines without https.
    missing = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
    page = visit(browser, url, missing)
    page.locator("#tab-webcam").click()
    page.locator("#start-webcam").click()
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "No camera for this page"
    assert "https" in page.locator("#detail").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_webcam_fits_a_phone(visit, camera_browser, url, scheme):
    page = visit(
        camera_browser,
        url,
        viewport={"width": 390, "height": 844},
        color_scheme=scheme,
        has_touch=True,
    )
    start(page)
    check_live(page, "#webcam-shown", mirrored=True)
    page.locator("#webcam-shown .snapshot").click()
    page.wait_for_selector(".entry")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
