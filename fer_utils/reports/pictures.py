"""Smaller pictures for pages: figures with a palette, photos as JPEG."""

import base64
import io
from copy import deepcopy

from nbformat import NotebookNode
from PIL import Image

COLOURS = 256
PHOTO = 0.2
"""A picture is a photo if it has more different colours than this share of its pixels. Figures have
large areas of one colour."""

JPEG_QUALITY = 88


def with_smaller_pictures(notebook: NotebookNode) -> NotebookNode:
    """A copy of an executed notebook whose PNG outputs take fewer bytes.

    A figure keeps its size and gets a palette of 256 colours. A photo becomes a JPEG. A picture
    that would not get smaller stays as it is. Equal pictures give equal bytes.
    """
    smaller = deepcopy(notebook)
    for cell in smaller.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" not in data:
                continue
            kind, packed = _pack(base64.b64decode(data["image/png"]))
            if len(packed) < len(data["image/png"]):
                del data["image/png"]
                data[kind] = packed
                if "image/png" in output.metadata:  # its size on the page
                    output.metadata[kind] = output.metadata.pop("image/png")
    return smaller


def on_white(png: bytes) -> Image.Image:
    """Open a PNG as RGB. Transparent pixels become white."""
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _pack(png: bytes) -> tuple[str, str]:
    """The media type and the base64 text of a smaller picture."""
    flat = on_white(png)
    packed = io.BytesIO()
    many = int(PHOTO * flat.width * flat.height)
    if flat.getcolors(maxcolors=max(many, COLOURS)) is None:
        kind = "image/jpeg"
        flat.save(packed, "JPEG", quality=JPEG_QUALITY, optimize=True)
    else:
        kind = "image/png"
        palette = flat.quantize(COLOURS, dither=Image.Dither.NONE)
        palette.save(packed, "PNG", optimize=True)
    return kind, base64.b64encode(packed.getvalue()).decode()
