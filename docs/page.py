"""Save docs/page.png, the picture of the served page in the README: `python docs/page.py`.

It needs Chromium, Playwright (in the extra `dev`) and scikit-image, which contains the photo:
NASA's portrait of Eileen Collins, in the public domain.
"""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from skimage import data

from fer_utils.serving import running

WIDTH = 1000
ROWS = 310  # of the portrait's 512, so that photo and answer end at about the same height
MARGIN = 28  # below the photo
STEP = 4  # between levels of a colour; invisible, and the file is a third smaller


def picture() -> Image.Image:
    """Return the part of the page with the photo and the answer."""
    photo, shown = io.BytesIO(), io.BytesIO()
    Image.fromarray(data.astronaut()[:ROWS]).save(photo, "PNG")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    with running() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 800})
        page.goto(url)
        file = {"name": "astronaut.png", "mimeType": "image/png", "buffer": photo.getvalue()}
        page.set_input_files("#file", file)
        page.wait_for_selector('body[data-state="result"] .face')
        page.wait_for_timeout(1000)  # the bars grow
        bottom = max(
            box["y"] + box["height"]
            for box in (page.locator(name).bounding_box() for name in ("#shown", "#faces"))
        )
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": bottom + MARGIN}
        shown.write(page.screenshot(clip=clip))
        browser.close()
    pixels = np.asarray(Image.open(shown).convert("RGB")).astype(int)
    return Image.fromarray((pixels + STEP // 2).clip(0, 255).astype(np.uint8) // STEP * STEP)


if __name__ == "__main__":
    path = Path(__file__).with_suffix(".png")
    picture().save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")
