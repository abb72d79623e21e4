"""docs/page.png, the README's picture of the page, is that of its script."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow


def test_the_picture_of_the_page_is_that_of_its_script(project, launch, tmp_path):
    committed = project / "docs" / "page.png"
    assert committed.stat().st_size < 250_000
    # A process of its own, because Playwright already runs in this one.
    shutil.copy(committed.with_suffix(".py"), tmp_path)
    subprocess.run([sys.executable, tmp_path / "page.py"], cwd=project, check=True)
    pictures = [Image.open(path) for path in (tmp_path / "page.png", committed)]
    assert pictures[0].width == pictures[1].width == 1000
    # Another machine may have another typeface. The photo is equal, below the label of the box.
    photos = [np.asarray(each.crop((45, 240, 580, 450)), int) for each in pictures]
    assert (abs(photos[0] - photos[1]) > 16).mean() < 0.03
