"""What the tests of the page share: pictures to give, and ways to give them and to look at what
comes of it."""

import base64
import io
import json
import re

import cv2
import pytest
from PIL import Image
from skimage import data

from fer_utils.emotions import EMOTIONS

PREDICT = "**/api/v1/predict"


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


PORTRAIT = Image.fromarray(data.astronaut())
ASTRONAUT = {"name": "astronaut.png", "mimeType": "image/png", "buffer": encoded(PORTRAIT)}
NO_FACE = {
    "name": "teal.png",
    "mimeType": "image/png",
    "buffer": encoded(Image.new("RGB", (90, 60), "teal")),
}
NOTES = {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"not an image"}
TIFF = {"name": "astronaut.tif", "mimeType": "image/tiff", "buffer": encoded(PORTRAIT, "TIFF")}

# The part of the portrait that cameras and clips show, 4 to 3, and where the detector finds its
# face there, as shares.
SCENE = data.astronaut()[:384]
SCENE_FACE = {"left": 177 / 512, "right": 274 / 512, "top": 66 / 384}


def scene_frames(count, size=(640, 480)):
    """`count` equal frames of the scene, as OpenCV takes them: uint8 BGR (h, w, 3)."""
    return [cv2.cvtColor(cv2.resize(SCENE, size), cv2.COLOR_RGB2BGR)] * count


def give(page, photos, state):
    page.set_input_files("#file", photos)
    page.wait_for_selector(f'body[data-state="{state}"]')


def transfer(page, *photos):
    """A DataTransfer in the page that holds the photos, as a drop or a paste brings them."""
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
    """A face as the API writes it."""
    rest = (1 - share) / (len(EMOTIONS) - 1)
    return {
        "box": {"x": x, "y": y, "width": side, "height": side},
        "score": 3.5,
        "emotion": emotion,
        "probabilities": {name: share if name == emotion else rest for name in EMOTIONS},
        "uncertain": uncertain,
    }


def answer(page, *faces, width=90, height=60):
    """Have the page's pictures answered with these faces, whatever the server would find."""
    body = json.dumps({"width": width, "height": height, "faces": faces})
    page.route(PREDICT, lambda route: route.fulfill(body=body, content_type="application/json"))


def refuse(route, status, title, **headers):
    """Answer a request with a problem, as the server writes it."""
    body = json.dumps(
        {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": f"{title}, says the test.",
        }
    )
    route.fulfill(
        status=status, body=body, content_type="application/problem+json", headers=headers
    )


def check_astronaut(page):
    page.wait_for_selector('body[data-state="result"]')
    assert page.locator("#headline").inner_text() == "1 face"
    check_bars(page)
    # The box lies where the face is, whatever the size at which the photo is shown.
    box, photo = page.locator(".box").bounding_box(), page.locator("#photo").bounding_box()
    assert (box["x"] - photo["x"]) / photo["width"] == pytest.approx(177 / 512, abs=0.03)
    assert (box["y"] - photo["y"]) / photo["height"] == pytest.approx(66 / 512, abs=0.03)
    assert box["width"] / photo["width"] == pytest.approx(97 / 512, abs=0.03)


def check_bars(page):
    """Seven bars in the canonical order, each with its share."""
    rows = page.locator(".face .bars li")
    assert rows.locator(".name").all_inner_texts() == list(EMOTIONS)
    assert all(
        re.fullmatch(r"(< )?\d+ %", share) for share in rows.locator(".value").all_inner_texts()
    )


def check_live(page, figure, mirrored=False):
    """The figure shows the scene with a box on its face, and the bars beside it."""
    page.wait_for_selector(f'body[data-state="live"] {figure} .box')
    assert page.locator("#headline").inner_text() == "1 face"
    check_bars(page)
    box, picture = (
        page.locator(f"{figure} .box").bounding_box(),
        page.locator(f"{figure} video").bounding_box(),
    )
    left = 1 - SCENE_FACE["right"] if mirrored else SCENE_FACE["left"]
    assert picture["width"] / picture["height"] == pytest.approx(4 / 3, abs=0.01)
    assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(left, abs=0.03)
    assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(
        SCENE_FACE["top"], abs=0.04
    )


def hide(page):
    """Make the page believe that another tab came before it."""
    page.evaluate("""() => {
        Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
