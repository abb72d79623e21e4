"""Ask whether a classifier on histograms of oriented gradients improves the ensemble.

    python benchmarks/hog_voter.py --csv fer2013.csv.gz [--components 4000] [--quick]

The features are the histograms of an image with cells of 6, 8 and 12 pixels. The classifier is a
logistic regression on a Nystroem approximation of an RBF kernel (Williams and Seeger 2001), trained
on Training and its horizontal flips. Its regularisation and the width of the kernel are selected on
PublicTest, and so is the ensemble, by the greedy selection of `fer-study ensemble` from the
committed runs, without and with this classifier. The program prints the accuracy and the
cross-entropy of each on PublicTest. PrivateTest is not read.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances

from fer_utils.audits.hog_classifier import gradients
from fer_utils.data.sources import read
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import cross_entropy
from fer_utils.paths import EVIDENCE, resolve
from fer_utils.results.ensembles import member_logits, members, select, selected
from fer_utils.results.evidence import read_evidence

CELLS = (6, 8, 12)
WIDTHS = (0.5, 1.0, 2.0)  # of the kernel: multiples of 1 / (the median squared distance)
STRENGTHS = (1.0, 10.0)  # scikit-learn's C, the inverse of the regularisation


def features(images: np.ndarray) -> np.ndarray:
    """Describe images, uint8 (n, 48, 48), as float32 (n, 3132)."""
    return np.concatenate([gradients(images, cell) for cell in CELLS], axis=1)


def fitted(train, emotion, test, width: float, strength: float, components: int) -> np.ndarray:
    """Train a classifier and return its log-probabilities, float32 (n, 7), of `test`."""
    draw = np.random.default_rng(0)
    some = train[draw.choice(len(train), min(500, len(train)), replace=False)]
    gamma = width / np.median(euclidean_distances(some, squared=True))
    kernel = Nystroem(gamma=gamma, n_components=components, random_state=0).fit(train)
    classifier = LogisticRegression(C=strength, max_iter=500)
    classifier.fit(kernel.transform(train), emotion)
    return classifier.predict_log_proba(kernel.transform(test)).astype(np.float32)


def report(name: str, logits: np.ndarray, emotion: np.ndarray) -> None:
    accuracy = (logits.argmax(axis=1) == emotion).mean()
    print(f"{name}: {accuracy:.2%}, cross-entropy {cross_entropy(logits, emotion):.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True, help="Kaggle's CSV, packed or not")
    parser.add_argument("--components", type=int, default=4000, help="default: 4000")
    parser.add_argument(
        "--quick", action="store_true", help="one width and one strength, to test the program"
    )
    given = parser.parse_args()
    began = time.process_time()
    try:
        faces = read("csv", given.csv)
        runs = read_evidence(resolve(EVIDENCE), faces)
    except StudyError as problem:
        sys.exit(str(problem))
    training, public = faces.of(TRAINING), faces.of(PUBLIC)
    both = training.images, training.images[:, :, ::-1]
    train = np.concatenate([features(images) for images in both])
    emotion = np.tile(training.emotion, 2)
    test = features(public.images)
    found: dict[str, np.ndarray] = {}
    for width in (1.0,) if given.quick else WIDTHS:
        for strength in (10.0,) if given.quick else STRENGTHS:
            logits = fitted(train, emotion, test, width, strength, given.components)
            found[f"width {width:g}, C {strength:g}"] = logits
            report(list(found)[-1], logits, public.emotion)
    name = min(found, key=lambda each: cross_entropy(found[each], public.emotion))
    print(f"selected: {name}")

    fair = {folder: info for folder, info in runs.items() if not info.learned_from_votes}
    candidates = {folder.name: each for folder, each in member_logits(fair, public).items()}
    for which, more in (("without it", {}), ("with it", {"gradients": found[name]})):
        path = select(candidates | more, public.emotion)
        chosen = selected(path)
        counts = ", ".join(f"{label} x{times}" for label, times in members(path).items())
        print(
            f"ensemble {which}: {chosen['accuracy']:.2%}, cross-entropy "
            f"{chosen['cross_entropy']:.4f} ({counts})"
        )
    print(f"processor time: {time.process_time() - began:.0f} s")


if __name__ == "__main__":
    main()
