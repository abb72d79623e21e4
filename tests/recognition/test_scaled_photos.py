"""Photos decoded no larger than needed: their pixels, places, crops and refusals."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from serving_cases import encoded
from skimage import data

from fer_utils.cli.predict import predict
from fer_utils.recognition.found import Box
from fer_utils.recognition.images import Photo, UnreadableImage, open_image
from fer_utils.recognition.recognizer import Recognizer, crop_face

ASTRONAUT = Image.fromarray(data.astronaut())  # the face is about x 175..275, y 65..165, of 512


@pytest.fixture(scope="module")
def recognizer(model_folder):
    return Recognizer(model_folder)


@pytest.fixture(scope="module")
def large():
    """A JPEG of 4096 x 3200 pixels with one face, 800 pixels wide."""
    return encoded(ASTRONAUT.crop((0, 0, 512, 400)).resize((4096, 3200)), "JPEG", quality=92)


@pytest.fixture(scope="module")
def group():
    """A JPEG of 4096 x 3200 pixels with one face of 200 pixels, beside one of 800."""
    photo = ASTRONAUT.crop((0, 0, 512, 400)).resize((4096, 3200))
    photo.paste(ASTRONAUT.crop((100, 0, 356, 256)).resize((512, 512)), (3500, 2600))
    return encoded(photo, "JPEG", quality=95)


@pytest.fixture
def decoded(monkeypatch):
    """The sizes at which JPEGs are decoded, in order."""
    sizes = []
    load = JpegImageFile.load

    def record(self):
        if self.tile:
            sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(JpegImageFile, "load", record)
    return sizes


def levels(image):
    return np.asarray(image, float)


def test_a_large_jpeg_is_decoded_once_and_small(large, recognizer, decoded):
    (face,) = recognizer.recognize(large)
    assert decoded == [(1024, 800)]
    assert face.box.width == pytest.approx(800, rel=0.15)
    assert (face.box.x, face.box.y) == pytest.approx((175 * 8, 67 * 8), abs=12 * 8)


def test_the_answer_is_that_of_the_whole_photo(group):
    recognizer = Recognizer()  # the released model, because a random one has other tolerances
    scaled, whole = recognizer.recognize(group), recognizer.recognize(open_image(group))
    assert len(scaled) == len(whole) == 2
    for one, other in zip(scaled, whole, strict=True):
        assert tuple(one.box) == pytest.approx(tuple(other.box), abs=0.03 * other.box.width)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=0.02)


def test_only_a_small_face_needs_a_larger_decoding(group, recognizer, decoded):
    recognizer.recognize(group)
    # 200 pixels are 50 in the first decoding, 100 in the second.
    assert decoded == [(1024, 800), (2048, 1600)]


@pytest.mark.parametrize("side", [60, 95, 150, 250, 400, 900])
def test_a_crop_has_the_detail_of_the_whole_photo(side):
    file = encoded(ASTRONAUT.resize((4000, 4000)), "JPEG", quality=95)
    box = Box(1400, 600, side, side)
    whole = levels(crop_face(np.asarray(open_image(file)), box))
    crop = levels(crop_face(Photo(file), box))
    if side < 96:
        np.testing.assert_array_equal(crop, whole)
    assert whole.std() > 15
    assert abs(crop - whole).mean() < 0.08 * whole.std()


@pytest.mark.parametrize("box", [Box(0, 0, 900, 900), Box(3000, 2200, 1096, 1000)])
def test_a_crop_beyond_the_border_repeats_it_at_every_scale(large, box):
    whole = levels(crop_face(np.asarray(open_image(large)), box, frame=1.6))
    crop = levels(crop_face(Photo(large), box, frame=1.6))
    assert abs(crop - whole).mean() < 3


def test_a_small_jpeg_has_the_same_pixels_as_before():
    file = encoded(ASTRONAUT.resize((1500, 2000)), "JPEG")
    np.testing.assert_array_equal(Photo(file).scaled(1024), np.asarray(Image.open(file_of(file))))


def file_of(content):
    return io.BytesIO(content)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_photo_is_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = ASTRONAUT.crop((0, 0, 512, 400)).resize((2560, 2000))
    file = encoded(photo, "JPEG", exif=exif)
    whole, scaled = open_image(file), Photo(file)
    assert scaled.size == whole.size == ((2000, 2560) if orientation > 4 else (2560, 2000))
    pixels = scaled.scaled(600)
    assert max(pixels.shape) == 640
    reduced = levels(whole.resize(pixels.shape[1::-1], Image.Resampling.BOX))
    assert abs(levels(pixels) - reduced).mean() < 3
    # The upright image may be read again.
    np.testing.assert_array_equal(np.asarray(open_image(whole)), np.asarray(whole))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_a_truncated_large_jpeg_is_refused(large, recognizer, progressive, share):
    file = encoded(Image.open(file_of(large)), "JPEG", progressive=progressive)
    with pytest.raises(UnreadableImage, match="found it damaged or truncated"):
        recognizer.recognize(file[: round(share * len(file))])


@pytest.mark.parametrize(("format", "factor"), [("PNG", 3), ("WEBP", 2), ("JPEG", 4)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_format_is_scaled_to_what_suffices(format, factor, mode):
    photo = ASTRONAUT.resize((1024 * factor + 7, 600)).convert(mode)
    pixels = Photo(encoded(photo, format)).scaled(1024)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert 1024 <= pixels.shape[1] < 2048
    reduced = levels(photo.convert("RGB").resize(pixels.shape[1::-1], Image.Resampling.BOX))
    assert abs(levels(pixels) - reduced).mean() < 4


def test_an_array_is_not_copied():
    frame = np.zeros((3000, 4000, 3), np.uint8)
    photo = Photo(frame)
    assert np.shares_memory(photo.scaled(1024), frame)
    assert np.shares_memory(photo.region(5, 6, 90, 80, 1.0), frame)


def test_a_large_face_of_a_png_is_cropped_whatever_pillows_limit(monkeypatch):
    large = ASTRONAUT.resize((5000, 5000))
    box = Box(0, 0, 5000, 5000)
    expected = levels(crop_face(np.asarray(large), box))
    photo = Photo(encoded(large, "PNG", compress_level=0))
    # Pillow raises above twice this.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert abs(levels(crop_face(photo, box)) - expected).mean() < 1
    assert photo.region(0, 0, 5000, 5000, 0.02).shape[0] < 2 * 2048
    assert photo.region(0, 0, 5000, 5000, 1.0).shape == (5000, 5000, 3)


def test_a_strip_of_a_jpeg_has_pixels(recognizer):
    for size in ((9000, 3), (3, 9000), (20_000, 20)):
        file = encoded(Image.new("RGB", size, "teal"), "JPEG")
        assert recognizer.recognize(file) == []
        assert Photo(file).region(0, 0, 1, 1, 0.01).size


@pytest.fixture
def read(monkeypatch):
    """The names of the photos whose whole content is read, in order."""
    names = []
    read_bytes = Path.read_bytes

    def record(self):
        if self.suffix == ".jpg":
            names.append(self.name)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", record)
    return names


def test_annotated_copies_change_no_answer(large, group, tmp_path, decoded, read):
    recognizer = Recognizer()  # the released model, because a random one hides small differences
    for name, content in (("a.jpg", large), ("b.jpg", group)):
        (tmp_path / name).write_bytes(content)

    def answers(*paths, **options):
        out = io.StringIO()
        predict(recognizer, *paths, form="json", out=out, **options)
        return out.getvalue()

    plain = answers(tmp_path)
    of_one = answers(tmp_path / "b.jpg")
    assert [plain.count('"emotion"'), of_one.count('"emotion"')] == [3, 2]
    decoded.clear()
    read.clear()
    assert answers(tmp_path, annotated=tmp_path / "drawn") == plain
    # The search, a small face's crop in the second photo, and the drawing.
    small, middle, whole = (1024, 800), (2048, 1600), (4096, 3200)
    assert decoded == [small, whole, small, middle, whole]
    assert read == ["a.jpg", "b.jpg"]
    assert answers(tmp_path / "b.jpg", annotated=tmp_path / "one.png") == of_one
    assert decoded[5:] == [small, middle, whole]
    assert read[2:] == ["b.jpg"]
    assert Image.open(tmp_path / "one.png").size == whole


def test_a_photo_that_fails_only_in_full_size_does_not_stop_a_folder(
    large, recognizer, tmp_path, monkeypatch, caplog
):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(large)
    load = JpegImageFile.load

    def fail(self):
        if self.tile and self.size == (4096, 3200):
            raise OSError("broken data stream")
        return load(self)

    monkeypatch.setattr(JpegImageFile, "load", fail)
    out = io.StringIO()
    predict(recognizer, tmp_path, annotated=tmp_path / "drawn", out=out)
    assert len(out.getvalue().splitlines()) == 2
    assert caplog.text.count("not annotated") == 2


def test_a_photo_of_two_cameras_is_scaled(decoded):
    """Phones write MPO files, which contain several JPEGs."""
    photo = ASTRONAUT.resize((4096, 4096))
    file = encoded(photo, "MPO", save_all=True, append_images=[photo.resize((64, 64))])
    pixels = Photo(file).scaled(1024)
    assert decoded == [(1024, 1024)]
    assert abs(levels(pixels) - levels(ASTRONAUT.resize((1024, 1024)))).mean() < 4


MEASURES = """
import resource, sys
from fer_utils.recognition.detectors import HaarDetector
from fer_utils.recognition.recognizer import Recognizer
recognizer = Recognizer(detector=HaarDetector())
def recognise(name):
    faces = recognizer.recognize(name)
    return len(faces), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small, before = recognise(sys.argv[1])
large, after = recognise(sys.argv[2])
print(small, large, after - before)
"""


def test_a_huge_jpeg_takes_little_memory(tmp_path):
    for side in (1024, 9000):
        ASTRONAUT.resize((side, side)).save(tmp_path / f"{side}.jpg")
    names = [tmp_path / "1024.jpg", tmp_path / "9000.jpg"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURES, *names], capture_output=True, text=True, check=True
    )
    small, large, kilobytes = map(int, done.stdout.split())
    assert small == large == 1
    assert kilobytes < 60_000  # the pixels alone are 243,000
