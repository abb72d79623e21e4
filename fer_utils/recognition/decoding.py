"""What decoding a photo costs: the scale of a JPEG, and the memory at the peak.

Both are known from the header alone.
"""

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

MAX_DECODED = 25_000_000
"""Most pixels to which a JPEG is decoded for the crops of small faces. A larger photo is decoded at
1/2, 1/4 or 1/8, with 6 million pixels or more. The smallest faces that are searched for have about
half of FER-2013's resolution then."""

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""

_SMALLEST = 8
"""JPEGs can be decoded at 1/8 of their size, and not smaller."""

# Bytes of memory for each decoded pixel at the peak of reading a photo, measured with Pillow 13 and
# 12 million pixels, rounded up. Pillow keeps four bytes for a pixel of RGB, and conversions hold
# the former pixels too. Decoders of whole pictures need more than those of rows.
_OF_PIXEL = 7
_OF_MODE = {"RGBA": 13, "LA": 13, "PA": 13, "I": 12, "F": 12, "CMYK": 10}
_OF_FORMAT = {"WEBP": 19, "JPEG2000": 20, "AVIF": 13, "HEIF": 13}
_OF_PALETTE_WITH_TRANSPARENCY = 14
_OF_TURN = 4  # the upright copy


def jpeg_scale(size: tuple[int, int], longest: int, most: int = MAX_DECODED) -> int:
    """Return the divisor of width and height at which a JPEG is decoded.

    Args:
        size: width and height of the photo in pixels.
        longest: pixels of the longer side that suffice.
        most: most pixels of the result, even if `longest` needs more.

    Returns:
        1, 2, 4 or 8.
    """
    scale = 1
    while scale < _SMALLEST and max(size) >= 2 * scale * longest:
        scale *= 2
    while scale < _SMALLEST and _decoded(size, scale) > most:
        scale *= 2
    return scale


def memory_of(header: Image.Image, orientation: int) -> int:
    """Return the most bytes of memory that searching a photo and cropping its faces takes.

    Args:
        header: an opened file whose pixels are not read.
        orientation: its EXIF orientation.
    """
    of_pixel = max(_OF_PIXEL, _OF_MODE.get(header.mode, 0), _OF_FORMAT.get(header.format or "", 0))
    if header.mode not in _OF_MODE and "transparency" in header.info:
        of_pixel = max(of_pixel, _OF_PALETTE_WITH_TRANSPARENCY)
    if orientation != 1:
        of_pixel += _OF_TURN
    if not isinstance(header, JpegImageFile):
        return of_pixel * header.width * header.height
    decoded = _decoded(header.size, jpeg_scale(header.size, max(header.size)))
    return of_pixel * decoded + _coefficients(header)


def _decoded(size: tuple[int, int], scale: int) -> int:
    """Return the number of pixels of a JPEG that is decoded at 1/scale; libjpeg rounds up."""
    return -(-size[0] // scale) * -(-size[1] // scale)


def _coefficients(header: JpegImageFile) -> int:
    """Return the bytes of a progressive JPEG's coefficients, which are in memory at every scale."""
    if not header.info.get("progressive"):
        return 0
    # Each component has an identifier and its samples across and down.
    samples = [across * down for _, across, down, _ in header.layer]
    return round(2 * sum(samples) / max(samples) * header.width * header.height)
