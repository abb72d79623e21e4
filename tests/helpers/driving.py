"""Pictures, actions and checks that the tests of the page share."""

import base64
import json
import re

import cv2
import pytest
from PIL import Image
from serving_cases import encoded
from skimage import data

from fer_utils.emotions import EMOTIONS

PREDICT = "**/api/v1/predict"


PORTRAIT = Image.fromarray(data.astronaut())
ASTRONAUT = {"name": "astronaut.png", "mimeType": "image/png", "buffer": encoded(PORTRAIT)}
NO_FACE = {
    "name": "teal.png",
    "mimeType": "image/png",
    "buffer": encoded(Image.new("RGB", (90, 60), "teal")),
}
NOTES = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"not an image"}
TIFF = {"name": "astronaut.tif", "mimeType": "image/tiff", "buffer": encoded(PORTRAIT, "TIFF")}

# The part of the portrait that cameras and clips show, with an aspect ratio of 4 to 3, and the box
# of its face as shares of width and height.
SCENE = data.astronaut()[:384]
SCENE_FACE = {"left": 177 / 512, "right": 274 / 512, "top": 66 / 384}


def scene_frames(count, size=(640, 480)):
    """Return `count` equal frames of the scene for OpenCV: uint8 BGR (h, w, 3)."""
    return [cv2.cvtColor(cv2.resize(SCENE, size), cv2.COLOR_RGB2BGR)] * count


def give(page, photos, state):
    """Choose photos and wait for this state of the page."""
    page.set_input_files("#file", photos)
    page.wait_for_selector(f'body[data-state="{state}"]')


def transfer(page, *photos):
    """Return a DataTransfer of the page with the photos, as a drop or a paste has it."""
    return page.evaluate_handle(
        """(photos) => {
            const transfer = new DataTransfer();
            for (const [text, name, type] of photos) {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type }));
            }
            return transfer;
        }""",
        [[base64.b64encode(p["buffer"]).decode(), p["name"], p["mimeType"]] for p in photos],
    )


def drop(page, *photos):
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, {"dataTransfer": transfer(page, *photos)})


def face(emotion="happy", share=0.9, uncertain=False, x=40, y=20, side=30):
    """Return a face as the API does."""
    rest = (1 - share) / (len(EMOTIONS) - 1)
    return {
        "box": {"x": x, "y": y, "width": side, "height": side},
        "score": 3.5,
        "emotion": emotion,
        "probabilities": {name: share if name == emotion else rest for name in EMOTIONS},
        "uncertain": uncertain,
    }


def answer(page, *faces, width=90, height=60):
    """Respond to all pictures of the page with these faces, in place of the server."""
    body = json.dumps({"images": [{"width": width, "height": height, "faces": faces}]})
    page.route(PREDICT, lambda route: route.fulfill(body=body, content_type="application/json"))


def refuse(route, status, title, **headers):
    """Respond to a request with a problem, as the server does."""
    detail = f"{title}, from the test."
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body = json.dumps(problem)
    route.fulfill(
        status=status, body=body, content_type="application/problem+json", headers=headers
    )


def check_astronaut(page):
    """Check that the page shows the portrait with its result."""
    page.wait_for_selector('body[data-state="result"]')
    assert page.locator("#headline").inner_text() == "1 face"
    check_bars(page)
    # The box has the place of the face, relative to the photo on the page.
    box, photo = page.locator(".box").bounding_box(), page.locator("#photo").bounding_box()
    assert (box["x"] - photo["x"]) / photo["width"] == pytest.approx(177 / 512, abs=0.03)
    assert (box["y"] - photo["y"]) / photo["height"] == pytest.approx(66 / 512, abs=0.03)
    assert box["width"] / photo["width"] == pytest.approx(97 / 512, abs=0.03)


def check_bars(page):
    """Check that there are seven bars in the canonical order, each with its probability."""
    rows = page.locator(".face .bars li")
    assert rows.locator(".name").all_inner_texts() == list(EMOTIONS)
    for share in rows.locator(".value").all_inner_texts():
        assert re.fullmatch(r"(< )?\d+ %", share)


def check_live(page, figure, mirrored=False):
    """Check that the figure shows the scene with a box, and the bars beside it."""
    page.wait_for_selector(f'body[data-state="live"] {figure} .box')
    assert page.locator("#headline").inner_text() == "1 face"
    check_bars(page)
    box = page.locator(f"{figure} .box").bounding_box()
    picture = page.locator(f"{figure} video").bounding_box()
    left = 1 - SCENE_FACE["right"] if mirrored else SCENE_FACE["left"]
    assert picture["width"] / picture["height"] == pytest.approx(4 / 3, abs=0.01)
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(left, abs=0.03)
    assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(
        SCENE_FACE["top"], abs=0.04
    )


def hide(page):
    """Make the page's tab appear hidden."""
    page.evaluate("""() => {
        Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
