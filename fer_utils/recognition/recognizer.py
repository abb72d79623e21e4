"""From a photo to the expressions on its faces: find them, cut them as FER-2013 does, classify.

Only ONNX Runtime, OpenCV, Pillow and NumPy are needed, so a machine that serves has no training library.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_utils.emotions import EMOTIONS, SIDE
from fer_utils.errors import StudyError
from fer_utils.recognition.detectors import Detector, HaarDetector, find_faces
from fer_utils.recognition.found import Box, Detection, RecognizedFace
from fer_utils.recognition.images import UnreadableImage, is_annotated, is_photo_name, open_image

RELEASED = Path(__file__).parents[1] / "pretrained"
"""Folder of the released model: trained on real faces by this study."""

MODEL, CARD = "model.onnx", "card.json"

_BATCH = 64

_logger = logging.getLogger(__name__)

AnyImage = str | os.PathLike | bytes | Image.Image | np.ndarray
"""What `images.open_image` takes: path, bytes of a file, PIL image, or uint8 array, grey or RGB."""


class Recognizer:
    """A trained model with a face detector before it. May be used from many threads at once.

    Args:
        model: folder with `model.onnx` and `card.json`, as `fer-study export` writes it; the released model when None.
            A relative path counts from the working folder.
        detector: what finds the faces; OpenCV's Haar cascade when None.
        threads: processor cores that classify one batch. One is best for a face or two, and for many callers at once.

    Attributes:
        card: what `card.json` says: at least name, source, temperature, threshold and public_accuracy.
        detector: see there.

    Raises:
        StudyError: the folder is missing or incomplete, or the model has another shape.
    """

    def __init__(
        self, model: str | Path | None = None, detector: Detector | None = None, *, threads: int = 1
    ) -> None:
        folder = RELEASED if model is None else Path(model).expanduser()
        self.card = read_card(folder)
        self.detector = detector or HaarDetector()
        self._session = open_model(folder / MODEL, threads)
        self._input = self._session.get_inputs()[0].name

    @property
    def drawn(self) -> bool:
        """Whether the model was trained on the project's drawn faces, and so knows nothing of real ones."""
        return self.card["source"] == "sample"

    def recognize(self, image: AnyImage) -> list[RecognizedFace]:
        """The faces in a photo, from left to right; an empty list where there is none.

        Args:
            image: a path, the bytes of an image file, a PIL image, or an array: uint8, grey (h, w) or RGB
                (h, w, 3), 0 is black. See `open_image` for how it is read.

        Raises:
            UnreadableImage: it is no image, or a format, shape or dtype that is not read.
            ImageTooLarge: it has more than `MAX_PIXELS` pixels.
        """
        return self.recognize_batch([image])[0]

    def recognize_batch(self, images: Iterable[AnyImage]) -> list[list[RecognizedFace]]:
        """The faces in each of several photos, as `recognize` gives them, classified together.

        Raises:
            UnreadableImage: one of them cannot be read, as in `recognize`.
        """
        found, crops = [], []
        for image in images:
            photo = np.asarray(open_image(image))
            found.append(
                sorted(find_faces(photo, self.detector), key=lambda detection: detection.box)
            )
            crops += [
                crop_face(photo, each.box, self.detector.frame, self.detector.rise)
                for each in found[-1]
            ]
        answers = iter(self.classify(np.stack(crops)) if crops else ())
        return [[self._face(each, next(answers)) for each in of_photo] for of_photo in found]

    def recognize_folder(
        self, folder: str | os.PathLike, *, progress: bool = True
    ) -> Iterator[tuple[Path, list[RecognizedFace]]]:
        """Each photo below a folder, in the order of their paths, with its faces.

        A photo that cannot be read is warned of and left out, and so is one that fer-study annotated.
        Other files are passed over, and their number is warned of.

        Raises:
            StudyError: there is no such folder, or no photo in it can be read.
        """
        for path, _, faces in self.walk(photos_in(folder), progress=progress):
            yield path, faces

    def walk(
        self, photos: Sequence[Path], *, progress: bool = True
    ) -> Iterator[tuple[Path, Image.Image, list[RecognizedFace]]]:
        """Each photo, in this order, upright and RGB, with its faces.

        One that cannot be read is warned of and left out.

        Raises:
            StudyError: none of them can be read.
        """
        from tqdm.auto import tqdm

        read = 0
        for path in tqdm(photos, unit=" photos", disable=None if progress else True):
            try:
                photo = open_image(path)
                faces = self.recognize(photo)
            except UnreadableImage as problem:
                _logger.warning("%s", problem)
                continue
            read += 1
            yield path, photo, faces
        if not read:
            raise StudyError(
                f"expected photos that can be read, found none among {len(photos):,} files. The "
                "warnings above say what was wrong with each."
            )

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, 7), of faces already cut out, grey uint8 (n, 48, 48).

        They are the softmax of the logits divided by the card's temperature.

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
    """The photos below a folder, by their names' endings, in the order of their paths.

    Those that fer-study annotated are left out, since their faces have been answered for; this and
    how many other files there are is warned of.

    Raises:
        StudyError: there is no such folder, or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: expected a folder of photos, found none.")
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
            "%s: passed over %d files whose names do not end as a photo's do. Name a video by itself.",
            *(folder, others),
        )
    if len(annotated) == len(named):
        found = f"{len(files):,} other files" if files else "nothing in it"
        raise StudyError(f"{folder}: expected a folder of photos, found {found}.")
    return [path for path in named if path not in annotated]


def crop_face(
    photo: np.ndarray, box: Box, frame: float = HaarDetector.frame, rise: float = 0.0
) -> np.ndarray:
    """The face as FER-2013 frames it: a square about the box, grey uint8 (48, 48).

    Args:
        photo: uint8 RGB (h, w, 3). Beyond its border its outermost pixels are repeated.
        box: where the face is.
        frame: side of the square, as a multiple of the box's longer side; see `Detector`.
        rise: how far the square's middle lies above the box's, as a share of its side.
    """
    side = max(1, round(frame * max(box.width, box.height)))
    left = round(box.x + box.width / 2 - side / 2)
    top = round(box.y + box.height / 2 - side / 2 - rise * side)
    height, width = photo.shape[:2]
    # At least one pixel stays inside, so that there is a border to repeat.
    columns = np.clip([left, left + side], 0, width)
    rows = np.clip([top, top + side], 0, height)
    grey = cv2.cvtColor(
        np.ascontiguousarray(photo[rows[0] : rows[1], columns[0] : columns[1]]), cv2.COLOR_RGB2GRAY
    )
    grey = cv2.copyMakeBorder(
        grey,
        rows[0] - top,
        top + side - rows[1],
        columns[0] - left,
        left + side - columns[1],
        cv2.BORDER_REPLICATE,
    )
    # Area interpolation averages when it shrinks, but repeats pixels when it enlarges.
    interpolation = cv2.INTER_AREA if side >= SIDE else cv2.INTER_LINEAR
    return cv2.resize(grey, (SIDE, SIDE), interpolation=interpolation)


def read_card(folder: Path) -> dict:
    """The card of an exported model.

    Raises:
        StudyError: the folder lacks the model or its card, or the card lacks what recognition needs.
    """
    missing = [name for name in (MODEL, CARD) if not (folder / name).is_file()]
    if missing:
        raise StudyError(
            f"{folder}: expected an exported model ({MODEL} and {CARD}), found no {' and no '.join(missing)}. "
            "Export a run with `fer-study export`, or name the folder of another model."
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
            f"{folder / CARD}: expected a JSON object with {', '.join(expected)}, found fault with "
            f"{', '.join(wrong)}. Export the run again."
        )
    return card


def open_model(file: Path, threads: int):
    """An exported model's session of ONNX Runtime, on so many processor cores; 0 takes all.

    Raises:
        StudyError: the file is no ONNX model, or one of another shape.
    """
    # Here, because reading photos does not need it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    try:
        # As bytes: ONNX Runtime cannot open every name that a file may have.
        session = onnxruntime.InferenceSession(
            file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as problem:  # ONNX Runtime raises many kinds for a damaged file
        raise StudyError(
            f"{file}: expected an ONNX model, found: {problem}. Export the run again."
        ) from None
    found = [each.shape[1:] for each in (*session.get_inputs(), *session.get_outputs())]
    if found != [[SIDE, SIDE, 1], [len(EMOTIONS)]]:
        raise StudyError(
            f"{file}: expected one input (n, {SIDE}, {SIDE}, 1) and one output (n, {len(EMOTIONS)}), found "
            f"{' and '.join(str(shape) for shape in found)} for each n. Give a model that this study exported."
        )
    return session
