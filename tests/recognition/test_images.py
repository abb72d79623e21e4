"""Reading photos: formats and colours, and refused input."""

import re

import numpy as np
import pytest
from PIL import Image
from serving_cases import encoded
from skimage import data

from fer_utils.recognition import images
from fer_utils.recognition.images import ImageTooLarge, Photo, UnreadableImage, open_image

ASTRONAUT = data.astronaut()


def grey_levels(image):
    return np.asarray(image)[..., 0]


def test_alpha_becomes_white():
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert open_image(encoded(clear)).getpixel((0, 0)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 200, 0])
    assert open_image(encoded(palette, "GIF", transparency=0)).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(encoded(Image.new("LA", (4, 4), (10, 255)))).getpixel((0, 0)) == (10, 10, 10)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_accepted_format_is_read(format):
    image = Image.fromarray(ASTRONAUT[::4, ::4])
    read = np.asarray(open_image(encoded(image, format)), float)
    assert abs(read - np.asarray(image)).mean() < 12


def test_cmyk_is_read_in_its_colours():
    image = Image.fromarray(ASTRONAUT)
    read = open_image(encoded(image.convert("CMYK"), "JPEG", quality=95))
    assert read.mode == "RGB"
    assert np.corrcoef(grey_levels(read).ravel(), ASTRONAUT[..., 0].ravel())[0, 1] > 0.98


def test_sixteen_bits_keep_their_upper_eight():
    ramp = np.arange(256, dtype=np.uint16)[None].repeat(4, 0)
    read = open_image(encoded(Image.fromarray(ramp * 256 + 17)))
    np.testing.assert_array_equal(grey_levels(read), ramp)


def test_floating_point_is_stretched():
    values = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    read = grey_levels(open_image(encoded(Image.fromarray(values), "TIFF")))
    assert read.tolist() == [[0, 127], [255, 0]]


def test_of_an_animation_the_first_frame_is_read():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("black", "white")]
    for format in ("GIF", "WEBP", "PNG"):
        read = open_image(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
        assert read.getpixel((4, 4)) == (0, 0, 0), format


@pytest.mark.parametrize(
    "junk", [b"", b"x", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"<svg/>", b"\0" * 999]
)
def test_input_that_is_no_image_has_its_own_error(junk):
    with pytest.raises(UnreadableImage, match="expected"):
        open_image(junk)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_image_has_its_own_error(format):
    whole = encoded(Image.fromarray(ASTRONAUT), format)
    with pytest.raises(UnreadableImage):
        open_image(whole[: len(whole) // 2])


def test_a_format_that_runs_other_programs_is_not_read():
    with pytest.raises(UnreadableImage):
        open_image(encoded(Image.fromarray(ASTRONAUT), "EPS"))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(UnreadableImage, match=str(path)):
            open_image(path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_arrays_of_another_shape_or_dtype_are_refused(array):
    with pytest.raises(UnreadableImage, match="uint8"):
        open_image(array)


@pytest.mark.parametrize(
    "array",
    [
        ASTRONAUT / 255,
        (ASTRONAUT / 255).astype(np.float32)[..., 1],
        ASTRONAUT.astype(np.float64),
        ASTRONAUT.astype(np.uint16) * 256,
        np.dstack([ASTRONAUT, ASTRONAUT[..., :1]]),
        ASTRONAUT[..., :1],
        ASTRONAUT.transpose(2, 0, 1),
    ],
)
def test_the_error_for_an_array_says_how_to_convert_it(array):
    with pytest.raises(UnreadableImage, match="uint8") as refusal:
        open_image(array)
    (remedy,) = re.findall("`(.+)`", str(refusal.value))
    converted = eval(remedy, {"image": array})
    assert open_image(converted).size == (512, 512)
    assert (
        abs(np.asarray(converted, float).mean() - ASTRONAUT.mean()) < 40
    )  # one channel has other values


def test_bgr_is_converted_as_the_docstring_says():
    reversed_channels = np.ascontiguousarray(ASTRONAUT[..., ::-1])
    photo = Photo(reversed_channels[..., ::-1])
    np.testing.assert_array_equal(np.asarray(photo.whole()), ASTRONAUT)
    np.testing.assert_array_equal(photo.scaled(100), ASTRONAUT)


def test_another_type_is_refused():
    with pytest.raises(UnreadableImage, match="NoneType"):
        open_image(None)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    def unpack(self):
        raise AssertionError("the pixels were decoded")

    bomb = encoded(Image.new("1", (16000, 16000)))
    assert len(bomb) < 50_000
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", unpack)
    with pytest.raises(ImageTooLarge, match="225 million pixels, found 16,000 x 16,000"):
        open_image(bomb)


@pytest.mark.parametrize("size", [(1, 70_000), (70_000, 1)])
def test_a_side_has_a_limit_of_its_own(size):
    assert size[0] * size[1] < images.MAX_PIXELS
    with pytest.raises(ImageTooLarge, match=f"65,535 pixels, found {size[0]:,} x {size[1]:,}"):
        open_image(encoded(Image.new("1", size)))


def test_the_memory_has_a_limit_that_depends_on_the_format(monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 12 * 100 * 100)
    photo = Image.new("RGB", (100, 100))
    assert open_image(encoded(photo)).size == (100, 100)
    for greedy in (encoded(photo, "WEBP"), encoded(photo.convert("RGBA"))):
        with pytest.raises(ImageTooLarge, match="memory"):
            open_image(greedy)


@pytest.mark.parametrize(
    "mode, format",
    [
        *((mode, "PNG") for mode in ("RGB", "RGBA", "L", "P")),
        *((mode, "TIFF") for mode in ("RGB", "RGBA", "L", "P", "I", "F", "CMYK")),
        *((mode, format) for mode in ("RGB", "L") for format in ("JPEG", "WEBP")),
    ],
)
def test_the_memory_needed_is_known_before_decoding(monkeypatch, mode, format):
    data = encoded(Image.new(mode, (400, 300)), format)
    pixels = np.asarray(open_image(data)).nbytes
    decoded = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda image: decoded.append(image))
    # The array of the pixels, and Pillow's own picture of four bytes a pixel.
    assert images.memory_needed(data) >= pixels + 4 * 400 * 300
    assert decoded == []


def test_the_largest_photos_of_phones_are_below_the_limit():
    assert images.MAX_PIXELS > 16_320 * 12_240


def test_pillows_own_limit_has_no_effect_and_is_not_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow itself raises above twice this
    assert open_image(encoded(Image.new("L", (9, 9)))).size == (9, 9)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_an_array_and_a_pil_image_have_the_same_limit(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    for image in (np.zeros((11, 10), np.uint8), Image.new("L", (10, 11))):
        with pytest.raises(ImageTooLarge):
            open_image(image)
    assert open_image(np.zeros((10, 10), np.uint8)).size == (10, 10)
