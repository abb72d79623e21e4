"""What a browser needs to find and classify faces by itself, without sending a picture.

These are onnxruntime-web (from npm, `make on-device`), the model, and YuNet's file. The browser's
part is in `static/on_device/`. It does the same as `fer_utils.recognition`.
"""

from dataclasses import dataclass
from pathlib import Path

from fer_utils.errors import StudyError
from fer_utils.paths import resolve
from fer_utils.recognition.recognizer import Recognizer
from fer_utils.recognition.yunet import YuNetDetector

INSTALLED = "web/onnxruntime-web"
"""The folder of `make on-device`, relative to the study's folder."""

RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
"""The files of onnxruntime-web that run models in WebAssembly with SIMD."""


@dataclass(frozen=True, eq=False)
class OnDevice:
    """What a browser needs.

    Attributes:
        runtime: folder with `RUNTIME_FILES`.
        model: the classifier's ONNX file.
        yunet: YuNet's ONNX file, for pictures of any size.
        temperature: the number by which the classifier's logits are divided.
    """

    runtime: Path
    model: bytes
    yunet: bytes
    temperature: float

    @property
    def megabytes(self) -> float:
        """Size of all that a browser fetches, in 1,000,000 bytes."""
        runtime = sum((self.runtime / name).stat().st_size for name in RUNTIME_FILES)
        return (runtime + len(self.model) + len(self.yunet)) / 1e6


def find_on_device(recognizer: Recognizer, runtime: str | Path | None = None) -> OnDevice | None:
    """Return what a browser needs to answer as `recognizer` does.

    Args:
        recognizer: has the model and the detector.
        runtime: folder of onnxruntime-web; `INSTALLED` when None.

    Returns:
        None if `runtime` is None and something is missing.

    Raises:
        StudyError: `runtime` is named, and it lacks a file or the detector is not YuNet.
    """
    try:
        return expect_on_device(recognizer, runtime)
    except StudyError:
        if runtime is not None:
            raise
        return None


def expect_on_device(recognizer: Recognizer, runtime: str | Path | None = None) -> OnDevice:
    """Do the same as `find_on_device`, but raise StudyError if something is missing."""
    folder = resolve(INSTALLED) if runtime is None else Path(runtime)
    missing = [name for name in RUNTIME_FILES if not (folder / name).is_file()]
    if missing:
        raise StudyError(
            f"{folder}: expected onnxruntime-web, found no {' and no '.join(missing)}. Install it "
            "with `make on-device`, or name its folder with --onnxruntime-web."
        )
    detector = recognizer.detector
    if not isinstance(detector, YuNetDetector):
        raise StudyError(
            f"on this device: expected the face detector yunet, found {detector.name}. Download "
            "YuNet with `fer-study fetch-yunet`, or name its file with --yunet."
        )
    return OnDevice(folder, recognizer.content, detector.content, recognizer.card["temperature"])
