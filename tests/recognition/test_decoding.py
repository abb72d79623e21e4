"""The scale at which JPEGs are decoded, and the memory of reading a photo."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image
from serving_cases import encoded

from fer_utils.recognition.decoding import MAX_DECODED, jpeg_scale
from fer_utils.recognition.images import Photo

MEBIBYTE = 2**20


@pytest.mark.parametrize(
    ("size", "longest", "scale"),
    [
        ((4032, 3024), 1000, 4),
        ((4096, 3072), 1024, 4),
        ((4095, 3072), 1024, 2),
        ((3072, 4096), 1024, 4),
        ((640, 480), 1024, 1),
        ((40_000, 300), 10, 8),
        ((5712, 4284), 5712, 1),
        ((8064, 6048), 8064, 2),
        ((16_320, 12_240), 16_320, 4),
        ((16_320, 12_240), 1024, 8),
    ],
)
def test_a_jpeg_is_decoded_as_large_as_needed_and_allowed(size, longest, scale):
    assert jpeg_scale(size, longest) == scale
    assert jpeg_scale(size, max(size), size[0] * size[1]) == 1


def test_a_small_face_of_a_huge_jpeg_is_cropped_from_a_smaller_decoding():
    file = encoded(Image.new("RGB", (6400, 4800), "teal"), "JPEG")
    assert MAX_DECODED < 6400 * 4800
    region = Photo(file).region(600, 600, 640, 640, 1.0)
    assert region.shape == (20, 20, 3)
    photo = Photo(file)
    assert photo.whole().size == (6400, 4800)  # a drawing needs all pixels
    assert photo.region(600, 600, 640, 640, 1.0).shape == (40, 40, 3)


def photos(folder):
    """Photos of three million pixels of every kind that needs memory of its own."""
    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 256, (40, 60, 3), np.uint8)
    photo = Image.fromarray(np.kron(blocks, np.ones((35, 35, 1), np.uint8)))
    grey = np.asarray(photo.convert("L"))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    kinds = {
        "a.jpg": (photo, {}),
        "turned.jpg": (photo, {"exif": turned}),
        "grey.jpg": (photo.convert("L"), {}),
        "cmyk.jpg": (photo.convert("CMYK"), {}),
        "progressive.jpg": (photo, {"progressive": True}),
        "fine.jpg": (photo, {"progressive": True, "subsampling": 0, "exif": turned}),
        "a.png": (photo, {}),
        "turned.png": (photo, {"exif": turned}),
        "rgba.png": (photo.convert("RGBA"), {}),
        "la.png": (photo.convert("LA"), {}),
        "palette.png": (photo.convert("P"), {"transparency": 3}),
        "deep.png": (Image.fromarray(grey.astype(np.uint16) << 8), {}),
        "float.tiff": (Image.fromarray(grey.astype(np.float32)), {}),
        "a.gif": (photo.quantize(64), {}),
        "a.webp": (photo, {"lossless": True, "quality": 0, "method": 0}),
        "rgba.webp": (photo.convert("RGBA"), {"quality": 50, "method": 0}),
        "a.jp2": (photo, {}),
        "a.avif": (photo, {"speed": 10}),
        "a.sgi": (photo, {}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    return [folder / name for name in kinds]


MEASURES = """
import ctypes, re, sys
from pathlib import Path
from fer_utils.recognition.images import Photo, memory_needed

def memory(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

ctypes.CDLL(None).mallopt(-3, 2**20)  # M_MMAP_THRESHOLD: memory is given back at once
contents = [Path(name).read_bytes() for name in sys.argv[1:]]
for once_more in range(2):  # decoders keep some memory from their first photo
    for name, data in zip(sys.argv[1:], contents):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        before = memory("VmRSS")
        photo = Photo(data)
        photo.scaled(1024)
        photo.region(50, 50, 90, 90, 1.0)
        if once_more:
            print(Path(name).name, memory_needed(data), memory("VmHWM") - before)
        del photo
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads and resets the peak in /proc")
def test_no_photo_takes_more_memory_than_is_expected(tmp_path):
    files = photos(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURES, *files], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    measured = {name: (int(needed), int(taken)) for name, needed, taken in lines}
    assert len(measured) == len(files)
    above = {name: found for name, found in measured.items() if found[1] > found[0] + MEBIBYTE}
    assert above == {}
    # The expectation must not refuse what fits.
    assert all(needed < 2.2 * taken for needed, taken in measured.values()), measured
