"""The page with a video file and with the server's own camera."""

import csv
import json
import re
from pathlib import Path

import cv2
import pytest
import requests
from driving import PREDICT, check_live, drop, face, hide, scene_frames

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.video import COLUMNS
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


# --- the curve over time ---

TIME = f"() => document.querySelector('{VIDEO}').currentTime"


def script_answers(page, *answers):
    """Respond to the frames with these lists of faces in turn, the last one for all others."""
    rest = list(answers)

    def respond(route):
        faces = rest.pop(0) if len(rest) > 1 else rest[0]
        image = {"width": 640, "height": 480, "faces": faces}
        route.fulfill(body=json.dumps({"images": [image]}), content_type="application/json")

    page.route(PREDICT, respond)


def play_to_the_end(page, clip):
    play(page, clip)
    page.wait_for_function(f"() => document.querySelector('{VIDEO}')?.ended")
    page.wait_for_selector("#curve:not([hidden])")
    page.wait_for_timeout(700)


def points(page, emotion):
    """Return the points (x, y) of an emotion's line, 0 to 1000 and 0 to 100."""
    drawn = page.locator(f"#plot .lines .{emotion}").get_attribute("d")
    return [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", drawn)]


def test_the_curve_has_a_line_for_each_emotion_at_the_times_of_its_frames(page, clip):
    script_answers(page, [face("happy", 0.9, x=200, side=120)])
    play_to_the_end(page, clip)
    happy, sad = points(page, "happy"), points(page, "sad")
    assert len(happy) > 3
    assert [x for x, _ in happy] == sorted(x for x, _ in happy)
    assert happy[-1][0] > 800  # the last frame is near the end of the video
    # The top of the drawing is 100 %.
    assert all(y == pytest.approx(10, abs=0.2) for _, y in happy)
    assert all(y == pytest.approx(100 - 10 / 6, abs=0.2) for _, y in sad)
    colours = page.locator("#plot .lines path").evaluate_all(
        "(lines) => lines.map((line) => getComputedStyle(line).stroke)"
    )
    assert len(set(colours)) == len(EMOTIONS)
    assert "happy in 100 %" in page.locator("#curve-summary").inner_text()
    assert page.complaints == []


def test_the_curve_moves_the_video_by_keyboard_and_by_click(page, clip):
    play_to_the_end(page, clip)
    plot = page.get_by_role("slider", name="Place in the video")
    plot.focus()
    page.keyboard.press("Home")
    page.wait_for_function(f"() => document.querySelector('{VIDEO}').currentTime === 0")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(TIME) == pytest.approx(0.1, abs=0.02)  # a twentieth of the video
    box = plot.bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 20)
    assert page.evaluate(TIME) == pytest.approx(1.5, abs=0.05)
    page.wait_for_function(
        "() => Math.abs(document.getElementById('plot').ariaValueNow - 1.5) < 0.05"
    )
    assert re.match(r"0:01 of 0:02: \w+", plot.get_attribute("aria-valuetext"))


def test_a_face_keeps_its_number_after_a_seek_backwards(page, clip):
    script_answers(page, [face("happy", 0.9, x=200, side=120)])
    play_to_the_end(page, clip)
    for second in (0.25, 1.05):
        with page.expect_response(PREDICT):
            page.locator(VIDEO).evaluate("(video, s) => { video.currentTime = s; }", second)
        page.wait_for_timeout(500)
    assert not page.locator("#curve-face").is_visible()  # there is one face to choose
    assert {row["track"] for row in saved(page)} == {"1"}


def test_the_curve_shows_the_chosen_one_of_several_faces(page, clip):
    left, right = face("happy", 0.9, x=20, side=120), face("sad", 0.7, x=420, side=120)
    # The right face is missed in the first frame, so the left one is in more frames.
    script_answers(page, [left], [left, right])
    play_to_the_end(page, clip)
    assert points(page, "happy")[-1][1] == pytest.approx(10, abs=0.2)
    page.get_by_label("Face", exact=True).select_option("2")
    assert points(page, "sad")[-1][1] == pytest.approx(30, abs=0.2)
    assert "sad in 100 %" in page.locator("#curve-summary").inner_text()


def test_frames_without_the_face_interrupt_the_curve(page, clip):
    seen = [face("happy", 0.9, x=200, side=120)]
    script_answers(page, seen, seen, [], seen)
    play_to_the_end(page, clip)
    drawn = page.locator("#plot .lines .happy").get_attribute("d")
    assert drawn.count("M") == 2


def test_the_curve_is_also_a_table(page, clip):
    script_answers(page, [face("happy", 0.9, x=200, side=120)])
    play_to_the_end(page, clip)
    page.get_by_text("The curve as a table").click()
    page.wait_for_selector("#curve tbody tr")
    header = page.locator("#curve-table thead th").all_inner_texts()
    assert header == ["from", *EMOTIONS]
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#curve tbody tr").all()]
    assert len(rows) == 12
    happy = {row[EMOTIONS.index("happy")] for row in rows}
    assert "90 %" in happy and happy <= {"90 %", "–"}


def test_a_line_of_the_curve_can_be_hidden(page, clip):
    play_to_the_end(page, clip)
    button = page.locator("#curve-names").get_by_role("button", name="sad")
    button.press("Space")
    assert button.get_attribute("aria-pressed") == "false"
    assert not page.locator("#plot .lines .sad").is_visible()
    button.press("Space")
    assert page.locator("#plot .lines .sad").is_visible()


def saved(page):
    with page.expect_download() as download:
        page.locator("#save-curve").click()
    return list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))


def test_the_results_of_a_video_are_saved_as_csv(page, clip):
    # The frames are sent in 320 x 240 pixels here, and the boxes are saved in the video's.
    small = [face("happy", 0.9, x=100, y=20, side=60)]
    image = {"width": 320, "height": 240, "faces": small}
    body = json.dumps({"images": [image]})
    page.route(PREDICT, lambda route: route.fulfill(body=body, content_type="application/json"))
    play_to_the_end(page, clip)
    rows = saved(page)
    # The same columns as those of `fer-study predict --csv`, which knows the number of a frame.
    assert list(rows[0]) == ["name", *(name for name in COLUMNS if name != "frame")]
    times = [float(row["seconds"]) for row in rows]
    assert times == sorted(set(times)) and times[-1] > 1.5
    for row in rows:
        assert (row["name"], row["track"], row["emotion"]) == ("scene.webm", "1", "happy")
        assert [row[edge] for edge in ("x", "y", "width", "height")] == ["200", "40", "120", "120"]
        assert sum(float(row[emotion]) for emotion in EMOTIONS) == pytest.approx(1, abs=1e-4)


def test_the_threshold_applies_to_a_paused_video_and_its_csv(page, clip):
    script_answers(page, [face("happy", 0.9, x=200, side=120)])
    play_to_the_end(page, clip)
    assert page.locator("#video-shown .box").inner_text() == "happy"
    page.locator("#threshold").fill("95")
    assert page.locator("#video-shown .box").inner_text() == "happy (uncertain)"
    assert {row["uncertain"] for row in saved(page)} == {"true"}


def test_another_video_starts_with_an_empty_curve(page, clip):
    play_to_the_end(page, clip)
    page.locator("#stop-video").click()
    assert not page.locator("#curve").is_visible()
    script_answers(page, [])
    play(page, clip)
    page.wait_for_selector('body[data-state="live"]')
    page.wait_for_timeout(700)
    assert not page.locator("#curve").is_visible()  # no face, no curve


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
