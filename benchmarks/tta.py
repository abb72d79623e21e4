"""What test-time averaging brings and what it costs, for each of `augmentation.VIEWS`.

    python benchmarks/tta.py [--model FOLDER] [--data data/prepared] [--rounds 20]

FOLDER holds an exported model, which ONNX Runtime runs on one thread with all views of a face in
one batch, or a finished run, which Keras runs as `training.predict` does. With --data, prepared
faces, prints accuracy on PublicTest with its 95 % interval (Wilson), and the difference from the
image alone, in points, with its 95 % paired bootstrap interval; PrivateTest is never looked at.
Times are of one face, from its pixels to the averaged answer: the median of a few calls a round,
all ways in turn, and then the median of the rounds and, with smallest and largest, of the ratios to
no averaging in the same round.
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
from fer_utils.recognition.recognizer import MODEL, RELEASED, open_model
from fer_utils.training.augmentation import TTA, tta_transforms, warp

NONE, BATCH = "none", 256
NAMES = (NONE, *TTA)

Look = Callable[[np.ndarray, str], np.ndarray]
"""From images uint8 (n, 48, 48) and a way to look at them, of NAMES, to logits (n, 7)."""


def exported(folder: Path) -> Look:
    """An exported model, on one thread."""
    session = open_model(folder / MODEL, threads=1)
    pixels = session.get_inputs()[0].name
    transforms = {name: tta_transforms(name, SIDE) for name in TTA}

    def some(images: np.ndarray, name: str) -> np.ndarray:
        if name == NONE:
            return session.run(None, {pixels: images[..., None].astype(np.float32)})[0]
        of_each = transforms[name]
        every = np.repeat(images.astype(np.float32), len(of_each), 0)
        seen = warp(every, np.tile(of_each, (len(images), 1, 1)), SIDE, "edge")
        logits = session.run(None, {pixels: seen[..., None]})[0]
        return mean_prediction(
            logits.reshape(len(images), len(of_each), len(EMOTIONS)).swapaxes(0, 1)
        )

    def look(images: np.ndarray, name: str) -> np.ndarray:
        step = max(1, BATCH // (1 if name == NONE else len(transforms[name])))
        return np.concatenate(
            [some(images[at : at + step], name) for at in range(0, len(images), step)]
        )

    return look


def trained(folder: Path) -> Look:
    """A finished run's model."""
    from fer_utils.training.predict import predict
    from fer_utils.training.runs import Run

    model = Run(folder).model()
    return lambda images, name: predict(model, images, "" if name == NONE else name)


def times(look: Look, image: np.ndarray, rounds: int, calls: int = 5) -> dict[str, list[float]]:
    """Milliseconds for one image uint8 (1, 48, 48) each way, one number a round; an unmeasured
    round comes first."""
    found = {name: [] for name in NAMES}
    for _ in range(rounds + 1):
        for name, taken in found.items():
            marks = [time.perf_counter()]
            for _ in range(calls):
                look(image, name)
                marks.append(time.perf_counter())
            taken.append(1000 * statistics.median(np.diff(marks)))
    return {name: taken[1:] for name, taken in found.items()}


def scores(look: Look, public: Faces) -> dict[str, str]:
    """Accuracy and difference from the image alone, each way, as the table has them."""
    correct = {name: look(public.images, name).argmax(1) == public.emotion for name in NAMES}
    found = {}
    for name, each in correct.items():
        low, high = accuracy_interval(each.mean(), len(each))
        found[name] = f"{100 * each.mean():6.2f} ({100 * low:.2f} to {100 * high:.2f})"
        if name != NONE:
            low, high = paired_bootstrap(each, correct[NONE])
            difference = each.mean() - correct[NONE].mean()
            found[name] += f"  {100 * difference:+5.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=RELEASED,
        help="an exported model or a run (default: released)",
    )
    parser.add_argument("--data", type=Path, help="folder of prepared faces (default: only times)")
    parser.add_argument(
        "--rounds", type=int, default=20, help="of all ways in turn (default: %(default)s)"
    )
    given = parser.parse_args()
    try:
        look = (
            trained(given.model) if (given.model / "run.json").is_file() else exported(given.model)
        )
        public = load_faces(given.data).of(PUBLIC) if given.data else None
    except StudyError as problem:
        sys.exit(str(problem))
    print(f"{given.model.name}; {processor()}; load {os.getloadavg()[0]:.1f}")
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE)).astype(np.uint8)
    taken = times(look, image, given.rounds)
    accuracies = scores(look, public) if public else dict.fromkeys(NAMES, "")
    print(
        f"{'':8} {'tta':>5}  {'one face, ms':>24}  {'times none':>24}  PublicTest, %           "
        "than none, points"
    )
    for name in NAMES:
        ratios = [one / alone for one, alone in zip(taken[name], taken[NONE], strict=True)]
        count = 1 if name == NONE else len(tta_transforms(name, SIDE))
        spans = f"{span(taken[name], 2):>24}  {span(ratios, 1):>24}"
        print(f"{name:8} {count:5}  {spans}  {accuracies[name]}".rstrip())


if __name__ == "__main__":
    main()
