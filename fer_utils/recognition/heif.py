"""HEIF photos, the format of many phones: recognising them and noticing truncated ones."""

from PIL import Image

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BOXES = (b"ftyp", b"meta", b"mdat", b"moov", b"idat", b"free", b"skip", b"uuid")


def is_heif(head: bytes) -> bool:
    """Whether a file with these first bytes, 32 or more, is a HEIF photo."""
    return head[4:8] == b"ftyp" and (head[8:12] in _BRANDS or b"mif1" in head[16:32])


def register_reader() -> bool:
    """Register a HEIF reader with Pillow and return whether there is one."""
    if "HEIF" in Image.OPEN:
        return True
    # The import is here because most photos do not need it. pillow-heif contains pi-heif's
    # decoder, and an encoder.
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        try:
            from pillow_heif import register_heif_opener  # type: ignore[import-not-found]
        except ImportError:
            return False
    register_heif_opener()
    return True


def missing_bytes(data: memoryview) -> int:
    """Return how many bytes are missing at the end of a HEIF file.

    HEIF is a sequence of boxes, each with its size (ISO/IEC 14496-12).
    """
    start = 0
    # Phones append data that is no box, such as a clip or their own notes. The photo ends there.
    while start + 8 <= len(data) and data[start + 4 : start + 8].tobytes() in _BOXES:
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 0:  # this box extends to the end of the file
            return 0
        if size == 1:  # the size is in the next eight bytes
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        start += max(size, 8)
    return max(0, start - len(data))
