"""The page in a browser: all ways to choose a photo, all states, keyboard, phone and dark mode."""

import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from driving import (
    ASTRONAUT,
    NO_FACE,
    NOTES,
    PORTRAIT,
    PREDICT,
    TIFF,
    answer,
    check_astronaut,
    drop,
    face,
    give,
    refuse,
    transfer,
)
from PIL import Image
from serving_cases import encoded

from fer_utils.emotions import EMOTIONS
from fer_utils.serving import running
from fer_utils.serving.app import FRAME_ANCESTORS

pytestmark = pytest.mark.slow


def test_a_chosen_photo_is_processed(page):
    assert page.locator("#drop").is_visible()
    give(page, ASTRONAUT, "result")
    check_astronaut(page)
    assert not page.locator("#drop").is_visible()
    assert page.complaints == []


@pytest.mark.parametrize("source, shown", [("sample", 1), ("csv", 0)])
def test_a_model_of_drawn_faces_has_a_notice(visit, browser, write_model, tmp_path, source, shown):
    from fer_utils.recognition.recognizer import Recognizer

    with running(Recognizer(write_model(tmp_path, source=source))) as url:
        page = visit(browser, url)
        assert page.get_by_text("Trained on drawn faces.").count() == shown
        assert page.get_by_text("PublicTest", exact=False).count() == 1 - shown


def test_the_length_of_a_bar_is_its_probability(page):
    give(page, ASTRONAUT, "result")
    page.wait_for_timeout(800)  # the bars grow
    for row in page.locator(".face .bars li").all():
        share = row.locator(".value").inner_text()
        if not share.startswith("<"):
            track, fill = (
                row.locator(part).bounding_box()["width"] for part in (".track", ".fill")
            )
            assert fill / track == pytest.approx(int(share[:-2]) / 100, abs=0.012)


def test_a_dropped_photo_is_processed(page):
    drop(page, ASTRONAUT)
    check_astronaut(page)
    assert "dragging" not in (page.locator("body").get_attribute("class") or "")


def test_a_pasted_photo_is_processed(page):
    paste = """(data) => {
        const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.body.dispatchEvent(event);
    }"""
    page.evaluate(paste, transfer(page, ASTRONAUT))
    check_astronaut(page)


@pytest.mark.parametrize("example", ["astronaut.jpg", "drawn-happy.png", "drawn-surprise.png"])
def test_an_example_is_processed(page, example):
    page.locator(f'[data-example$="{example}"]').press("Enter")
    page.wait_for_selector('body[data-state="result"]')
    assert page.locator("#headline").inner_text() == "1 face"
    assert page.locator("#filename").inner_text() == example
    assert page.evaluate("() => document.activeElement.id") == "file"
    assert page.complaints == []


def test_an_example_from_a_server_that_is_away_can_be_tried_again(page):
    page.route("**/examples/astronaut.jpg", lambda route: route.abort())
    page.locator('[data-example$="astronaut.jpg"]').click()
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "The server does not respond"
    page.unroute("**/examples/astronaut.jpg")
    page.locator("#again").click()
    check_astronaut(page)


def test_a_photo_without_faces_is_reported(page):
    give(page, ASTRONAUT, "result")
    give(page, NO_FACE, "none")
    assert page.locator("#headline").inner_text() == "No face found"
    assert page.locator(".face").count() == page.locator(".box").count() == 0


def test_several_faces_are_numbered_and_linked_with_their_boxes(page):
    answer(page, face("happy", x=10), face("sad", x=50))
    give(page, NO_FACE, "result")
    assert page.locator("#headline").inner_text() == "2 faces"
    assert page.locator(".face .number").all_inner_texts() == ["Face 1", "Face 2"]
    assert page.locator(".box").all_inner_texts() == ["1 happy", "2 sad"]
    page.locator(".face").nth(1).hover()
    assert [
        box.evaluate("(box) => box.classList.contains('lit')") for box in page.locator(".box").all()
    ] == [
        False,
        True,
    ]


def test_an_uncertain_face_is_marked_in_words(page):
    answer(page, face("happy"), face("sad", 0.3, uncertain=True))
    give(page, NO_FACE, "result")
    assert page.locator(".face .uncertain").evaluate_all(
        "(all) => all.map((one) => one.checkVisibility())"
    ) == [
        False,
        True,
    ]
    assert page.locator(".face .uncertain").nth(1).inner_text() == "uncertain"
    assert page.locator(".box").all_inner_texts() == ["1 happy", "2 sad (uncertain)"]
    assert page.locator(".box").nth(1).get_attribute("aria-label") == "Face 2: sad, 30 %, uncertain"
    assert (
        page.locator("#detail").inner_text() == "Most probable: happy 90 %, sad 30 % (uncertain)."
    )
    assert page.locator(".entry .found").inner_text() == "2 faces: happy, sad (uncertain)"


def test_a_file_that_is_no_image_has_an_error_and_the_next_photo_works(page):
    give(page, NOTES, "error")
    assert page.locator("#headline").inner_text() == "This photo cannot be read"
    assert "expected an image" in page.locator("#detail").inner_text()
    assert not page.locator("#again").is_visible()
    give(page, ASTRONAUT, "result")
    check_astronaut(page)


def test_a_photo_that_the_browser_cannot_show_is_processed(page):
    give(page, TIFF, "result")
    check_astronaut(page)


def test_a_file_over_the_limit_that_is_no_photo_is_not_sent(page):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    give(page, {**NOTES, "buffer": b"\0" * (10 * 2**20 + 1)}, "error")
    assert page.locator("#headline").inner_text() == "This photo is too large"
    assert "10 MB" in page.locator("#detail").inner_text()
    assert not page.locator("#again").is_visible()
    assert not [address for address in sent if address.endswith("/predict")]


@pytest.mark.parametrize("limit", ["max_upload_bytes", "max_memory"])
def test_a_photo_over_a_limit_is_sent_smaller(visit, browser, recognizer, limit):
    large = PORTRAIT.resize((6000, 6000), Image.Resampling.NEAREST)
    # The PNG needs 252 MB of memory, and the smaller JPEG that the page makes of it 63.
    kind = {"max_upload_bytes": "jpeg", "max_memory": "png"}[limit]
    content = encoded(large, kind)
    photo = {"name": f"large.{kind}", "mimeType": f"image/{kind}", "buffer": content}
    most = {"max_upload_bytes": len(content) - 1, "max_memory": 100_000_000}
    with running(recognizer, **{limit: most[limit]}) as url:
        page = visit(browser, url)
        give(page, photo, "result")
        check_astronaut(page)
        assert "3000 × 3000" in page.locator("#detail").inner_text()
        with page.expect_download() as download:
            page.locator("#save-json").click()
    [result] = json.loads(Path(download.value.path()).read_text())["results"]
    # The saved numbers are in pixels of the photo, not of what was sent.
    assert (result["width"], result["height"]) == (6000, 6000)
    assert result["faces"][0]["box"]["x"] / 6000 == pytest.approx(177 / 512, abs=0.03)
    assert result["faces"][0]["box"]["width"] / 6000 == pytest.approx(97 / 512, abs=0.03)


def test_the_old_headline_goes_before_the_new_photo_is_decoded(page):
    give(page, ASTRONAUT, "result")
    give(page, NOTES, "error")
    page.evaluate("""() => {
        // A photo that takes its time.
        HTMLImageElement.prototype.decode = () => new Promise((done) => { window.decoded = done; });
        Object.defineProperty(HTMLImageElement.prototype, "complete", { get: () => false });
    }""")
    page.locator(".entry").nth(1).click()
    assert page.locator("#headline").inner_text() == "Opening the photo…"
    page.evaluate("() => window.decoded()")
    check_astronaut(page)


def test_an_annotated_photo_can_be_kept(page):
    give(page, ASTRONAUT, "result")
    with page.expect_download() as download:
        page.locator("#keep").click()
    assert download.value.suggested_filename == "astronaut-annotated.jpg"
    drawn = np.asarray(Image.open(download.value.path()), int)
    changed = np.abs(drawn - np.asarray(PORTRAIT, int)).max(axis=2) > 60
    assert drawn.shape == (512, 512, 3)
    rows, columns = np.where(changed)
    assert columns.min() / 512 == pytest.approx(177 / 512, abs=0.03)
    assert rows.max() / 512 == pytest.approx((66 + 97) / 512, abs=0.04)
    give(page, NO_FACE, "none")
    assert not page.locator("#keep").is_visible()


# --- many faces ---


def crowd(page, count, side=40, width=900, height=600, step=140):
    """Give a photo with this number of faces in rows, for which the server's answer is made up."""
    names = list(EMOTIONS)
    faces = []
    for index in range(count):
        row, column = divmod(index, 6)
        one = face(names[index % 7], 0.9, index % 5 == 4, x=10 + column * step, side=side)
        one["box"]["y"] = row * step
        faces.append(one)
    answer(page, *faces, width=width, height=height)
    photo = Image.new("RGB", (width, height), "teal")
    give(page, {**NO_FACE, "buffer": encoded(photo)}, "result")
    page.wait_for_timeout(300)
    return faces


def areas(page, what):
    return [area.bounding_box() for area in page.locator(what).all()]


def overlap(one, other):
    def side(start, length):
        end = min(one[start] + one[length], other[start] + other[length])
        return max(0, end - max(one[start], other[start]))

    return side("x", "width") * side("y", "height")


@pytest.mark.parametrize("count, compact", [(3, False), (4, True), (18, True)])
def test_many_faces_have_a_compact_list(page, count, compact):
    crowd(page, count)
    cards = areas(page, ".face")
    assert len(cards) == count
    # Two cards are side by side only in the compact list.
    assert (cards[0]["y"] == cards[1]["y"]) == compact
    bars = page.locator(".face").first.locator(".bars li")
    assert [row.is_visible() for row in bars.all()].count(True) == (1 if compact else 7)
    assert (page.locator(".more").first.is_visible()) == compact


def test_all_bars_of_a_compact_card_are_shown_on_request(page):
    crowd(page, 6)
    card = page.locator(".face").nth(2)
    more = page.get_by_role("button", name="All expressions of face 3")
    more.press("Enter")
    assert more.get_attribute("aria-expanded") == "true"
    assert all(row.is_visible() for row in card.locator(".bars li").all())
    more.press("Enter")
    assert more.get_attribute("aria-expanded") == "false"
    assert not card.locator(".bars li").first.is_visible()
    page.locator(".box").nth(2).press("Enter")  # the box opens its card
    assert more.get_attribute("aria-expanded") == "true"


def test_the_photo_stays_in_view_beside_many_faces(page):
    crowd(page, 18)
    for more in page.locator(".more").all():
        more.click()
    page.locator(".face").last.scroll_into_view_if_needed()
    assert page.evaluate("() => scrollY") > 1000
    photo = page.locator("#photo").bounding_box()
    assert photo["y"] >= 0 and photo["y"] + photo["height"] <= 800


def test_many_faces_are_summed_up(page):
    crowd(page, 8)
    text = page.locator("#detail").inner_text()
    assert text.startswith("Most probable: 2 angry, 1 disgust, ")
    assert "1 is uncertain" in text


@pytest.mark.parametrize("width", [1280, 390])
def test_labels_cover_neither_faces_nor_each_other(visit, browser, url, width):
    page = visit(browser, url, viewport={"width": width, "height": 800})
    crowd(page, 18)
    labels, boxes = areas(page, ".box .label"), areas(page, ".box")
    photo = page.locator("#photo").bounding_box()
    assert len(labels) == 18
    for index, one in enumerate(labels):
        # No label leaves the photo, where it would be cut off.
        assert overlap(one, photo) == pytest.approx(one["width"] * one["height"], rel=0.01)
        assert not any(overlap(one, other) > 1 for other in labels[index + 1 :])
        assert not any(overlap(one, box) > 1 for box in boxes)


def test_labels_find_new_places_when_the_window_changes(page):
    crowd(page, 18)
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(300)
    labels = areas(page, ".box .label")
    assert not any(
        overlap(one, other) > 1 for index, one in enumerate(labels) for other in labels[index + 1 :]
    )


def test_a_label_without_room_is_short_until_its_face_is_chosen(page):
    crowd(page, 18, side=130)  # only small gaps are left
    label = page.locator(".box .label").nth(7)
    assert label.inner_text() == "8"
    page.locator(".box").nth(7).focus()
    assert label.inner_text() == "8 angry"


# --- the threshold of uncertain faces ---


def doubts(page):
    return page.locator(".face .uncertain").evaluate_all(
        "(all) => all.map((one) => one.checkVisibility())"
    )


def move_threshold(page, percent):
    page.locator("#threshold").fill(str(percent))


def test_the_visitor_moves_the_threshold(page):
    assert not page.locator("#threshold").is_visible()  # there is no face yet
    answer(page, face("happy", 0.9), face("sad", 0.6, x=5, uncertain=False))
    give(page, NO_FACE, "result")
    assert page.locator("#threshold").input_value() == "50"  # the model's own
    assert not page.locator("#threshold-reset").is_visible()
    move_threshold(page, 61)
    assert page.locator("#threshold-value").inner_text() == "61 %"
    assert doubts(page) == [False, True]
    assert page.locator(".box").all_inner_texts() == ["1 happy", "2 sad (uncertain)"]
    assert "sad 60 % (uncertain)" in page.locator("#detail").inner_text()
    assert page.locator(".entry .found").inner_text() == "2 faces: happy, sad (uncertain)"
    page.locator("#threshold").press("ArrowLeft")
    assert doubts(page) == [False, False]  # 60 % is not below 60 %
    move_threshold(page, 95)
    assert doubts(page) == [True, True]
    page.locator("#threshold-reset").click()
    assert doubts(page) == [False, False]
    assert page.evaluate("() => document.activeElement.id") == "threshold"


@pytest.mark.parametrize("width", [320, 390, 870, 1000, 1280])
def test_the_result_fits_into_any_window(visit, browser, url, width):
    page = visit(browser, url, viewport={"width": width, "height": 800})
    crowd(page, 5)
    move_threshold(page, 95)
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    column = page.locator(".answer").bounding_box()
    for part in (*areas(page, ".face"), *areas(page, ".threshold > *")):
        assert column["x"] <= part["x"]
        assert part["x"] + part["width"] <= column["x"] + column["width"] + 0.5


def test_saved_results_have_the_visitors_threshold(page):
    answer(page, face("happy", 0.9))
    give(page, NO_FACE, "result")
    for percent, uncertain in ((95, True), (20, False)):
        move_threshold(page, percent)
        with page.expect_download() as download:
            page.locator("#save-json").click()
        document = json.loads(Path(download.value.path()).read_text())
        assert document["threshold"] == percent / 100
        assert document["results"][0]["faces"][0]["uncertain"] == uncertain


# --- the model card ---


def test_the_model_card_is_one_click_away(page, url):
    page.get_by_role("link", name="tiny network").click()
    assert page.url == f"{url}/model"
    assert "tiny network" in page.get_by_role("heading", level=1).inner_text()
    assert page.get_by_text("37.5 % on").is_visible()
    page.get_by_role("link", name="Try it on the page").click()
    assert page.locator("#drop").is_visible()
    assert page.complaints == []


# --- the request as code ---


def code(page, language):
    if not page.locator("#code").is_visible():
        page.get_by_text("The same from a program").click()
    page.get_by_label(language, exact=True).check()
    return page.locator("#code").inner_text()


@pytest.mark.parametrize("name", ["portrait.png", 'mine, "1"; it\'s.png', "ä b.png"])
@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_the_request_as_code_runs(page, tmp_path, language, name):
    programs = {
        "curl": ["bash", "-c"],
        "Python": [sys.executable, "-c"],
        "JavaScript": ["node", "--input-type=module", "--eval"],
    }
    program = {"curl": "curl", "JavaScript": "node"}.get(language)
    if program and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    give(page, {**ASTRONAUT, "name": name}, "result")
    (tmp_path / name).write_bytes(ASTRONAUT["buffer"])
    run = [*programs[language], code(page, language)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    emotion = page.locator(".face .emotion").inner_text().lower()
    assert emotion in done.stdout.lower()


def test_the_code_is_copied(visit, browser, url):
    page = visit(browser, url, permissions=["clipboard-read", "clipboard-write"])
    assert not page.locator("#call").is_visible()  # there is no photo
    give(page, ASTRONAUT, "result")
    shown = code(page, "Python")
    page.locator("#copy").click()
    page.get_by_text("Copied ✓").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == shown


def test_while_the_server_works_there_is_a_message_and_a_newer_photo_is_shown_first(page):
    held = []
    page.route(PREDICT, lambda route: held.append(route))
    give(page, NO_FACE, "working")
    assert page.locator("#headline").inner_text() == "Looking for faces…"
    page.unroute(PREDICT)
    give(page, ASTRONAUT, "result")
    check_astronaut(page)


@pytest.mark.parametrize(
    "status, body, headline",
    [
        (
            500,
            '{"title": "Internal Server Error", "detail": "Its log says why."}',
            "The server failed",
        ),
        (200, "<h1>hotel Wi-Fi</h1>", "The server's response is invalid"),
        (200, "{}", "The server's response is invalid"),
    ],
)
def test_an_invalid_response_is_reported_and_can_be_tried_again(page, status, body, headline):
    page.route(PREDICT, lambda route: route.fulfill(status=status, body=body))
    give(page, ASTRONAUT, "error")
    assert page.locator("#headline").inner_text() == headline
    page.unroute(PREDICT)
    page.locator("#again").click()
    check_astronaut(page)


def test_a_server_that_is_away_is_reported_and_can_be_tried_again(visit, browser, recognizer):
    with running(recognizer) as url:
        page = visit(browser, url)
    port = int(url.rsplit(":", 1)[1])
    give(page, [ASTRONAUT, NO_FACE, NO_FACE], "error")
    assert page.locator("#headline").inner_text() == "The server does not respond"
    page.wait_for_function("() => document.querySelectorAll('li[data-state=failed]').length === 3")
    with running(recognizer, port=port):
        page.locator("#again").click()
        check_astronaut(page)
        page.wait_for_function(
            "() => document.querySelectorAll('li[data-state=done]').length === 3"
        )


def test_a_busy_server_is_asked_again_after_retry_after(page):
    asked = []

    def busy_twice(route):
        asked.append(route)
        if len(asked) > 2:
            route.continue_()
        else:
            refuse(route, 503, "Service Unavailable", **{"Retry-After": "1"})

    page.route(PREDICT, busy_twice)
    give(page, ASTRONAUT, "busy")
    assert page.locator("#headline").inner_text() == "The server is busy"
    assert "in 1 s" in page.locator("#detail").inner_text()
    check_astronaut(page)
    assert len(asked) == 3


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_stays_busy_is_asked_for_minutes(page, status):
    asked = []
    page.clock.install()
    page.route(
        PREDICT,
        lambda route: (
            asked.append(route),
            refuse(route, status, "Busy", **{"Retry-After": "20"}),
        ),
    )
    give(page, ASTRONAUT, "busy")
    for _ in range(12):  # each wait has 20 to 30 seconds
        page.clock.run_for(31_000)
        page.clock.resume()
        if page.locator("body").get_attribute("data-state") == "error":
            break
    assert page.locator("#headline").inner_text() == "The server is busy"
    assert 7 <= len(asked) <= 10
    page.unroute(PREDICT)
    page.locator("#again").click()
    page.wait_for_selector('body[data-state="result"]')


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_the_keyboard_reaches_all_controls(page, key):
    # The first listener makes Playwright intercept file choosers, without waiting for the browser's
    # confirmation. The reload takes longer than that.
    page.on("filechooser", lambda chooser: None)
    page.reload()
    focused = "() => document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    for link in ("model", "model#detector"):
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.getAttribute('href')") == link
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "tab-photos"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press(key)
    chooser.value.set_files(ASTRONAUT)
    check_astronaut(page)
    page.keyboard.press("Tab")
    assert re.fullmatch(r"Face 1: \w+, \d+ %(, uncertain)?", page.evaluate(focused))
    assert page.locator(".face.lit").count() == 1
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("() => document.activeElement.id || document.activeElement.className")
        )
    assert reached == ["keep", "threshold", "call-title", "save-json", "save-csv"]


def test_arrow_keys_change_the_source(page):
    page.locator("#tab-photos").focus()
    for key, mode in [
        ("ArrowRight", "webcam"),
        ("ArrowRight", "video"),
        ("ArrowRight", "photos"),
        ("End", "video"),
    ]:
        page.keyboard.press(key)
        assert page.evaluate("() => document.activeElement.id") == f"tab-{mode}"
        assert (
            page.locator('[role="tab"][aria-selected="true"]').get_attribute("id") == f"tab-{mode}"
        )
        assert [panel.get_attribute("id") for panel in page.get_by_role("tabpanel").all()] == [mode]


def test_a_screen_reader_reads_the_result(page):
    status = page.get_by_role("status")
    assert status.get_attribute("aria-live") == "polite"
    give(page, ASTRONAUT, "result")
    assert re.search(r"1 face\s+Most probable: \w+ \d+ %", status.inner_text())
    assert page.locator("#picture").get_attribute("alt") == "The chosen photo, astronaut.png"
    assert page.get_by_role("heading", level=1).inner_text().strip() == "Facial expressions"
    nameless = page.evaluate("""() => {
        const all = [...document.querySelectorAll("button, input, select, [role=tabpanel]")];
        const named = (one) => one.textContent.trim() || one.labels?.length || one.ariaLabel;
        return all.filter((one) => !named(one)).length;
    }""")
    assert nameless == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, browser, url, scheme):
    page = visit(
        browser, url, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True
    )
    long_name = {**ASTRONAUT, "name": "a-name-without-any-place-to-break-it-" * 5 + ".png"}
    for photo, state in (
        (None, "waiting"),
        (NO_FACE, "none"),
        (NOTES, "error"),
        (long_name, "result"),
    ):
        if photo:
            give(page, photo, state)
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    check_astronaut(page)
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert (brightness > 128) == (scheme == "light")


@pytest.mark.parametrize("motion, moves", [("reduce", False), ("no-preference", True)])
def test_nothing_moves_with_reduced_motion(visit, browser, url, motion, moves):
    page = visit(browser, url, reduced_motion=motion)
    give(page, ASTRONAUT, "result")
    durations = page.locator(".face .fill").first.evaluate(
        "(fill) => getComputedStyle(fill).transitionDuration"
    )
    assert (durations != "0s") == moves


class _Frame(BaseHTTPRequestHandler):
    """A page of another server on this machine, like a notebook.

    It shows the address after the `?` of its own address in a frame.
    """

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<iframe src="{self.path.partition("?")[2]}"></iframe>'.encode())

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("ancestors, shown", [(FRAME_ANCESTORS, 1), ((), 0)])
def test_a_notebook_on_this_machine_may_frame_the_page(browser, recognizer, ancestors, shown):
    page = browser.new_page()
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), _Frame) as notebook,
        running(recognizer, frame_ancestors=ancestors) as url,
    ):
        threading.Thread(target=notebook.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{notebook.server_port}/?{url}", wait_until="networkidle")
        assert page.frame_locator("iframe").locator("#drop").count() == shown
        notebook.shutdown()
    page.close()
