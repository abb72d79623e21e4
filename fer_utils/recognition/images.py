"""Reading photos of many formats as upright RGB, and nothing that could do harm.

The commands, the library, the server and the sources of faces all read photos with `open_image`, so
a file has the same meaning everywhere.
"""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from fer_utils.errors import StudyError
from fer_utils.recognition import heif

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"),
    *("PSD", "PCX", "SGI", "QOI", "ICO", "TGA"),
)
"""Accepted file formats, as Pillow names them. Pillow reads more, and for some of those it runs
other programs. TGA is last because its header is hardly distinctive."""

MAX_PIXELS = 225_000_000
"""Largest number of pixels of a photo. Phones make photos of 200 million pixels. The size is read
from the header, so a decompression bomb is never unpacked."""

MAX_SIDE = 65_535
"""Largest width and height of a photo in pixels, as in JPEG. Decoders take seconds for millions of
short rows."""

MAX_BYTES = 10 * MAX_PIXELS
"""Most memory in bytes that reading a photo may take. A small file may need very much."""

# Bytes of memory for each pixel at the peak of reading a photo into an array, measured with
# Pillow 13 at 12 million pixels. Decoders of whole pictures need more than those of rows.
_BYTES_OF_PIXEL = 10
_BYTES_OF_MODE = {"RGBA": 13, "LA": 13, "PA": 13, "I": 12, "F": 12}
_BYTES_OF_FORMAT = {"WEBP": 18, "JPEG2000": 19, "AVIF": 13, "HEIF": 13}

SOFTWARE = "fer-study"
"""The name of this program in annotated photos and clips. It marks the files that fer-study may
replace."""

_OTHER_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "PostScript"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "XML, such as an SVG drawing"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (b"II*\x00\x10\x00\x00\x00CR", "a camera's raw photo"),
    (b"FUJIFILMCCD-RAW", "a camera's raw photo"),
    (b"ID3", "a sound file"),
    (b"PK\x03\x04", "a ZIP archive"),
)

_pillows_limit = threading.Lock()


class UnreadableImage(StudyError):  # noqa: N818 (a kind of input)
    """The input is no image, or one that cannot be read."""


class ImageTooLarge(UnreadableImage):
    """The image has too many pixels, too long a side, or needs too much memory."""


def open_image(image: str | os.PathLike | bytes | Image.Image | np.ndarray) -> Image.Image:
    """Read a photo as an upright RGB image of 8 bits.

    EXIF orientation is applied. An animation is read as its first frame. Transparent pixels become
    white. Grey of 16 bits keeps its upper 8 bits. Grey of 32 bits or floating point is stretched
    from its own darkest to its brightest value.

    Args:
        image: path, bytes of a file in one of `FORMATS`, PIL image, or uint8 array, grey (h, w) or
            RGB (h, w, 3). A PIL image that is already upright RGB is returned unchanged.

    Raises:
        UnreadableImage: the input is no image, is damaged or truncated, or has another format,
            shape or dtype.
        ImageTooLarge: the image has more than `MAX_PIXELS` pixels, a side above `MAX_SIDE`, or
            needs more than `MAX_BYTES` of memory (checked before decoding).
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
            raise UnreadableImage(
                f"{image}: expected an image file, found {problem.strerror}."
            ) from None
    raise UnreadableImage(
        f"the image: expected a path, bytes, a PIL image or an array, found {type(image).__name__}."
    )


def memory_needed(data: bytes) -> int:
    """Return the most bytes of memory that reading a file's photo takes.

    Only the header is read.

    Raises:
        UnreadableImage: the bytes are no image.
        ImageTooLarge: as in `open_image`.
    """
    image = _opened(io.BytesIO(data), "the image")
    _check_size(image, "the image")
    return _memory_needed(image)


def save_annotated(image: Image.Image, file: Path) -> None:
    """Save an annotated photo in the format of the file's suffix, with the mark of fer-study.

    Raises:
        ValueError: the suffix belongs to no image format.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    options: dict[str, Any] = {}
    if Path(file).suffix.lower() in (".png", ".apng"):
        from PIL.PngImagePlugin import PngInfo

        # PNG stores text before the pixels, so the mark can be read without decoding them.
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Software", SOFTWARE)
    image.save(file, exif=exif, **options)


def is_annotated(path: Path) -> bool:
    """Whether the file is a photo from `save_annotated`. Only its header is read."""
    try:
        with _unlimited(), Image.open(path, formats=_available_formats()) as image:
            if image.format == "PNG":
                return image.info.get("Software") == SOFTWARE
            return image.getexif().get(ExifTags.Base.Software) == SOFTWARE
    except Exception:  # Pillow's readers raise many kinds; an unreadable file is none of ours
        return False


def is_photo_name(path: Path) -> bool:
    """Whether a file has the suffix of a photo, including formats that may not be readable."""
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif", ".hif", ".jxl"):
        return True
    return Image.registered_extensions().get(suffix) in FORMATS


def _from_array(array: np.ndarray) -> Image.Image:
    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not grey_or_rgb or not array.size:
        raise UnreadableImage(
            "the image: expected an array uint8, grey (h, w) or RGB (h, w, 3), "
            f"found {array.dtype} {array.shape}."
        )
    photo = Image.fromarray(np.ascontiguousarray(array))
    _check_size(photo, "the image")
    return _rgb(photo)


def _from_file(file: io.BytesIO, name: str) -> Image.Image:
    return _upright_rgb(_opened(file, name), name)


def _opened(file: io.BytesIO, name: str) -> Image.Image:
    """Return the photo of a file, of which only the header is read."""
    head = bytes(file.getbuffer()[:32])
    if heif.is_heif(head):
        _check_heif(file, name)
    try:
        with _unlimited():
            return Image.open(file, formats=_available_formats())
    except Exception:  # Pillow's readers raise many kinds for a damaged header
        found = f"{file.getbuffer().nbytes:,} bytes of something else"
        for start, kind in _OTHER_KINDS:
            if head.startswith(start):
                found = kind
                break
        raise UnreadableImage(
            f"{name}: expected an image (such as JPEG, PNG, WEBP, HEIC, AVIF or TIFF), "
            f"found {found}."
        ) from None


def _check_heif(file: io.BytesIO, name: str) -> None:
    if not heif.register_reader():
        raise UnreadableImage(
            f"{name}: expected an image, found HEIC, which needs the package pi-heif. Install it "
            "with `pip install pi-heif`, or save the photo as JPEG."
        )
    missing = heif.missing_bytes(file.getbuffer())
    if missing:
        # The decoder would fill missing parts with grey and report no error.
        raise UnreadableImage(
            f"{name}: expected a whole image, found it truncated: {missing:,} bytes are missing. "
            "Copy it again."
        )


@contextmanager
def _unlimited() -> Iterator[None]:
    """Let Pillow open headers of any size. Its own limit is smaller than the photos of phones.

    Pillow keeps the limit in one global variable, so only one thread at a time may change it.
    """
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _available_formats() -> list[str]:
    """Return those of `FORMATS` that this Pillow reads. Some builds lack AVIF and HEIF."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    _check_size(image, name)
    try:
        image.load()
        return _rgb(_upright(image))
    except Exception as problem:  # Pillow's decoders raise many kinds for damaged data
        raise UnreadableImage(
            f"{name}: expected a whole image, found it damaged or truncated: {problem}. "
            "Copy it again."
        ) from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # unreadable EXIF data contains no orientation
        return image


def _rgb(image: Image.Image) -> Image.Image:
    # A photo may take hundreds of megabytes, so unnecessary copies are avoided.
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretched(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _stretched(values: np.ndarray) -> np.ndarray:
    """Stretch values (h, w) to uint8 (h, w): 0 for the smallest finite one, 255 for the largest."""
    low, high = np.inf, -np.inf
    # Row by row, because float64 takes eight times the memory of the result.
    for row in values:
        row = np.nan_to_num(row.astype(np.float64))
        low, high = min(low, row.min()), max(high, row.max())
    levels = np.empty(values.shape, np.uint8)
    for target, row in zip(levels, values, strict=True):
        row = np.nan_to_num(row.astype(np.float64))
        target[:] = 255 * (row - low) / max(high - low, 1e-12)
    return levels


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if not width * height:
        raise UnreadableImage(f"{name}: expected an image, found one of {width} x {height} pixels.")
    expected = None
    if width * height > MAX_PIXELS:
        expected = f"at most {MAX_PIXELS // 1_000_000} million pixels"
    elif max(width, height) > MAX_SIDE:
        expected = f"sides of at most {MAX_SIDE:,} pixels"
    elif _memory_needed(image) > MAX_BYTES:
        expected = f"an image that needs at most {MAX_BYTES // 1_000_000:,} MB of memory"
    if expected:
        raise ImageTooLarge(
            f"{name}: expected {expected}, found {width:,} x {height:,}. Scale it down first."
        )


def _memory_needed(image: Image.Image) -> int:
    of_pixel = max(
        _BYTES_OF_PIXEL,
        _BYTES_OF_MODE.get(image.mode, 0),
        _BYTES_OF_FORMAT.get(image.format or "", 0),
    )
    return of_pixel * image.width * image.height
