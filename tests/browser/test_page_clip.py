"""The annotated clip that the page makes of a video."""

import re

import cv2
import numpy as np
import pytest
from driving import SCENE_FACE, hide, scene_frames

pytestmark = pytest.mark.slow

VIDEO = "#video-shown video"
SIDE = 100  # pixels of the block in the moving video
SECONDS = 3  # of the moving video
SPEED = 150  # pixels in a second
STEP = 0.2  # seconds between two answers, at most

# The place of the block is the answer to each frame, which takes a while.
ANSWERS = """
const fetched = window.fetch;
window.asked = 0;
window.fetch = async (address, options) => {
  if (!String(address).endsWith("predict")) return fetched(address, options);
  window.asked += 1;
  const picture = await createImageBitmap(options.body.get("image"));
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, height / 2, width, 1);
  const block = [...Array(width).keys()].filter((x) => data[4 * x] > 130);
  const names = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];
  const probabilities = Object.fromEntries(names.map((name) => [name, name === "happy" ? 1 : 0]));
  const box = { x: block[0], y: height / 2 - 50, width: 100, height: 100 };
  const faces = [{ box, score: 3, emotion: "happy", probabilities, uncertain: false }];
  await new Promise((resolve) => setTimeout(resolve, DELAY));
  return Response.json({ images: [{ width, height, faces }] });
};
"""
SLOW, QUICK = (ANSWERS.replace("DELAY", delay) for delay in ("500", "10"))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A video (3 s) of a block that moves to the right."""
    file = tmp_path_factory.mktemp("moving") / "moving.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"VP80"), 20, (640, 480))
    for index in range(20 * SECONDS):
        frame = np.full((480, 640, 3), 60, np.uint8)
        x = 40 + SPEED * index // 20
        frame[190:290, x : x + SIDE] = 200
        writer.write(frame)
    writer.release()
    return file


def play(page, file):
    page.locator("#tab-video").click()
    page.set_input_files("#video-file", str(file))
    page.wait_for_selector('body[data-state="live"] #video-shown .box')


def make(page):
    with page.expect_download(timeout=120_000) as download:
        page.get_by_role("button", name="Save clip").click()
    page.wait_for_selector("#clip", state="hidden")
    return download.value


def frames(download, folder):
    """Return the times in seconds and the frames, uint8 BGR (h, w, 3), of a saved clip."""
    file = folder / download.suggested_filename
    download.save_as(file)
    capture = cv2.VideoCapture(str(file))
    found = []
    while True:
        read, frame = capture.read()
        if not read:
            return found
        found.append((capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, frame))


def orange(pixels):
    """Return where pixels have the colour of the boxes, #ffb040, which compression blurs."""
    blue, green, red = np.moveaxis(pixels.astype(int), -1, 0)
    return (red > 130) & (green < red) & (blue < red - 40)


def step(page, number):
    page.wait_for_function(
        "(text) => document.getElementById('clip-step').textContent.startsWith(text)",
        arg=f"Step {number} of 2",
    )


def test_the_boxes_of_a_clip_do_not_lag_behind_slow_answers(visit, browser, url, moving, tmp_path):
    page = visit(browser, url, SLOW)
    play(page, moving)
    download = make(page)
    assert download.suggested_filename == "moving annotated.webm"
    clip = frames(download, tmp_path)
    assert clip[-1][0] - clip[0][0] == pytest.approx(SECONDS, abs=0.4)
    assert len(clip) > 2 * SECONDS
    for _, frame in clip:
        assert frame.shape == (480, 640, 3)
        row = frame[230:250]
        block = np.flatnonzero((row.min(axis=2) > 150).mean(axis=0) > 0.5)
        sides = np.flatnonzero(orange(row).mean(axis=0) > 0.5)
        assert sides.max() - sides.min() == pytest.approx(SIDE, abs=8)
        lag = (block.min() + block.max()) / 2 - (sides.min() + sides.max()) / 2
        # 500 ms are 75 pixels.
        assert abs(lag) < SPEED * STEP + 10
    assert page.complaints == []


def test_the_clip_of_a_photographed_face_has_its_box(page, url, clip, tmp_path):
    play(page, clip)
    left, right = (round(640 * SCENE_FACE[side]) for side in ("left", "right"))

    def share_of_box(frame):
        """Return the share of orange rows around the sides of the box, next to the forehead."""
        near = [slice(side - 12, side + 12) for side in (left, right)]
        return min(orange(frame[90:130, columns]).any(axis=1).mean() for columns in near)

    assert share_of_box(scene_frames(1)[0]) < 0.5
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    clip = frames(make(page), tmp_path)
    assert {address for address in asked if not address.startswith("blob:")} == {
        f"{url}/api/v1/predict"
    }
    assert len(clip) > 4
    assert min(share_of_box(frame) for _, frame in clip) > 0.9
    assert page.complaints == []


def test_a_second_clip_asks_nothing(visit, browser, url, moving):
    page = visit(browser, url, QUICK)
    play(page, moving)
    page.locator(VIDEO).evaluate("(video) => video.pause()")
    make(page)
    page.wait_for_timeout(1000)  # the page asks for the frame at which the video stood before
    asked = page.evaluate("() => window.asked")
    assert asked >= SECONDS / STEP / 2
    make(page)
    page.wait_for_timeout(500)
    assert page.evaluate("() => window.asked") == asked


def test_a_clip_can_be_made_of_a_clip(visit, browser, url, moving, tmp_path):
    # A recording of the browser does not tell its duration.
    page = visit(browser, url, QUICK)
    play(page, moving)
    download = make(page)
    frames(download, tmp_path)
    play(page, tmp_path / download.suggested_filename)
    download = make(page)
    assert download.suggested_filename == "moving annotated annotated.webm"
    clip = frames(download, tmp_path)
    assert clip[-1][0] - clip[0][0] == pytest.approx(SECONDS, abs=0.4)


def test_the_sound_of_a_video_is_in_its_clip(visit, browser, url, tmp_path):
    page = visit(browser, url, QUICK)
    page.locator("#tab-video").click()
    with page.expect_download() as sounding:
        page.evaluate("""async () => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [640, 480];
            const context = canvas.getContext("2d");
            const stream = canvas.captureStream();
            const audio = new AudioContext();
            await audio.resume();
            const output = audio.createMediaStreamDestination();
            const tone = audio.createOscillator();
            tone.connect(output);
            tone.start();
            stream.addTrack(output.stream.getAudioTracks()[0]);
            const recorder = new MediaRecorder(stream, { mimeType: "video/webm;codecs=vp8,opus" });
            const parts = [];
            recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
            recorder.start();
            for (let index = 0; index < 40; index += 1) {
                context.fillStyle = "#333";
                context.fillRect(0, 0, 640, 480);
                context.fillStyle = "#ccc";
                context.fillRect(100 + index, 190, 100, 100);
                await new Promise((resolve) => setTimeout(resolve, 50));
            }
            const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
            recorder.stop();
            await stopped;
            const link = document.createElement("a");
            link.href = URL.createObjectURL(new Blob(parts, { type: "video/webm" }));
            link.download = "tone.webm";
            link.click();
        }""")
    sounding.value.save_as(tmp_path / "tone.webm")
    play(page, tmp_path / "tone.webm")
    make(page).save_as(tmp_path / "clip.webm")
    measure = """async (bytes) => {
        const audio = new OfflineAudioContext(1, 48000, 48000);
        const sound = await audio.decodeAudioData(new Uint8Array(bytes).buffer);
        const samples = sound.getChannelData(0);
        return [samples.reduce((most, value) => Math.max(most, value), 0), sound.duration];
    }"""
    loudest, seconds = page.evaluate(measure, list((tmp_path / "clip.webm").read_bytes()))
    assert loudest > 0.1
    assert seconds == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize("number", [1, 2])
def test_a_cancelled_clip_is_not_saved(visit, browser, url, moving, number):
    page = visit(browser, url, SLOW if number == 1 else QUICK)
    downloads = []
    page.on("download", lambda download: downloads.append(download))
    play(page, moving)
    video = page.locator(VIDEO)
    video.evaluate("(video) => { video.pause(); video.currentTime = 1; }")
    page.wait_for_timeout(1200)
    buttons = page.locator("#video-shown button")
    before = buttons.all_inner_texts()
    assert "Save clip" in before
    page.get_by_role("button", name="Save clip").click()
    step(page, number)
    assert page.locator("#curve").evaluate("(curve) => curve.inert")
    assert not video.evaluate("(video) => video.controls")
    page.wait_for_timeout(500)
    assert re.search(r", \d+ %$", page.locator("#clip-step").inner_text())
    assert page.evaluate("() => document.activeElement.id") == "cancel-clip"
    page.keyboard.press("Enter")
    page.wait_for_selector("#clip", state="hidden")
    assert page.evaluate("() => document.activeElement.id") == "save-clip"
    page.wait_for_timeout(SECONDS * 1000 + 500)
    assert downloads == []
    assert video.evaluate("(video) => [video.currentTime, video.paused]") == [1, True]
    assert buttons.all_inner_texts() == before
    assert page.locator("#video-shown canvas").count() == 0
    assert video.evaluate("(video) => video.controls")
    assert not page.locator("#curve").evaluate("(curve) => curve.inert")
    assert page.complaints == []


def test_closing_the_video_cancels_its_clip(visit, browser, url, moving):
    page = visit(browser, url, QUICK)
    downloads = []
    page.on("download", lambda download: downloads.append(download))
    play(page, moving)
    page.get_by_role("button", name="Save clip").click()
    step(page, 2)
    page.locator("#stop-video").click()
    page.wait_for_timeout(SECONDS * 1000 + 500)
    assert downloads == []
    play(page, moving)
    assert page.locator("#save-clip").is_visible()
    assert not page.locator("#clip").is_visible()
    assert page.complaints == []


def test_a_hidden_page_interrupts_the_recording(visit, browser, url, moving, tmp_path):
    page = visit(browser, url, QUICK)
    play(page, moving)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save clip").click()
        step(page, 2)
        page.wait_for_timeout(500)
        hide(page)
        page.wait_for_timeout(2500)
        page.evaluate("""() => {
            delete document.visibilityState;
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
    clip = frames(download.value, tmp_path)
    assert clip[-1][0] - clip[0][0] == pytest.approx(SECONDS, abs=0.5)


@pytest.mark.parametrize(
    "script",
    ["delete window.MediaRecorder;", "MediaRecorder.isTypeSupported = () => false;"],
)
def test_a_browser_that_cannot_record_shows_no_button(visit, browser, url, clip, script):
    page = visit(browser, url, script)
    play(page, clip)
    assert page.locator("#stop-video").is_visible()
    assert not page.locator("#save-clip").is_visible()
    assert page.complaints == []


def test_a_recording_that_fails_is_explained(visit, browser, url, moving):
    script = "MediaRecorder.prototype.start = () => { throw new Error('The disk is full.'); };"
    page = visit(browser, url, QUICK + script)
    play(page, moving)
    page.get_by_role("button", name="Save clip").click()
    alert = page.locator("#clip-problem")
    alert.wait_for()
    assert alert.inner_text() == "The clip could not be made. The disk is full."
    assert page.locator("#save-clip").is_visible()
    assert page.complaints == []
