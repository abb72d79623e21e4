"""One contender of recognize.py, measured in a process of its own: fer's environment runs this file
too.

Only the standard library is imported before the contender is, so that its import time and peak
memory are its own.
"""

import importlib.metadata
import json
import os
import resource
import statistics
import sys
import time

WARM_UP = 20  # calls that are not counted


def typical(call, seconds: float) -> float:
    """Median milliseconds of a call, over at least five calls and this many seconds."""
    times, until = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


def peak_mb() -> float:
    """Most memory this process has held so far, MB. Linux counts in KiB, macOS in bytes."""
    return (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * (1 if sys.platform == "darwin" else 1024)
        / 1e6
    )


class Fer:
    """The `fer` package as it comes: its quantised network in TensorFlow Lite, after OpenCV's
    `default` cascade."""

    packages = ("fer", "tensorflow", "opencv-contrib-python")
    mtcnn = False

    def load(self, job: dict) -> None:
        from fer.fer import FER

        self.maker = FER

    def prepare(self, job: dict) -> None:
        import cv2

        cv2.setNumThreads(job["threads"])
        self.model = self.maker(mtcnn=self.mtcnn)

    def face(self, pixels):
        import numpy as np

        # Its own call, told where the face is: it widens a box by ten pixels on each side, to the
        # whole picture.
        side = pixels.shape[0]
        picture, box = np.repeat(pixels[..., None], 3, axis=2), [(10, 10, side - 20, side - 20)]
        return lambda: self.model.detect_emotions(picture, face_rectangles=box)

    def photo(self, path: str) -> int:
        return len(self.model.detect_emotions(path))


class FerMtcnn(Fer):
    """The same, after the MTCNN of facenet-pytorch."""

    packages = ("fer", "facenet-pytorch", "torch")
    mtcnn = True

    def load(self, job: dict) -> None:
        # PyTorch 2.14 after TensorFlow 2.21 ends in a segmentation fault.
        import facenet_pytorch  # noqa: F401

        super().load(job)

    def prepare(self, job: dict) -> None:
        import torch

        torch.set_num_threads(job["threads"])
        super().prepare(job)


class Predict:
    """`keras.Model.predict`, which has no detector."""

    packages = ("keras", "tensorflow-cpu", "tensorflow")

    def load(self, job: dict) -> None:
        import keras  # noqa: F401 (what is timed)

    def prepare(self, job: dict) -> None:
        from pathlib import Path

        from fer_utils.training.released import load_keras

        self.model = load_keras(Path(job["model"]))

    def face(self, pixels):
        batch = self.batch(pixels)
        return lambda: self.model.predict(batch, verbose=0)

    def batch(self, pixels):
        import numpy as np

        return pixels[None, ..., None].astype(np.float32)


class Compiled(Predict):
    """A `tf.function` of the same Keras model with its input's shape fixed: the quickest call that
    Keras has."""

    def face(self, pixels):
        import tensorflow as tf

        batch = self.batch(pixels)
        signature = [tf.TensorSpec(batch.shape, tf.float32)]
        call = tf.function(lambda x: self.model(x, training=False), input_signature=signature)
        return lambda: call(tf.constant(batch)).numpy()


class Ours:
    """`fer_utils.Recognizer`: ONNX Runtime after OpenCV's `alt2` cascade."""

    packages = ("onnxruntime", "opencv-python-headless")

    def load(self, job: dict) -> None:
        from fer_utils import Recognizer

        self.maker = Recognizer

    def prepare(self, job: dict) -> None:
        import cv2

        cv2.setNumThreads(job["threads"])
        self.model = self.maker(job["model"], self.detector(job), threads=job["threads"])

    def detector(self, job: dict):
        return None

    def face(self, pixels):
        batch = pixels[None]
        return lambda: self.model.classify(batch)

    def photo(self, path: str) -> int:
        return len(self.model.recognize(path))


class OursYuNet(Ours):
    """The same, after YuNet."""

    def detector(self, job: dict):
        from fer_utils.recognition.detectors import YuNetDetector

        return YuNetDetector(job["yunet"])


CONTENDERS = {
    "fer": Fer,
    "fer, mtcnn": FerMtcnn,
    "Model.predict": Predict,
    "compiled Keras": Compiled,
    "ours": Ours,
    "ours, yunet": OursYuNet,
}


def measure(job: dict) -> dict:
    """All that is measured of one contender. Times in ms, import and preparation in seconds, memory
    in MB.

    `job` has contender, threads, seconds (for each face and photo), photos (paths) and, for ours,
    model and yunet.
    """
    contender = CONTENDERS[job["contender"]]()
    started = time.perf_counter()
    contender.load(job)
    loaded = time.perf_counter()
    contender.prepare(job)
    prepared = time.perf_counter()
    memory = {"ready_mb": peak_mb()}

    import numpy as np

    pixels = np.random.default_rng(0).integers(
        0, 256, (48, 48), np.uint8
    )  # a network takes any as long
    call = contender.face(pixels)
    for _ in range(WARM_UP):
        call()
    face = typical(call, job["seconds"])
    photos, found = {}, {}
    if hasattr(contender, "photo"):
        for path in job["photos"]:
            name = os.path.basename(path)  # noqa: PTH119 (pathlib is no part of what is measured)
            found[name] = contender.photo(path)  # the first call of a size prepares for it
            photos[name] = typical(lambda path=path: contender.photo(path), job["seconds"] / 5)
    return {
        "import_s": loaded - started,
        "prepare_s": prepared - loaded,
        "face_ms": face,
        "photos_ms": photos,
        "found": found,
        "peak_mb": peak_mb(),
        "versions": versions(contender.packages),
        **memory,
    }


def versions(packages) -> str:
    """Those of the packages that are installed, with their versions."""
    known = []
    for package in packages:
        try:
            known.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(known)


if __name__ == "__main__":
    result = measure(json.loads(sys.argv[1]))
    print("\n" + json.dumps(result), flush=True)  # libraries may have left their line open
