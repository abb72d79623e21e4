"""Reading photos: every kind that people have, upright and RGB, and nothing that could do harm."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from fer_utils.errors import StudyError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of files that are read, as Pillow names them. It knows more, and some of those run other programs."""

MAX_PIXELS = 50_000_000
"""Most pixels of a photo. The size is read from the header, so a decompression bomb is never unpacked."""


class UnreadableImage(StudyError):  # noqa: N818 (a name that reads as what happened)
    """What was given is no image that can be read."""


class ImageTooLarge(UnreadableImage):
    """The image has more pixels than are accepted."""


def open_image(image: str | os.PathLike | bytes | Image.Image | np.ndarray) -> Image.Image:
    """Read a photo as an upright RGB image of 8 bits.

    EXIF orientation is applied. Of an animation the first frame is taken; what is transparent becomes white;
    16-bit grey keeps its upper 8 bits; grey of 32 bits or floating point is stretched from its own darkest to
    its brightest value.

    Args:
        image: path, bytes of a file in one of `FORMATS`, PIL image, or uint8 array, grey (h, w) or RGB
            (h, w, 3).

    Raises:
        UnreadableImage: it is no image, is damaged, or has another format, shape or dtype.
        ImageTooLarge: it has more than `MAX_PIXELS` pixels (checked before decoding).
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, Image.Image):
        return _upright_rgb(image, "the image")
    if isinstance(image, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(image), "the image")
    if isinstance(image, str | os.PathLike):
        try:
            return _from_file(io.BytesIO(Path(image).read_bytes()), str(image))
        except OSError as problem:
            raise UnreadableImage(f"{image}: expected an image file, found {problem.strerror}.") from None
    raise UnreadableImage(f"the image: expected a path, bytes, a PIL image or an array, found {type(image).__name__}.")


def _from_array(array: np.ndarray) -> Image.Image:
    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not grey_or_rgb or not array.size:
        raise UnreadableImage(
            f"the image: expected an array uint8, grey (h, w) or RGB (h, w, 3), found {array.dtype} {array.shape}."
        )
    _check_size(array.shape[1], array.shape[0], "the image")
    return Image.fromarray(np.ascontiguousarray(array)).convert("RGB")


def _from_file(file: io.BytesIO, name: str) -> Image.Image:
    size = file.getbuffer().nbytes
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageTooLarge(_too_large(name, "far more")) from None
    except Exception:  # Pillow's readers raise many kinds for a damaged header
        raise UnreadableImage(
            f"{name}: expected an image ({', '.join(FORMATS)}), found {size:,} bytes of something else."
        ) from None
    return _upright_rgb(image, name)


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    _check_size(*image.size, name)
    try:
        image.load()
        return _rgb(_upright(image))
    except Exception as problem:  # Pillow's decoders raise many kinds for damaged data
        raise UnreadableImage(f"{name}: expected a whole image, found it damaged: {problem}.") from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read says nothing about the orientation, and the pixels are fine
        return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float64))
        low, high = values.min(), values.max()
        return Image.fromarray((255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(_too_large(name, f"{width:,} x {height:,}"))
    if not width * height:
        raise UnreadableImage(f"{name}: expected an image, found one of {width} x {height} pixels.")


def _too_large(name: str, found: str) -> str:
    most = f"{MAX_PIXELS // 1_000_000} million pixels"
    return f"{name}: expected at most {most}, found {found}. Scale it down first."
