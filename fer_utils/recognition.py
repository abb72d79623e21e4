"""From a photo to the emotions on its faces: find them, cut them as FER-2013 does, classify, annotate."""

import io
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fer_utils import paths
from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError

MODEL = "data/champion"
"""Folder of the model that is used when none is named."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""Formats of files that are read, as Pillow names them. It knows more, and some of those run other programs."""

MAX_PIXELS = 50_000_000
"""Most pixels of a photo. The size is read from the header, so a decompression bomb is never unpacked."""

# Measured on the first 1,500 training images of FER-2013: where the cascade finds the face (83 % of them),
# its box is centred on the image (median offset under 0.4 pixel) and 46.7 of 48 pixels wide. That is as
# expected: the contest's faces were cut by OpenCV's own detector (Goodfellow et al. 2013, arXiv 1307.0414).
FRAME = 1.03
"""Side of the crop that goes to the network, as a multiple of the detected box's longer side."""

_DETECTION_SIDE = 1024  # longer side that is searched; faces from about 3 % of it are found
_BATCH = 64


class UnreadableImage(StudyError):  # noqa: N818 (a name that reads as what happened)
    """What was given is no image that can be read."""


class ImageTooLarge(UnreadableImage):
    """The image has more pixels than are accepted."""


class Box(NamedTuple):
    """A rectangle in pixels of the upright photo; x and y are its left upper corner."""

    x: int
    y: int
    width: int
    height: int


class Detection(NamedTuple):
    """Where a detector sees a face, and how sure it is, in its own unit (larger is surer)."""

    box: Box
    score: float


class Detector(Protocol):
    """What finds faces. One instance may be called from many threads at once."""

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """The faces in `photo`, uint8 RGB (h, w, 3)."""


class HaarDetector:
    """OpenCV's Haar cascade for frontal faces (Viola and Jones 2001; Lienhart's `alt2` tree of stumps).

    `alt2` rather than `default`: at these settings both find every frontal face of the photos we test on, and
    only `default` also sees faces where there are none. The score is the sum of the cascade's last stage.
    """

    CASCADE = "haarcascade_frontalface_alt2.xml"

    def __init__(self) -> None:
        # A cascade keeps its state while it works, so each thread gets its own.
        self._of_thread = threading.local()

    def detect(self, photo: np.ndarray) -> list[Detection]:
        cascade = getattr(self._of_thread, "cascade", None)
        if cascade is None:
            cascade = self._of_thread.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + self.CASCADE)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        boxes, _, scores = cascade.detectMultiScale3(
            grey, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24), outputRejectLevels=True
        )
        return [
            Detection(Box(*map(int, box)), float(score)) for box, score in zip(boxes, np.ravel(scores), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class RecognizedFace:
    """One face of a photo.

    Attributes:
        box: where it is, in pixels of the upright photo, wholly inside it.
        score: how sure the detector is, in its own unit; larger is surer.
        emotion: the most probable of `EMOTIONS`.
        probabilities: float32 (7,), in the order of `EMOTIONS`, summing to 1.
    """

    box: Box
    score: float
    emotion: str
    probabilities: np.ndarray

    def as_dict(self) -> dict:
        """The same as plain numbers, texts and dictionaries, ready for JSON."""
        return {
            "box": self.box._asdict(),
            "score": round(self.score, 4),
            "emotion": self.emotion,
            "probabilities": {
                emotion: round(float(p), 6) for emotion, p in zip(EMOTIONS, self.probabilities, strict=True)
            },
        }


class Recognizer:
    """A trained model with a face detector before it. May be used from many threads at once.

    Args:
        model: folder with `about.json` and `model.keras` (input float32 (n, 48, 48, 1) in 0..255, output
            float32 logits (n, 7)); `data/champion` when None.
        detector: what finds the faces; OpenCV's Haar cascade when None.

    Attributes:
        about: what `about.json` says: at least "name" and "source".

    Raises:
        StudyError: the folder is missing or incomplete, or the model has another shape.
    """

    def __init__(self, model: str | Path | None = None, detector: Detector | None = None) -> None:
        folder = paths.resolve(MODEL if model is None else model)
        self.about = _read_about(folder)
        self.detector = detector or HaarDetector()
        self._model = _load_model(folder / "model.keras")
        self._lock = threading.Lock()  # Keras promises nothing about calls from several threads
        self.classify(np.zeros((1, SIDE, SIDE), np.uint8))  # compiles, so that the first photo does not wait

    @property
    def drawn(self) -> bool:
        """Whether the model was trained on the project's drawn faces, and so knows nothing of real ones."""
        return self.about["source"] == "sample"

    def recognize(self, image: str | os.PathLike | bytes | Image.Image | np.ndarray) -> list[RecognizedFace]:
        """The faces in a photo, from left to right; an empty list where there is none.

        Args:
            image: a path, the bytes of an image file, a PIL image, or an array: uint8, grey (h, w) or RGB
                (h, w, 3), 0 is black. See `open_image` for how it is read.

        Raises:
            UnreadableImage: it is no image, or a format, shape or dtype that is not read.
            ImageTooLarge: it has more than `MAX_PIXELS` pixels.
        """
        photo = np.asarray(open_image(image))
        found = sorted(self._detect(photo), key=lambda detection: detection.box)
        if not found:
            return []
        probabilities = self.classify(np.stack([crop_face(photo, detection.box) for detection in found]))
        return [
            RecognizedFace(detection.box, detection.score, EMOTIONS[int(p.argmax())], p)
            for detection, p in zip(found, probabilities, strict=True)
        ]

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, 7), of faces already cut out, grey uint8 (n, 48, 48).

        Raises:
            StudyError: another dtype or shape.
        """
        faces = np.asarray(faces)
        if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (SIDE, SIDE):
            raise StudyError(
                f"faces: expected grey faces uint8 (n, {SIDE}, {SIDE}), found {faces.dtype} {faces.shape}. "
                "Cut them with `crop_face`, or give the whole photo to `recognize`."
            )
        logits = np.empty((len(faces), len(EMOTIONS)), np.float32)
        for start in range(0, len(faces), _BATCH):
            logits[start : start + _BATCH] = self._logits(faces[start : start + _BATCH])
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _logits(self, faces: np.ndarray) -> np.ndarray:
        # `predict_on_batch` runs a compiled function: for one face 1.2 ms, where calling the model takes 8 ms
        # and `predict` 90 ms (a small CNN on two cores). Each new size compiles anew, so few sizes are used.
        size = 1 << (len(faces) - 1).bit_length()
        batch = np.zeros((size, SIDE, SIDE, 1), np.float32)
        batch[: len(faces), ..., 0] = faces
        with self._lock:
            return np.asarray(self._model.predict_on_batch(batch))[: len(faces)]

    def _detect(self, photo: np.ndarray) -> list[Detection]:
        height, width = photo.shape[:2]
        scale = min(1.0, _DETECTION_SIDE / max(height, width))
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        else:
            small = photo
        found = []
        for box, score in self.detector.detect(small):
            left, top = max(0, round(box.x / scale)), max(0, round(box.y / scale))
            right = min(width, round((box.x + box.width) / scale))
            bottom = min(height, round((box.y + box.height) / scale))
            if right > left and bottom > top:
                found.append(Detection(Box(left, top, right - left, bottom - top), score))
        return found


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


def crop_face(photo: np.ndarray, box: Box) -> np.ndarray:
    """The face as FER-2013 frames it: a square `FRAME` times the box, grey uint8 (48, 48).

    `photo` is uint8 RGB (h, w, 3). Beyond the photo's border its outermost pixels are repeated.
    """
    side = max(1, round(FRAME * max(box.width, box.height)))
    left = round(box.x + box.width / 2 - side / 2)
    top = round(box.y + box.height / 2 - side / 2)
    height, width = photo.shape[:2]
    inside = photo[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    grey = cv2.cvtColor(np.ascontiguousarray(inside), cv2.COLOR_RGB2GRAY)
    grey = cv2.copyMakeBorder(
        grey,
        max(0, -top),
        max(0, top + side - height),
        max(0, -left),
        max(0, left + side - width),
        cv2.BORDER_REPLICATE,
    )
    # Area interpolation averages when it shrinks, but repeats pixels when it enlarges.
    interpolation = cv2.INTER_AREA if side >= SIDE else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIDE, SIDE), interpolation=interpolation)


def annotate(image: str | os.PathLike | bytes | Image.Image | np.ndarray, faces: list[RecognizedFace]) -> Image.Image:
    """The photo, upright and RGB, with each face boxed, labelled and its seven probabilities as bars.

    `image` is anything that `recognize` takes. Photos under 720 pixels on the longer side are enlarged, since
    no lettering is legible in a thumbnail. In a group, a face whose bars would hide another gets its label only.

    Raises:
        UnreadableImage: as `recognize`.
    """
    photo = open_image(image)
    enlarged = max(1.0, 720 / max(photo.size))
    if enlarged > 1:
        size = [max(1, round(side * enlarged)) for side in photo.size]
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    boxes = [tuple(enlarged * edge for edge in _edges(face.box)) for face in faces]
    layer = Image.new("RGBA", photo.size)
    draw = ImageDraw.Draw(layer)
    unit = max(photo.size) / 720  # one pixel of a photo 720 pixels long
    for box in boxes:
        _draw_box(draw, box, unit)
    taken = list(boxes)
    for face, box in zip(faces, boxes, strict=True):
        panel = _Panel(face, unit)
        where = panel.place(box, photo.size, taken)
        if len(faces) > 1 and _hidden(where, taken):
            panel = _Panel(face, unit, bars=False)
            where = panel.place(box, photo.size, taken)
        taken.append(where)
        panel.draw(draw, where)
    return Image.alpha_composite(photo.convert("RGBA"), layer).convert("RGB")


# --- the model's folder ---


def _read_about(folder: Path) -> dict:
    missing = [name for name in ("model.keras", "about.json") if not (folder / name).is_file()]
    if missing:
        raise StudyError(
            f"{folder}: expected a trained model (model.keras and about.json), "
            f"found no {' and no '.join(missing)}. "
            "Run `make study` first, or name the folder of another model."
        )
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        absent = [key for key in ("name", "source") if not isinstance(about[key], str)]
    except (ValueError, TypeError, KeyError) as problem:
        absent = [str(problem)]
    if absent:
        raise StudyError(
            f"{folder / 'about.json'}: expected a JSON object with the texts name and source, "
            f"found fault with {', '.join(absent)}. Run `make study` again."
        )
    return about


def _load_model(file: Path):
    # Here, because it takes seconds and reading photos does not need it.
    from fer_utils.backend import keras

    try:
        model = keras.saving.load_model(file, compile=False)
    except Exception as problem:  # Keras and zipfile raise many kinds for a damaged file
        raise StudyError(f"{file}: expected a saved Keras 3 model, found: {problem}. Train it again.") from problem
    found = (model.input_shape, model.output_shape)
    if found != ((None, SIDE, SIDE, 1), (None, len(EMOTIONS))):
        raise StudyError(
            f"{file}: expected input (None, {SIDE}, {SIDE}, 1) and output (None, {len(EMOTIONS)}), "
            f"found {found[0]} and {found[1]}. Give a model that this study trained."
        )
    return model


# --- reading images ---


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


# --- drawing ---

_ACCENT = (255, 176, 64, 255)
_INK = (23, 22, 26, 230)
_PALE = (255, 255, 255, 255)
_DIM = (176, 173, 182, 255)
_TRACK = (62, 60, 68, 255)


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.x + box.width, box.y + box.height


def _overlap(a: tuple, b: tuple) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def _hidden(place: tuple, taken: list[tuple]) -> float:
    return sum(_overlap(place, other) for other in taken)


def _draw_box(draw: ImageDraw.ImageDraw, box: tuple, unit: float) -> None:
    radius = min(8 * unit, (box[2] - box[0]) / 6)
    # A dark line outside the bright one keeps it visible on any ground.
    around = (box[0] - unit, box[1] - unit, box[2] + unit, box[3] + unit)
    draw.rounded_rectangle(around, radius + unit, outline=_INK, width=max(2, round(4.5 * unit)))
    draw.rounded_rectangle(box, radius, outline=_ACCENT, width=max(1, round(2.5 * unit)))


class _Panel:
    """A dark card beside a face: the emotion, and under it, unless `bars` is false, the seven bars."""

    def __init__(self, face: RecognizedFace, unit: float, bars: bool = True) -> None:
        self.face = face
        self.unit = unit
        self.bars = bars
        self.width = (158 if bars else 118) * unit
        self.height = (38 + 15 * len(EMOTIONS) if bars else 30) * unit

    def place(self, box: tuple, photo: tuple[int, int], taken: list[tuple]) -> tuple:
        """The card's rectangle: of eight places about `box` the one that hides least of what is taken."""
        gap = 7 * self.unit
        xs = {
            "left": box[0] - gap - self.width,
            "start": box[0],
            "end": box[2] - self.width,
            "right": box[2] + gap,
        }
        ys = {
            "above": box[1] - gap - self.height,
            "top": box[1],
            "low": box[3] - self.height,
            "below": box[3] + gap,
        }
        order = (
            "right top",
            "left top",
            "right low",
            "left low",
            "start below",
            "end below",
            "start above",
            "end above",
        )
        places = []
        for x, y in (name.split() for name in order):
            left = min(max(gap, xs[x]), photo[0] - self.width - gap)
            top = min(max(gap, ys[y]), photo[1] - self.height - gap)
            places.append((left, top, left + self.width, top + self.height))
        return min(places, key=lambda place: _hidden(place, taken))

    def draw(self, draw: ImageDraw.ImageDraw, where: tuple) -> None:
        unit, (left, top, right, _) = self.unit, where
        draw.rounded_rectangle(where, 8 * unit, fill=_INK)
        title, text = ImageFont.load_default(15 * unit), ImageFont.load_default(10.5 * unit)
        best = int(self.face.probabilities.argmax())
        inner, edge = left + 11 * unit, right - 11 * unit
        y = top + (17 if self.bars else 15) * unit
        draw.text((inner, y), self.face.emotion, fill=_PALE, font=title, anchor="lm")
        draw.text((edge, y), f"{self.face.probabilities[best]:.0%}", fill=_ACCENT, font=title, anchor="rm")
        if not self.bars:
            return
        start = inner + 52 * unit
        for row, (emotion, p) in enumerate(zip(EMOTIONS, self.face.probabilities, strict=True)):
            y = top + (39 + 15 * row) * unit
            draw.text((inner, y), emotion, fill=_PALE if row == best else _DIM, font=text, anchor="lm")
            bar = (start, y - 3 * unit, edge, y + 3 * unit)
            draw.rounded_rectangle(bar, 3 * unit, fill=_TRACK)
            length = float(p) * (edge - start)
            if length >= 1:
                filled = (start, bar[1], start + length, bar[3])
                radius = min(3 * unit, length / 2)
                draw.rounded_rectangle(filled, radius, fill=_ACCENT if row == best else _DIM)
