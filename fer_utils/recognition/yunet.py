"""YuNet, a small network that finds faces."""

from pathlib import Path

import cv2
import numpy as np

from fer_utils.errors import StudyError
from fer_utils.recognition.found import Box, Detection
from fer_utils.recognition.search import Detector
from fer_utils.recognition.yunet_file import YUNET_URL, yunet_path

_STRIDES = (8, 16, 32)
"""Pixels between neighbouring cells of the network's three grids. Each cell proposes a box."""

_SCORES = ("cls", "obj")
_INPUT = "input"
_OUTPUTS = [f"{name}_{stride}" for stride in _STRIDES for name in (*_SCORES, "bbox")]

_WIDEST = 1e6
"""Pixels that no edge of a real box has."""

# The sizes of the input in the file, as Protocol Buffers write them: a height and a width that are
# the number 640, and ones that are free and have the names h and w.
_FIXED, _FREE = b"\x08\x80\x05\x0a\x03\x08\x80\x05", b"\x12\x01h\x0a\x03\x12\x01w"


class YuNetDetector(Detector):
    """YuNet (Wu, Peng and Yu 2023), a small network that also finds rotated and occluded faces.

    The score is YuNet's own, from 0 to 1. ONNX Runtime runs the network in a third of the time
    that OpenCV's FaceDetectorYN takes, with the same boxes.

    YuNet's boxes extend from the chin to above the forehead. On photos, the square from the Haar
    cascade's box has 0.92 of their height. FER-2013's images end at chin and forehead; 0.99 of a
    box's height would give the whole image. Between these two values the accuracy is about the
    same.

    Args:
        model: YuNet's ONNX file (Apache-2.0, from libfacedetection.train); the file from
            `download_yunet` when None.

    Attributes:
        content: the bytes of the file, changed so that it takes photos of any size.

    Raises:
        StudyError: the file is missing, or it is another one.
    """

    name = "yunet"
    frame = 0.95
    # Smallest score. At 0.5, foliage and folds are detected as faces. At 0.9, rotated faces are
    # missed.
    SCORE = 0.7
    # Intersection over union above which the weaker of two boxes is dropped, as in OpenCV's own
    # YuNet.
    OVERLAP = 0.3

    def __init__(self, model: str | Path | None = None) -> None:
        self._file = Path(model) if model else yunet_path()
        if not self._file.is_file():
            raise StudyError(
                f"{self._file}: expected YuNet's model file, found none. Name it with --yunet "
                f"FILE, or download it once with `fer-study fetch-yunet` (from {YUNET_URL})."
            )
        self.content = self._file.read_bytes().replace(_FIXED, _FREE)
        self._session = _open(self.content, self._file)

    def __getstate__(self) -> dict:
        # The pickle contains the model, because another machine may lack the file.
        return self.__dict__ | {"_session": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._session = _open(self.content, self._file)

    def detect(self, photo: np.ndarray) -> list[Detection]:
        """Return the faces in `photo`, uint8 RGB (h, w, 3)."""
        height, width = photo.shape[:2]
        # The network takes BGR from 0 to 255, channels first, in whole cells of its widest grid.
        rows, columns = (side + -side % _STRIDES[-1] for side in (height, width))
        pixels = np.zeros((1, 3, rows, columns), np.float32)
        for channel in range(3):
            pixels[0, 2 - channel, :height, :width] = photo[..., channel]
        outputs = dict(zip(_OUTPUTS, self._session.run(_OUTPUTS, {_INPUT: pixels}), strict=True))
        found = np.concatenate(
            [self._candidates(outputs, stride, columns // stride) for stride in _STRIDES]
        )
        # In photos a few pixels wide, boxes may be infinite.
        found = found[(np.abs(found) < _WIDEST).all(axis=1)]
        # OpenCV's own YuNet compares boxes in whole pixels, too.
        kept = cv2.dnn.NMSBoxes(
            found[:, :4].astype(int).tolist(), found[:, 4].tolist(), self.SCORE, self.OVERLAP
        )
        return [
            Detection(Box(*(round(float(edge)) for edge in edges)), float(score))
            for *edges, score in found[np.ravel(kept).astype(int)]
        ]

    def _candidates(self, outputs: dict[str, np.ndarray], stride: int, columns: int) -> np.ndarray:
        """Return the likely boxes of one stride, float32 (n, 5): x, y, width, height, score."""
        face, thing = (np.clip(outputs[f"{name}_{stride}"][0, :, 0], 0, 1) for name in _SCORES)
        score = np.sqrt(face * thing)
        likely = np.flatnonzero(score >= self.SCORE)
        box = outputs[f"bbox_{stride}"][0, likely]
        cells = np.stack([likely % columns, likely // columns], axis=1)
        centre = (cells + box[:, :2]) * stride
        with np.errstate(over="ignore"):
            size = np.exp(box[:, 2:]) * stride
        return np.concatenate(
            [centre - size / 2, size, score[likely, None]], axis=1, dtype=np.float32
        )


def _open(model: bytes, file: Path):
    """Open the bytes of YuNet's file as a session of ONNX Runtime that takes photos of any size.

    Raises:
        StudyError: the file is no ONNX model, or another one.
    """
    # The import is here because the Haar cascade does not need it.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The file states the sizes of all layers for photos of 640 x 640 pixels. Each other size would
    # be a warning.
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = {each.name for each in session.get_outputs()}
        (pixels,) = session.get_inputs()
        if pixels.name != _INPUT or not names.issuperset(_OUTPUTS):
            raise ValueError(f"a network with the outputs {', '.join(sorted(names))}")
        if isinstance(pixels.shape[2], int):
            raise ValueError(f"a network for photos of {pixels.shape[3]} x {pixels.shape[2]}")
    except Exception as problem:  # ONNX Runtime raises many kinds for a damaged file
        raise StudyError(
            f"{file}: expected YuNet's ONNX file, found another one ({problem}). "
            "Download it again with `fer-study fetch-yunet`."
        ) from None
    return session
