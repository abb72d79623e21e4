"""From a photo to the expressions of its faces: detect, crop as FER-2013 does, classify.

This module needs only ONNX Runtime, OpenCV, Pillow and NumPy. A server needs no training library.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError
from fer_utils.paths import CARD, MODEL, RELEASED
from fer_utils.recognition.detectors import HaarDetector, make_detector
from fer_utils.recognition.found import Box, Detection, RecognizedFace, as_answer
from fer_utils.recognition.images import (
    AnyImage,
    Photo,
    UnreadableImage,
    is_annotated,
    is_photo_name,
)
from fer_utils.recognition.search import SIDES, Detector, find_faces

_BATCH = 64

_ENOUGH = 2 * SIDE
"""Pixels of a face's side that a crop needs. Of a larger face, a scaled photo is cropped."""

_logger = logging.getLogger(__name__)


class Recognizer:
    """A trained model and a face detector. Many threads may use one instance at the same time.

    An instance can be pickled, and used by processes that are forked or spawned. The pickle
    contains the model, so another machine needs no file.

    Args:
        model: folder with `model.onnx` and `card.json`, as `fer-study export` writes it; the
            released model when None. A relative path starts at the working folder.
        detector: finds the faces; `make_detector("auto")` when None, which is YuNet if its file is
            in the user's cache, else OpenCV's Haar cascade.
        threads: processor cores that classify one batch. One is best for one or two faces, and
            for many callers at the same time.

    Attributes:
        card: the content of `card.json`; at least name, source, temperature, threshold and
            public_accuracy.
        detector: the detector.
        content: the bytes of `model.onnx`.

    Raises:
        StudyError: the folder is missing or incomplete, or the model has another shape.
    """

    def __init__(
        self, model: str | Path | None = None, detector: Detector | None = None, *, threads: int = 1
    ) -> None:
        folder = RELEASED if model is None else Path(model).expanduser()
        self.card = read_card(folder)
        self.detector = detector or make_detector()
        self._file, self._threads = folder / MODEL, threads
        self.content = self._file.read_bytes()
        self._open()

    def _open(self) -> None:
        self._session = open_model(self._file, self._threads, self.content)
        self._input = self._session.get_inputs()[0].name

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_session": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def drawn(self) -> bool:
        """Whether the model was trained on the project's drawn faces instead of real ones."""
        return self.card["source"] == "sample"

    def recognize(self, image: AnyImage) -> list[RecognizedFace]:
        """Find and classify the faces in a photo, from left to right.

        Args:
            image: a path, the bytes of an image file, a PIL image, a `Photo`, or an array: uint8,
                grey (h, w) or RGB (h, w, 3), 0 is black; `image[..., ::-1]` converts OpenCV's BGR.
                `Photo` describes how it is read. A large JPEG is decoded only as large as it is
                searched, and larger for small faces.

        Returns:
            The faces; an empty list if there is none.

        Raises:
            UnreadableImage: the input is no image, or has an unsupported format, shape or dtype.
            ImageTooLarge: the image has more than `MAX_PIXELS` pixels.
        """
        return self.recognize_batch([image])[0]

    def answer(self, image: AnyImage) -> dict:
        """Recognise the faces in a photo and return the answer of `fer-study predict --json`.

        The server sends the same one. `as_answer` describes it.

        Raises:
            UnreadableImage: the photo cannot be read, as in `recognize`.
        """
        photo = Photo.of(image)
        return as_answer(photo.size, self.detector.name, self.recognize(photo))

    def recognize_batch(self, images: Iterable[AnyImage]) -> list[list[RecognizedFace]]:
        """Find the faces in each photo as `recognize` does, and classify all of them together.

        Raises:
            UnreadableImage: one of the photos cannot be read, as in `recognize`.
        """
        detections: list[list[Detection]] = []
        crops = []
        for image in images:
            photo = Photo.of(image)
            of_photo = find_faces(photo.scaled(max(SIDES)), self.detector, photo.size)
            of_photo.sort(key=lambda detection: detection.box)
            detections.append(of_photo)
            for detection in of_photo:
                frame, rise = self.detector.frame, self.detector.rise
                crops.append(crop_face(photo, detection.box, frame, rise))
        # One iterator over the rows of all photos, in the order of the detections.
        rows = iter(self.classify(np.stack(crops)) if crops else ())
        return [[self._face(each, next(rows)) for each in of_photo] for of_photo in detections]

    def recognize_folder(
        self, folder: str | os.PathLike, *, progress: bool = True
    ) -> Iterator[tuple[Path, list[RecognizedFace]]]:
        """Yield each photo below a folder, in the order of their paths, with its faces.

        Unreadable photos, annotated photos and other files are left out with a warning.

        Raises:
            StudyError: there is no such folder, or no photo in it can be read.
        """
        for path, _, faces in self.walk(photos_in(folder), progress=progress):
            yield path, faces

    def walk(
        self, photos: Sequence[Path], *, progress: bool = True
    ) -> Iterator[tuple[Path, Photo, list[RecognizedFace]]]:
        """Yield each photo in this order: its path, the photo, and its faces.

        Unreadable photos are left out with a warning.

        Args:
            photos: paths of photos.
            progress: whether to show a progress bar, if standard error is a terminal.

        Raises:
            StudyError: none of the photos can be read.
        """
        from tqdm.auto import tqdm

        read = 0
        for path in tqdm(photos, unit=" photos", disable=None if progress else True):
            try:
                photo = Photo(path)
                faces = self.recognize(photo)
            except UnreadableImage as problem:
                _logger.warning("%s", problem)
                continue
            read += 1
            yield path, photo, faces
        if not read:
            raise StudyError(
                f"photos: expected photos that can be read, found none among {len(photos):,} "
                "files. The warnings above contain the reason for each."
            )

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Return the probabilities, float32 (n, 7), of cropped faces, grey uint8 (n, 48, 48).

        They are the softmax of the logits divided by the card's temperature.

        Raises:
            StudyError: the dtype or the shape is another one.
        """
        faces = np.asarray(faces)
        if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (SIDE, SIDE):
            raise StudyError(
                f"faces: expected grey faces uint8 (n, {SIDE}, {SIDE}), found {faces.dtype} "
                f"{faces.shape}. Crop them with `crop_face`, or pass the whole photo to "
                "`recognize`."
            )
        logits = np.empty((len(faces), len(EMOTIONS)), np.float32)
        for start in range(0, len(faces), _BATCH):
            batch = faces[start : start + _BATCH, ..., None].astype(np.float32)
            logits[start : start + _BATCH] = self._session.run(None, {self._input: batch})[0]
        logits /= self.card["temperature"]
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _face(self, detection: Detection, probabilities: np.ndarray) -> RecognizedFace:
        best = int(probabilities.argmax())
        uncertain = bool(probabilities[best] < self.card["threshold"])
        return RecognizedFace(
            detection.box, detection.score, EMOTIONS[best], probabilities, uncertain
        )


def photos_in(folder: str | os.PathLike) -> list[Path]:
    """Return the files below a folder that have a photo's suffix, in the order of their paths.

    Photos that fer-study annotated are left out, because their faces are those of other photos. A
    warning has their number and the number of other files.

    Raises:
        StudyError: there is no such folder, or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: expected a folder of photos, found none. Name another one.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = [path for path in files if is_photo_name(path)]
    annotated = {path for path in named if is_annotated(path)}
    others = len(files) - len(named)
    if annotated:
        _logger.warning(
            "%s: passed over %d photos that fer-study annotated.", folder, len(annotated)
        )
    if others:
        _logger.warning(
            "%s: passed over %d files without a photo's suffix. Name a video by itself.",
            *(folder, others),
        )
    if len(annotated) == len(named):
        found = f"{len(files):,} other files" if files else "nothing in it"
        raise StudyError(f"{folder}: expected a folder of photos, found {found}. Name another one.")
    return [path for path in named if path not in annotated]


def crop_face(
    photo: Photo | np.ndarray, box: Box, frame: float = HaarDetector.frame, rise: float = 0.0
) -> np.ndarray:
    """Crop a face as FER-2013 does: a square about the box, grey uint8 (48, 48).

    Args:
        photo: a photo, or its pixels, uint8 RGB (h, w, 3). Beyond its border, the outermost pixels
            are repeated.
        box: place of the face in pixels of the whole photo, inside it.
        frame: side of the square, as a multiple of the box's longer side; see `Detector`.
        rise: height of the square's centre above the box's centre, as a share of the square's side.

    Raises:
        UnreadableImage: the photo's file is damaged, or the array has another shape or dtype.
    """
    photo = Photo.of(photo)
    side = max(1, round(frame * max(box.width, box.height)))
    left = round(box.x + box.width / 2 - side / 2)
    top = round(box.y + box.height / 2 - side / 2 - rise * side)
    width, height = photo.size
    # The part of the square inside the photo. It has at least one pixel, because every box of
    # `find_faces` lies inside.
    x0, x1 = (min(max(0, x), width) for x in (left, left + side))
    y0, y1 = (min(max(0, y), height) for y in (top, top + side))
    region = photo.region(x0, y0, x1, y1, min(1.0, _ENOUGH / side))
    grey = cv2.cvtColor(np.ascontiguousarray(region), cv2.COLOR_RGB2GRAY)
    down, across = grey.shape[0] / (y1 - y0), grey.shape[1] / (x1 - x0)
    above, below = round((y0 - top) * down), round((top + side - y1) * down)
    before, after = round((x0 - left) * across), round((left + side - x1) * across)
    grey = cv2.copyMakeBorder(grey, above, below, before, after, cv2.BORDER_REPLICATE)
    # Area interpolation averages pixels when it shrinks, but repeats them when it enlarges.
    interpolation = cv2.INTER_AREA if min(grey.shape) >= SIDE else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIDE, SIDE), interpolation=interpolation)


def read_card(folder: Path) -> dict:
    """Read the card of an exported model.

    Raises:
        StudyError: the folder lacks the model or its card, or the card lacks a required key.
    """
    missing = [name for name in (MODEL, CARD) if not (folder / name).is_file()]
    if missing:
        raise StudyError(
            f"{folder}: expected an exported model ({MODEL} and {CARD}), found no "
            f"{' and no '.join(missing)}. Export a run with `fer-study export`, or name the folder "
            "of another model."
        )
    expected = {
        "name": str,
        "source": str,
        "temperature": float,
        "threshold": float,
        "public_accuracy": float,
    }
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        wrong = [key for key, kind in expected.items() if not isinstance(card[key], kind)]
    except (ValueError, TypeError, KeyError) as problem:
        wrong = [str(problem)]
    if wrong:
        raise StudyError(
            f"{folder / CARD}: expected a JSON object with {', '.join(expected)}, found missing or "
            f"wrong: {', '.join(wrong)}. Export the run again."
        )
    return card


def open_model(file: Path, threads: int, content: bytes | None = None):
    """Open an exported model as a session of ONNX Runtime.

    Args:
        file: the model.
        threads: number of processor cores; 0 for all.
        content: the bytes of the file, if they are read already.

    Raises:
        StudyError: the file is no ONNX model, or its inputs or outputs have another shape.
    """
    # The import is here because reading photos does not need it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        # ONNX Runtime cannot open every valid file name, so it gets the bytes.
        session = onnxruntime.InferenceSession(
            content or file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as problem:  # ONNX Runtime raises many kinds for a damaged file
        raise StudyError(
            f"{file}: expected an ONNX model, found: {problem}. Export the run again."
        ) from None
    shapes = [each.shape[1:] for each in (*session.get_inputs(), *session.get_outputs())]
    if shapes != [[SIDE, SIDE, 1], [len(EMOTIONS)]]:
        found = " and ".join(str(shape) for shape in shapes)
        raise StudyError(
            f"{file}: expected one input (n, {SIDE}, {SIDE}, 1) and one output "
            f"(n, {len(EMOTIONS)}), found shapes {found} after n. Use a model that this study "
            "exported."
        )
    return session
