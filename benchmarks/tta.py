"""Gain and cost of each test-time augmentation in `augmentation.TTA`.

    python benchmarks/tta.py [--model FOLDER] [--data data/prepared] [--rounds 20]

FOLDER contains an exported model or a finished run. ONNX Runtime runs an exported model on one
thread, with all transforms of a face in one batch. Keras runs a finished run as `training.predict`
does. With --data, the program prints PublicTest accuracy with its 95 % Wilson interval, and the
difference from no augmentation in points, with its 95 % paired bootstrap interval. PrivateTest is
not read.

Times are of one face, from its pixels to the mean prediction. In each round the methods alternate,
and each one's time is the median of a few calls. The program prints the median of the rounds, and
the ratio to no augmentation in the same round with minimum and maximum.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from recognize import processor, span

from fer_utils.data.faces import Faces, load_faces
from fer_utils.emotions import EMOTIONS, PUBLIC, SIDE
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy_interval, mean_prediction, paired_bootstrap
from fer_utils.paths import MODEL, RELEASED
from fer_utils.recognition.recognizer import open_model
from fer_utils.training.augmentation import TTA, tta_transforms, warp
from fer_utils.training.runs import RUN_FILE

NONE, BATCH = "none", 256
NAMES = (NONE, *TTA)

Predict = Callable[[np.ndarray, str], np.ndarray]
"""Maps images uint8 (n, 48, 48) and a name of NAMES to logits (n, 7)."""


def exported(folder: Path) -> Predict:
    """Load an exported model, to run on one thread."""
    session = open_model(folder / MODEL, threads=1)
    pixels = session.get_inputs()[0].name
    transforms = {name: tta_transforms(name, SIDE) for name in TTA}

    def predict_batch(images: np.ndarray, name: str) -> np.ndarray:
        if name == NONE:
            return session.run(None, {pixels: images[..., None].astype(np.float32)})[0]
        of_one = transforms[name]
        repeated = np.repeat(images.astype(np.float32), len(of_one), 0)
        warped = warp(repeated, np.tile(of_one, (len(images), 1, 1)), SIDE, "edge")
        logits = session.run(None, {pixels: warped[..., None]})[0]
        logits = logits.reshape(len(images), len(of_one), len(EMOTIONS))
        return mean_prediction(logits.swapaxes(0, 1))

    def predict(images: np.ndarray, name: str) -> np.ndarray:
        step = max(1, BATCH // (1 if name == NONE else len(transforms[name])))
        starts = range(0, len(images), step)
        return np.concatenate([predict_batch(images[i : i + step], name) for i in starts])

    return predict


def trained(folder: Path) -> Predict:
    """Load the model of a finished run."""
    from fer_utils.training.predict import predict
    from fer_utils.training.runs import Run

    model = Run(folder).model()
    return lambda images, name: predict(model, images, "" if name == NONE else name)


def times(
    predict: Predict, image: np.ndarray, rounds: int, calls: int = 5
) -> dict[str, list[float]]:
    """Milliseconds for one image, uint8 (1, 48, 48), by method and round.

    An unmeasured round comes first.
    """
    milliseconds = {name: [] for name in NAMES}
    for _ in range(rounds + 1):
        for name, of_method in milliseconds.items():
            marks = [time.perf_counter()]
            for _ in range(calls):
                predict(image, name)
                marks.append(time.perf_counter())
            of_method.append(1000 * statistics.median(np.diff(marks)))
    return {name: of_method[1:] for name, of_method in milliseconds.items()}


def scores(predict: Predict, public: Faces) -> dict[str, str]:
    """Accuracy and difference from no augmentation by method, as text."""
    correct = {name: predict(public.images, name).argmax(1) == public.emotion for name in NAMES}
    texts = {}
    for name, each in correct.items():
        low, high = accuracy_interval(each.mean(), len(each))
        texts[name] = f"{100 * each.mean():6.2f} ({100 * low:.2f} to {100 * high:.2f})"
        if name != NONE:
            low, high = paired_bootstrap(each, correct[NONE])
            difference = each.mean() - correct[NONE].mean()
            texts[name] += f"  {100 * difference:+5.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=RELEASED,
        help="folder of an exported model or a run; default: the released model",
    )
    parser.add_argument("--data", type=Path, help="prepared faces; default: measure only times")
    parser.add_argument("--rounds", type=int, default=20, help="rounds; default: %(default)s")
    given = parser.parse_args()
    try:
        load = trained if (given.model / RUN_FILE).is_file() else exported
        predict = load(given.model)
        public = load_faces(given.data).of(PUBLIC) if given.data else None
    except StudyError as problem:
        sys.exit(str(problem))
    print(f"{given.model.name}; {processor()}; load {os.getloadavg()[0]:.1f}")
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE)).astype(np.uint8)
    milliseconds = times(predict, image, given.rounds)
    accuracies = scores(predict, public) if public else dict.fromkeys(NAMES, "")
    print(
        f"{'':8} {'calls':>5}  {'one face, ms':>24}  {'times none':>24}  PublicTest, %           "
        "than none, points"
    )
    for name in NAMES:
        pairs = zip(milliseconds[name], milliseconds[NONE], strict=True)
        ratio = span([one / none for one, none in pairs], 1)
        count = 1 if name == NONE else len(tta_transforms(name, SIDE))
        line = f"{name:8} {count:5}  {span(milliseconds[name], 2):>24}  {ratio:>24}"
        print(f"{line}  {accuracies[name]}".rstrip())


if __name__ == "__main__":
    main()
