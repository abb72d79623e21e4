"""Reading photos of many formats as upright RGB, and nothing that could do harm.

The commands, the library, the server and the sources of faces all read photos as a `Photo`, so a
file has the same meaning everywhere.
"""

import io
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from fer_utils.errors import StudyError
from fer_utils.recognition import heif
from fer_utils.recognition.decoding import MAX_DECODED, SIDEWAYS, jpeg_scale, memory_of

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

_LARGE = 2048
"""Side in pixels from which a part of a photo is not copied in full size."""

_pillows_limit = threading.Lock()


class UnreadableImage(StudyError):  # noqa: N818 (a kind of input)
    """The input is no image, or one that cannot be read."""


class ImageTooLarge(UnreadableImage):
    """The image has too many pixels, too long a side, or needs too much memory."""


class Photo:
    """A photo, opened once: its size, and its upright RGB pixels at the scale that is needed.

    A JPEG is decoded at 1/8, 1/4 or 1/2 of its size where that has enough pixels, which saves most
    of the time and memory. Each scale is decoded at most once, and not at all if a larger one has
    been. Other formats are decoded whole.

    EXIF orientation is applied. An animation is read as its first frame. Transparent pixels become
    white. Grey of 16 bits keeps its upper 8 bits. Grey of 32 bits or floating point is stretched
    from its own darkest to its brightest value.

    One thread at a time may use an instance.

    Args:
        image: path, bytes of a file in one of `FORMATS`, PIL image, or uint8 array, grey (h, w) or
            RGB (h, w, 3), 0 is black. OpenCV reads photos as BGR; `image[..., ::-1]` makes it RGB.

    Attributes:
        size: width and height of the whole upright photo in pixels.

    Raises:
        UnreadableImage: the input is no image, or has another format, shape or dtype. A JPEG that
            is damaged or truncated raises it when its pixels are read, other formats at once.
        ImageTooLarge: the image has more than `MAX_PIXELS` pixels, a side above `MAX_SIDE`, or
            needs more than `MAX_BYTES` of memory (checked before decoding).
    """

    def __init__(self, image: "AnyImage") -> None:
        self._name = "the image"
        self._array: np.ndarray | None = None
        self._decoded: list[Image.Image] = []  # the smallest first
        # A JPEG's file, until it has been decoded whole, and its header, until it is first decoded.
        self._data: bytes | None = None
        self._header: Image.Image | None = None
        if isinstance(image, np.ndarray):
            self._array = _rgb_array(image)
            self.size = (image.shape[1], image.shape[0])
        elif isinstance(image, Image.Image):
            self._decoded.append(_upright_rgb(image, self._name))
            self.size = self._decoded[0].size
        else:
            self._read(image)

    @classmethod
    def of(cls, image: "AnyImage") -> "Photo":
        """Return `image` itself if it is a Photo, else a new Photo of it."""
        return image if isinstance(image, Photo) else cls(image)

    def whole(self) -> Image.Image:
        """Return the whole photo in full size. A PIL image that is already upright RGB is returned.

        Raises:
            UnreadableImage: the file is damaged or truncated.
        """
        if self._array is not None:
            return Image.fromarray(np.ascontiguousarray(self._array))
        return self._at_least(max(self.size), self.size[0] * self.size[1])

    def scaled(self, longest: int) -> np.ndarray:
        """Return the whole photo, scaled down no further than to this longer side.

        Args:
            longest: pixels of the longer side that suffice. The result has more if that is less
                work, and fewer only if the photo has fewer.

        Returns:
            uint8 RGB (h, w, 3).

        Raises:
            UnreadableImage: the file is damaged or truncated.
        """
        if self._array is not None:
            return self._array
        image = self._at_least(longest)
        # An array of a large photo would be another copy of it, so it is made of a reduced one.
        factor = max(image.size) // max(1, longest)
        return np.asarray(image.reduce(factor) if factor > 1 else image)

    def region(self, left: int, top: int, right: int, bottom: int, scale: float) -> np.ndarray:
        """Return a part of the photo, scaled down no further than by `scale`.

        Args:
            left, top, right, bottom: edges of the part, in pixels of the whole photo and inside it.
            scale: scale that suffices; 1 is full size.

        Returns:
            uint8 RGB (h, w, 3), with at least one pixel.

        Raises:
            UnreadableImage: the file is damaged or truncated.
        """
        if self._array is not None:
            return self._array[top:bottom, left:right]
        image = self._at_least(math.ceil(scale * max(self.size)))
        across, down = image.width / self.size[0], image.height / self.size[1]
        x0 = min(round(left * across), image.width - 1)
        y0 = min(round(top * down), image.height - 1)
        x1, y1 = max(x0 + 1, round(right * across)), max(y0 + 1, round(bottom * down))
        # A large part is reduced before it becomes an array, as in `scaled`.
        factor = min(max(x1 - x0, y1 - y0) // _LARGE, int(min(across, down) / scale))
        # `crop` would apply Pillow's limit of pixels.
        return np.asarray(image.reduce(max(1, factor), (x0, y0, x1, y1)))

    def _read(self, image: "AnyImage") -> None:
        if isinstance(image, bytes | bytearray | memoryview):
            data = bytes(image)  # no copy of bytes
        elif isinstance(image, str | os.PathLike):
            self._name = str(image)
            try:
                data = Path(image).read_bytes()
            except OSError as problem:
                raise UnreadableImage(
                    f"{image}: expected an image file, found {problem.strerror}."
                ) from None
        else:
            raise UnreadableImage(
                "the image: expected a path, bytes, a PIL image or an array, found "
                f"{type(image).__name__}."
            )
        header = _header(data, self._name)
        if isinstance(header, JpegImageFile):
            _check_size(header.size, self._name, _memory_needed(header))
            self.size = header.size[::-1] if _orientation(header) in SIDEWAYS else header.size
            self._data, self._header = data, header
        else:
            self._decoded.append(_upright_rgb(header, self._name))
            self.size = self._decoded[0].size

    def _at_least(self, longest: int, most: int = MAX_DECODED) -> Image.Image:
        """Return the smallest decoded image whose longer side has this many pixels.

        If the photo has fewer, it is the whole photo. A JPEG has at most `most` pixels, except if
        it has been decoded whole before.
        """
        scale, needed = 1, min(longest, max(self.size))
        if self._data is not None:
            scale = jpeg_scale(self.size, longest, most)
            needed = max(self.size) // scale
        for image in self._decoded:
            if max(image.size) >= needed:
                return image
        return self._decode(scale)

    def _decode(self, scale: int) -> Image.Image:
        """Decode the JPEG at 1/scale or larger."""
        assert self._data is not None  # other inputs were decoded whole
        header = self._header or _header(self._data, self._name)
        self._header = None
        width, height = header.size
        header.draft(None, (max(1, width // scale), max(1, height // scale)))
        self._decoded.append(_upright_rgb(header, self._name))
        if self._decoded[-1].size == self.size:
            self._data = None
        return self._decoded[-1]


AnyImage = str | os.PathLike | bytes | Image.Image | np.ndarray | Photo
"""Input of `Photo`: path, bytes of a file, PIL image, or uint8 array, grey or RGB; or a Photo."""


def open_image(image: AnyImage) -> Image.Image:
    """Read a photo as an upright RGB image of 8 bits in full size, as `Photo` describes.

    Args:
        image: any input of `Photo`, or a Photo. A PIL image that is already upright RGB is
            returned unchanged.

    Raises:
        UnreadableImage: the input is no image, is damaged or truncated, or has another format,
            shape or dtype.
        ImageTooLarge: the image has more than `MAX_PIXELS` pixels, a side above `MAX_SIDE`, or
            needs more than `MAX_BYTES` of memory (checked before decoding).
    """
    return Photo.of(image).whole()


def memory_needed(data: bytes) -> int:
    """Return the most bytes of memory that a recogniser takes to read a file's photo.

    Only the header is read.

    Raises:
        UnreadableImage: the bytes are no image.
        ImageTooLarge: as in `open_image`.
    """
    image = _header(data, "the image")
    needed = _memory_needed(image)
    _check_size(image.size, "the image", needed)
    return needed


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


def _rgb_array(array: np.ndarray) -> np.ndarray:
    """Return an array of pixels as RGB (h, w, 3), without a copy if it is RGB."""
    grey_or_rgb = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if array.dtype != np.uint8 or not grey_or_rgb or not array.size:
        raise UnreadableImage(
            "the image: expected an array uint8, grey (h, w) or RGB (h, w, 3), "
            f"found {array.dtype} {array.shape}.{_remedy(array)}"
        )
    _check_size(array.shape[1::-1], "the image")
    return cv2.cvtColor(array, cv2.COLOR_GRAY2RGB) if array.ndim == 2 else array


def _remedy(array: np.ndarray) -> str:
    """Return a sentence that says how to convert such an array, or nothing."""
    if not array.size:
        return ""
    if array.ndim == 4:
        return " Pass several photos to `recognize_batch`."
    if array.ndim == 3 and array.shape[2] != 3:
        if array.shape[0] == 3:
            return " Move the channels to the end: `image.transpose(1, 2, 0)`."
        if array.shape[2] == 4:
            return " Leave out the transparency: `image[..., :3]`."
        if array.shape[2] == 1:
            return " Leave out the axis of the channel: `image[..., 0]`."
    if array.dtype == np.uint16:
        return " Convert 16 bits to 8: `(image >> 8).astype('uint8')`."
    if np.issubdtype(array.dtype, np.floating) and array.ndim in (2, 3):
        if array.min() >= 0 and array.max() <= 1:
            return " Convert values from 0 to 1: `(255 * image).round().astype('uint8')`."
        if array.min() >= 0 and array.max() <= 255:
            return " Convert it: `image.round().astype('uint8')`."
    return ""


def _header(data: bytes, name: str) -> Image.Image:
    """Open the bytes of a file of one of `FORMATS`. Its pixels are not read."""
    head = data[:32]
    if heif.is_heif(head):
        _check_heif(data, name)
    try:
        with _unlimited():
            return Image.open(io.BytesIO(data), formats=_available_formats())
    except Exception:  # Pillow's readers raise many kinds for a damaged header
        found = f"{len(data):,} bytes of something else"
        for start, kind in _OTHER_KINDS:
            if head.startswith(start):
                found = kind
                break
        raise UnreadableImage(
            f"{name}: expected an image (such as JPEG, PNG, WEBP, HEIC, AVIF or TIFF), "
            f"found {found}."
        ) from None


def _check_heif(data: bytes, name: str) -> None:
    if not heif.register_reader():
        raise UnreadableImage(
            f"{name}: expected an image, found HEIC, which needs the package pi-heif. Install it "
            "with `pip install pi-heif`, or save the photo as JPEG."
        )
    missing = heif.missing_bytes(memoryview(data))
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
    _check_size(image.size, name, _memory_needed(image))
    try:
        image.load()
        return _rgb(_upright(image))
    except Exception as problem:  # Pillow's decoders raise many kinds for damaged data
        raise UnreadableImage(
            f"{name}: expected a whole image, found it damaged or truncated: {problem}. "
            "Copy it again."
        ) from None


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a photo of each EXIF orientation upright."""


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # unreadable EXIF data contains no orientation
        return 1


def _upright(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return image
    upright = image.transpose(turn)
    # Whoever reads the result again must not turn it again.
    for note in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):
        upright.info.pop(note, None)
    return upright


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


def _check_size(size: tuple[int, ...], name: str, needed: int = 0) -> None:
    """Refuse a photo of this width and height, or one that needs too many bytes of memory."""
    width, height = size
    if not width * height:
        raise UnreadableImage(f"{name}: expected an image, found one of {width} x {height} pixels.")
    expected = None
    if width * height > MAX_PIXELS:
        expected = f"at most {MAX_PIXELS // 1_000_000} million pixels"
    elif max(width, height) > MAX_SIDE:
        expected = f"sides of at most {MAX_SIDE:,} pixels"
    elif needed > MAX_BYTES:
        expected = f"an image that needs at most {MAX_BYTES // 1_000_000:,} MB of memory"
    if expected:
        raise ImageTooLarge(
            f"{name}: expected {expected}, found {width:,} x {height:,}. Scale it down first."
        )


def _memory_needed(image: Image.Image) -> int:
    # Pillow decodes a PNG to look for EXIF data behind the pixels.
    behind = image.format == "PNG" and "exif" not in image.info
    return memory_of(image, 1 if behind else _orientation(image))
