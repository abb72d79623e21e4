"""One contender of recognize.py or peer.py, measured in a process and an environment of its own.

Only the standard library is imported before the contender, so that import time and peak memory are
the contender's own.
"""

import importlib.metadata
import json
import os
import statistics
import sys
import time

from peak_memory import peak_mb

WARM_UP = 20  # calls before the measurement


def typical(call, seconds: float) -> tuple[float, float]:
    """Median milliseconds of a call: by the clock, and of the processor in all threads together.

    The medians are over this many seconds and at least five calls.
    """
    times, used, until = [], [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < until:
        started, before = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - started)
        used.append(time.process_time() - before)
    return statistics.median(times) * 1e3, statistics.median(used) * 1e3


class Fer:
    """The `fer` package with its defaults: a quantised network in TensorFlow Lite, and OpenCV's
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

        # fer's own call with a given box. It widens the box by ten pixels on each side, here to the
        # whole picture.
        side = pixels.shape[0]
        picture, box = np.repeat(pixels[..., None], 3, axis=2), [(10, 10, side - 20, side - 20)]
        return lambda: self.model.detect_emotions(picture, face_rectangles=box)

    def photo(self, path: str) -> int:
        return len(self.model.detect_emotions(path))


class FerMtcnn(Fer):
    """The same with the MTCNN detector of facenet-pytorch."""

    packages = ("fer", "facenet-pytorch", "torch")
    mtcnn = True

    def load(self, job: dict) -> None:
        # If PyTorch 2.14 is imported after TensorFlow 2.21, the process ends with SIGSEGV.
        import facenet_pytorch  # noqa: F401

        super().load(job)

    def prepare(self, job: dict) -> None:
        import torch

        torch.set_num_threads(job["threads"])
        super().prepare(job)


class Facex:
    """The `facex` package: a network in TensorFlow Lite, and OpenCV's `default` cascade."""

    packages = ("facex", "tensorflow", "opencv-contrib-python")

    def load(self, job: dict) -> None:
        from facex import PoolManager

        self.maker = PoolManager

    def prepare(self, job: dict) -> None:
        import cv2

        cv2.setNumThreads(job["threads"])
        self.model = self.maker(pool_size=1)

    def face(self, pixels):
        classifier = self.model.pool[0]
        return lambda: classifier.detect_emotion(pixels)

    def photo(self, path: str) -> int:
        import cv2

        return len(self.model.predict(cv2.imread(path)))


class Predict:
    """`keras.Model.predict` without a detector."""

    packages = ("keras", "tensorflow-cpu", "tensorflow")

    def load(self, job: dict) -> None:
        import keras  # noqa: F401 (its import is timed)

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
    """A `tf.function` of the same Keras model with a fixed input shape, Keras' fastest call."""

    def face(self, pixels):
        import tensorflow as tf

        batch = self.batch(pixels)
        signature = [tf.TensorSpec(batch.shape, tf.float32)]
        call = tf.function(lambda x: self.model(x, training=False), input_signature=signature)
        return lambda: call(tf.constant(batch)).numpy()


class Ours:
    """`fer_utils.Recognizer`: ONNX Runtime and OpenCV's `alt2` cascade."""

    packages = ("onnxruntime", "opencv-python-headless")

    def load(self, job: dict) -> None:
        from fer_utils import Recognizer

        self.maker = Recognizer

    def prepare(self, job: dict) -> None:
        import cv2

        cv2.setNumThreads(job["threads"])
        self.model = self.maker(job["model"], self.detector(job), threads=job["threads"])

    def detector(self, job: dict):
        from fer_utils.recognition.detectors import make_detector

        return make_detector("haar")  # not auto, which depends on what this user has fetched

    def face(self, pixels):
        batch = pixels[None]
        return lambda: self.model.classify(batch)

    def photo(self, path: str) -> int:
        return len(self.model.recognize(path))


class OursYuNet(Ours):
    """The same with YuNet."""

    def detector(self, job: dict):
        from fer_utils.recognition.yunet import YuNetDetector

        return YuNetDetector(job["yunet"])


CONTENDERS = {
    "fer": Fer,
    "fer, mtcnn": FerMtcnn,
    "facex": Facex,
    "Model.predict": Predict,
    "compiled Keras": Compiled,
    "ours": Ours,
    "ours, yunet": OursYuNet,
}


def measure(job: dict) -> dict:
    """Measure one contender.

    Args:
        job: contender, threads, seconds (for each face and photo), photos (paths), and for ours
            model and yunet.

    Returns:
        Times in ms, import and preparation in seconds, memory in MB.
    """
    contender = CONTENDERS[job["contender"]]()
    started = time.perf_counter()
    contender.load(job)
    loaded = time.perf_counter()
    contender.prepare(job)
    prepared = time.perf_counter()
    ready = peak_mb()

    import numpy as np

    # The time does not depend on the pixels.
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    call = contender.face(pixels)
    for _ in range(WARM_UP):
        call()
    face, _ = typical(call, job["seconds"])
    photos, processor, found = {}, {}, {}
    if hasattr(contender, "photo"):
        for path in job["photos"]:
            name = os.path.basename(path)  # noqa: PTH119 (pathlib's import would be measured)
            found[name] = contender.photo(path)  # the first call for a size is slower
            photos[name], processor[name] = typical(
                lambda path=path: contender.photo(path), job["seconds"] / 5
            )
    return {
        "import_s": loaded - started,
        "prepare_s": prepared - loaded,
        "face_ms": face,
        "photos_ms": photos,
        "photos_processor_ms": processor,
        "found": found,
        "ready_mb": ready,
        "peak_mb": peak_mb(),
        "versions": versions(contender.packages),
    }


def versions(packages) -> str:
    """The installed ones of these packages with their versions."""
    installed = []
    for package in packages:
        try:
            installed.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(installed)


if __name__ == "__main__":
    result = measure(json.loads(sys.argv[1]))
    print("\n" + json.dumps(result), flush=True)  # a library may have left its line open
