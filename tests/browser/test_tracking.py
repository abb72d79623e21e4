"""The page's tracking is the library's: the same numbers, boxes and labels for the same frames."""

import json

import numpy as np
import pytest

from fer_utils.emotions import EMOTIONS
from fer_utils.recognition.found import Box, RecognizedFace
from fer_utils.recognition.tracking import Tracker

pytestmark = pytest.mark.slow

TRACK = """async ([frames, threshold]) => {
    const { Tracker } = await import("./static/tracking.js");
    const tracker = new Tracker(threshold);
    return frames.map(({ seconds, faces }) => tracker.update(faces, seconds));
}"""


def frames_of(seed):
    """Return faces that move, cross, vanish and change, and one jump back in time."""
    generator = np.random.default_rng(seed)
    frames, seconds = [], 0.0
    places = generator.uniform(100, 500, (4, 2))
    speeds = generator.uniform(-120, 120, (4, 2))
    for number in range(80):
        passed = generator.uniform(0.03, 0.3)
        seconds = 0.0 if number == 60 else round(seconds + passed, 4)
        places = places + passed * speeds
        faces = []
        for place in places:
            if generator.random() < 0.2:
                continue
            side = int(generator.normal(80, 6))
            x, y = (int(each) for each in place + generator.normal(0, 4, 2))
            raw = generator.dirichlet(np.full(len(EMOTIONS), 0.7))
            probabilities = np.round(raw, 6).astype(np.float32)
            faces.append(
                RecognizedFace(
                    Box(x, y, side, side + 7),
                    1.0,
                    EMOTIONS[int(probabilities.argmax())],
                    probabilities,
                    False,
                )
            )
        frames.append((seconds, faces))
    return frames


@pytest.mark.parametrize("seed", range(5))
def test_the_page_tracks_as_the_library_does(page, seed):
    frames = frames_of(seed)
    tracker = Tracker(threshold=0.5)
    expected = [[face.as_dict() for face in tracker.update(faces, at)] for at, faces in frames]
    sent = [{"seconds": at, "faces": [face.as_dict() for face in faces]} for at, faces in frames]
    found = page.evaluate(TRACK, [json.loads(json.dumps(sent)), 0.5])
    assert len({face["track"] for frame in expected for face in frame}) > 4
    for ours, theirs in zip(expected, found, strict=True):
        assert [face["track"] for face in ours] == [face["track"] for face in theirs]
        assert [face["emotion"] for face in ours] == [face["emotion"] for face in theirs]
        assert [face["uncertain"] for face in ours] == [face["uncertain"] for face in theirs]
        for one, other in zip(ours, theirs, strict=True):
            for side, length in one["box"].items():
                assert other["box"][side] == pytest.approx(length, abs=1)
            assert other["probabilities"] == pytest.approx(one["probabilities"], abs=1e-4)


def test_a_moving_picture_is_tracked(page, clip):
    """Single frames say sad now and then; the page does not."""
    page.tracked = 0

    def answer(route):
        page.tracked += 1
        emotion = "sad" if page.tracked % 4 == 0 else "happy"
        rest = 0.4 / (len(EMOTIONS) - 1)
        probabilities = {name: 0.6 if name == emotion else rest for name in EMOTIONS}
        face = {
            "box": {"x": 200, "y": 100, "width": 120, "height": 120},
            "score": 1.0,
            "emotion": emotion,
            "probabilities": probabilities,
            "uncertain": False,
        }
        body = json.dumps({"images": [{"width": 640, "height": 480, "faces": [face]}]})
        route.fulfill(body=body, content_type="application/json")

    page.route("**/api/v1/predict", answer)
    page.evaluate("""() => {
        window.labels = new Set();
        const look = () => {
            const label = document.querySelector("#video-shown .box span")?.textContent;
            if (label) window.labels.add(label.replace(" (uncertain)", ""));
        };
        const options = { childList: true, subtree: true, characterData: true };
        new MutationObserver(look).observe(document.body, options);
    }""")
    page.locator("#tab-video").click()
    page.set_input_files("#video-file", str(clip))
    page.wait_for_function("() => document.querySelector('#video-shown video').ended")
    assert page.tracked > 8
    assert page.evaluate("() => [...window.labels]") == ["happy"]
