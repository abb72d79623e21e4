"""Reading photos: every kind that people have, upright and RGB, and nothing that could do harm.

This is the one reader of photos: the commands, the library, the server and the sources of faces all use it, so that a
file has one meaning everywhere.
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

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM"),
    *("PSD", "PCX", "SGI", "QOI", "ICO", "TGA"),
)
"""Formats of files that are read, as Pillow names them. It knows more, and some of those run other programs. TGA comes
last, because a TGA file is told by hardly more than a plausible header."""

MAX_PIXELS = 225_000_000
"""Most pixels of a photo: phones make 200 million. The size is read from the header, so a decompression bomb is never
unpacked."""

SOFTWARE = "fer-study"
"""What an annotated photo names as the program that made it, so that it is never taken for somebody's own."""

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HEIF_BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"idat", b"free", b"skip", b"uuid")
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


class UnreadableImage(StudyError):  # noqa: N818 (a name that reads as what happened)
    """What was given is no image that can be read."""


class ImageTooLarge(UnreadableImage):
    """The image has more pixels than are accepted."""


def open_image(image: str | os.PathLike | bytes | Image.Image | np.ndarray) -> Image.Image:
    """Read a photo as an upright RGB image of 8 bits.

    EXIF orientation is applied. Of an animation the first frame is taken; what is transparent
    becomes white; 16-bit grey keeps its upper 8 bits; grey of 32 bits or floating point is
    stretched from its own darkest to its brightest value.

    Args:
        image: path, bytes of a file in one of `FORMATS`, PIL image, or uint8 array, grey (h, w) or
            RGB (h, w, 3). A PIL image that is upright RGB already is given back as it is.

    Raises:
        UnreadableImage: it is no image, is damaged or cut off, or has another format, shape or dtype.
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
            raise UnreadableImage(
                f"{image}: expected an image file, found {problem.strerror}."
            ) from None
    raise UnreadableImage(
        f"the image: expected a path, bytes, a PIL image or an array, found {type(image).__name__}."
    )


def save_annotated(image: Image.Image, file: Path) -> None:
    """Save an annotated photo, in the format that the name's ending says, marked as this project's.

    Raises:
        ValueError: the ending is no image format's.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    more: dict[str, Any] = {}
    if Path(file).suffix.lower() in (".png", ".apng"):
        from PIL.PngImagePlugin import PngInfo

        # Text stands before the pixels, so that the mark is read without decoding these.
        more["pnginfo"] = PngInfo()
        more["pnginfo"].add_text("Software", SOFTWARE)
    image.save(file, exif=exif, **more)


def is_annotated(path: Path) -> bool:
    """Whether the file is a photo that `save_annotated` wrote; only its header is read."""
    try:
        with _unlimited(), Image.open(path, formats=_known_formats()) as image:
            if image.format == "PNG":
                return image.info.get("Software") == SOFTWARE
            return image.getexif().get(ExifTags.Base.Software) == SOFTWARE
    except Exception:  # Pillow's readers raise many kinds; what cannot be read is not ours
        return False


def is_photo_name(path: Path) -> bool:
    """Whether a file's name ends as a photo's does, read or not: what a folder of photos holds."""
    if path.suffix.lower() in (".heic", ".heif", ".hif", ".jxl"):
        return True
    registered = Image.registered_extensions()
    return registered.get(path.suffix.lower()) in FORMATS


def is_heif(head: bytes) -> bool:
    """Whether a file that begins with these bytes, 32 or more, is a HEIF photo, as phones write."""
    return head[4:8] == b"ftyp" and (head[8:12] in _HEIF_BRANDS or b"mif1" in head[16:32])


def _from_array(array: np.ndarray) -> Image.Image:
    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not grey_or_rgb or not array.size:
        raise UnreadableImage(
            f"the image: expected an array uint8, grey (h, w) or RGB (h, w, 3), found {array.dtype} {array.shape}."
        )
    _check_size(array.shape[1], array.shape[0], "the image")
    return _rgb(Image.fromarray(np.ascontiguousarray(array)))


def _from_file(file: io.BytesIO, name: str) -> Image.Image:
    head = bytes(file.getbuffer()[:32])
    if is_heif(head) and not _reads_heif():
        raise UnreadableImage(
            f"{name}: expected an image, found HEIC, which needs the package pi-heif. Install it "
            "with `pip install pi-heif`, or save the photo as JPEG."
        )
    if is_heif(head) and (missing := _missing_bytes(file.getbuffer())):
        # The decoder would fill in grey, in silence, what is not there.
        raise UnreadableImage(
            f"{name}: expected a whole image, found it cut off: {missing:,} bytes are missing. Copy it again."
        )
    try:
        with _unlimited():
            image = Image.open(file, formats=_known_formats())
    except Exception:  # Pillow's readers raise many kinds for a damaged header
        known = next((kind for start, kind in _OTHER_KINDS if head.startswith(start)), None)
        size = file.getbuffer().nbytes
        raise UnreadableImage(
            f"{name}: expected an image (such as JPEG, PNG, WEBP, HEIC, AVIF or TIFF), found "
            f"{known or f'{size:,} bytes of something else'}."
        ) from None
    return _upright_rgb(image, name)


@contextmanager
def _unlimited() -> Iterator[None]:
    """Inside, Pillow opens headers of any size; its own limit lies below what phones make.

    Pillow keeps the limit in one global, so one thread at a time changes it, for the moment that
    reading a header takes.
    """
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _known_formats() -> list[str]:
    """Those of `FORMATS` that this Pillow reads: AVIF and HEIF are not in every one."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _reads_heif() -> bool:
    """Whether Pillow can read HEIF, after making it able to where a package for that is installed."""
    if "HEIF" in Image.OPEN:
        return True
    # Here, because most photos do not need it. pillow-heif is the same with an encoder.
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        try:
            from pillow_heif import register_heif_opener  # type: ignore[import-not-found]
        except ImportError:
            return False
    register_heif_opener()
    return True


def _missing_bytes(data: memoryview) -> int:
    """How many bytes a file of ISO boxes (ISO/IEC 14496-12), such as HEIF, lacks at its end."""
    start = 0
    # Phones append things that are no boxes, such as a clip or their own notes: there the photo has ended.
    while start + 8 <= len(data) and data[start + 4 : start + 8].tobytes() in _HEIF_BOXES:
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 0:  # this box goes to the end, wherever that is
            return 0
        if size == 1:
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        start += max(size, 8)
    return max(0, start - len(data))


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    _check_size(*image.size, name)
    try:
        image.load()
        return _rgb(_upright(image))
    except Exception as problem:  # Pillow's decoders raise many kinds for damaged data
        raise UnreadableImage(
            f"{name}: expected a whole image, found it damaged or cut off: {problem}. Copy it again."
        ) from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be read says nothing about the orientation
        return image


def _rgb(image: Image.Image) -> Image.Image:
    # A photo may take hundreds of megabytes, so that no copy is made which is not needed.
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
    """Grey levels uint8 (h, w), 0 for the least of the finite values (h, w), 255 for the largest."""
    low, high = np.inf, -np.inf
    # Row by row, since doubles take eight times the memory of what comes out.
    for row in values:
        row = np.nan_to_num(row.astype(np.float64))
        low, high = min(low, row.min()), max(high, row.max())
    levels = np.empty(values.shape, np.uint8)
    for target, row in zip(levels, values, strict=True):
        row = np.nan_to_num(row.astype(np.float64))
        target[:] = 255 * (row - low) / max(high - low, 1e-12)
    return levels


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageTooLarge(
            f"{name}: expected at most {MAX_PIXELS // 1_000_000} million pixels, found "
            f"{width:,} x {height:,}. Scale it down first."
        )
    if not width * height:
        raise UnreadableImage(f"{name}: expected an image, found one of {width} x {height} pixels.")
