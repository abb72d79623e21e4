"""The page with a video file and with the server's own camera."""

import cv2
import pytest
import requests
from driving import PREDICT, check_live, drop, hide, scene_frames

from fer_utils.serving import running

pytestmark = pytest.mark.slow

VIDEO = "#video-shown video"


def play(page, file):
    page.locator("#tab-video").click()
    page.set_input_files("#video-file", str(file))


def test_a_chosen_video_plays_with_boxes_and_bars(page, clip):
    play(page, clip)
    check_live(page, "#video-shown")
    assert page.locator("#video-name").inner_text() == "scene.webm"
    page.wait_for_function(f"() => document.querySelector('{VIDEO}').ended")
    page.wait_for_timeout(500)
    check_live(page, "#video-shown")  # the boxes of the last frame stay
    assert page.complaints == []


def test_a_dropped_video_plays(page, clip):
    drop(page, {"name": "scene.webm", "mimeType": "video/webm", "buffer": clip.read_bytes()})
    check_live(page, "#video-shown")


def test_frames_are_sent_while_the_video_plays_and_once_after_a_seek(page, clip):
    asked, finished = [], []
    page.on("request", lambda request: asked.append(request.url))
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: finished.append(request.url))
    play(page, clip)
    check_live(page, "#video-shown")
    page.locator(VIDEO).evaluate("(video) => video.pause()")
    page.wait_for_timeout(300)
    # On a busy machine the last response may be slow.
    while len(finished) < len(asked):
        page.wait_for_timeout(300)
    asked.clear()
    page.wait_for_timeout(700)
    assert asked == []
    with page.expect_response(PREDICT):
        page.locator(VIDEO).evaluate("(video) => { video.currentTime = 0.2; }")
    page.wait_for_timeout(700)
    assert len([address for address in asked if address.endswith("/predict")]) == 1


def test_a_seek_is_noticed_without_a_frame_callback(page, clip):
    play(page, clip)
    check_live(page, "#video-shown")
    video = page.locator(VIDEO)
    video.evaluate("(video) => { video.pause(); video.requestVideoFrameCallback = () => 0; }")
    # One callback was registered before the pause, so only the second seek has none.
    for second in (0.2, 0.6):
        page.wait_for_timeout(1000)
        with page.expect_response(PREDICT):
            video.evaluate("(video, second) => { video.currentTime = second; }", second)


def test_snapshots_of_a_video_are_kept(page, clip):
    play(page, clip)
    check_live(page, "#video-shown")
    page.locator("#video-shown .snapshot").click()
    assert page.locator(".entry .title").all_inner_texts() == ["video snapshot 1"]


def test_a_hidden_video_pauses_and_can_be_closed(page, clip):
    play(page, clip)
    check_live(page, "#video-shown")
    hide(page)
    assert page.locator(VIDEO).evaluate("(video) => video.paused")
    page.locator("#stop-video").click()
    assert page.locator("#video-start").is_visible()
    assert not page.locator(VIDEO).evaluate("(video) => video.hasAttribute('src')")
    assert page.locator(".box").count() == 0
    assert page.evaluate("() => document.activeElement.id") == "video-file"


def test_a_file_that_is_no_video_has_an_error(page, tmp_path, clip):
    (tmp_path / "notes.mp4").write_bytes(b"not a video")
    play(page, tmp_path / "notes.mp4")
    page.wait_for_selector('body[data-state="error"]')
    assert page.locator("#headline").inner_text() == "This video cannot be played"
    assert page.locator("#video-start").is_visible()
    play(page, clip)
    check_live(page, "#video-shown")


# --- the server's own camera ---


def viewers(url, token):
    answer = requests.get(
        f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}, timeout=10
    )
    return next(
        float(line.split()[-1])
        for line in answer.text.splitlines()
        if "viewers" in line and line[0] != "#"
    )


def test_without_a_camera_of_the_server_there_is_no_tab_for_it(page):
    assert page.get_by_role("tab").all_inner_texts() == ["Photos", "Webcam", "Video"]


def test_the_servers_camera_is_shown_and_released(visit, browser, recognizer, clip):
    with running(recognizer, video=clip, token="open-sesame") as url:
        page = visit(browser, url, "sessionStorage.setItem('fer-study-token', 'open-sesame');")
        page.locator("#tab-feed").click()
        assert viewers(url, "open-sesame") == 0
        page.locator("#start-feed").click()
        page.wait_for_selector('body[data-state="live"] #feed-shown')
        canvas = page.locator("#feed-shown canvas")
        assert canvas.evaluate("(canvas) => [canvas.width, canvas.height]") == [640, 480]
        # The astronaut's suit is orange. Compression changes its colour slightly.
        red, _, blue, _ = canvas.evaluate(
            "(c) => [...c.getContext('2d').getImageData(420, 420, 1, 1).data]"
        )
        assert red > blue + 80
        assert viewers(url, "open-sesame") == 1
        page.locator("#stop-feed").click()
        assert not page.locator("#feed-shown").is_visible()
        for _ in range(100):
            if not viewers(url, "open-sesame"):
                break
            page.wait_for_timeout(100)
        assert viewers(url, "open-sesame") == 0
        page.locator("#start-feed").click()  # it can be watched again, until its end
        page.wait_for_selector('body[data-state="live"] #feed-shown')
        page.get_by_role("heading", name="The stream has ended").wait_for()
        assert page.locator("#start-feed").is_visible()
        assert page.complaints == []


def test_a_hidden_tab_does_not_watch(visit, browser, recognizer, clip):
    with running(recognizer, video=clip) as url:
        page = visit(browser, url)
        page.locator("#tab-feed").click()
        page.locator("#start-feed").click()
        page.wait_for_selector('body[data-state="live"] #feed-shown')
        hide(page)
        assert not page.locator("#feed-shown").is_visible()
        assert "tab was hidden" in page.locator("#detail").inner_text()


def test_a_stream_whose_parts_have_no_length_is_shown(visit, browser, recognizer, clip):
    jpeg = cv2.imencode(".jpg", scene_frames(1)[0])[1].tobytes()
    part = b"--cut\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n"
    with running(recognizer, video=clip) as url:
        page = visit(browser, url)
        stream = {
            "body": part * 3 + b"--cut--\r\n",
            "content_type": "multipart/x-mixed-replace; boundary=cut",
        }
        page.route("**/video_feed", lambda route: route.fulfill(**stream))
        page.evaluate("""() => {
            window.drawn = 0;
            const draw = CanvasRenderingContext2D.prototype.drawImage;
            CanvasRenderingContext2D.prototype.drawImage = function (...all) {
                window.drawn += 1;
                return draw.apply(this, all);
            };
        }""")
        page.locator("#tab-feed").click()
        page.locator("#start-feed").click()
        page.get_by_role("heading", name="The stream has ended").wait_for()
        assert page.evaluate("() => window.drawn") == 3
