"""Hold a run of ours against the network of the `fer` package on the same images of FER-2013.

    python benchmarks/peer.py --csv fer2013.csv.gz [--run reports/evidence/small_resnet-seed2]

fer's network classifies the images as they are, cut by nobody, in an environment of its own (see
recognize.py). Ours is read from the evidence: nothing is scored anew. For each usage it prints both
accuracies, their difference with a 95 % paired bootstrap interval over images, and McNemar's exact
test. On which images fer's weights were chosen is not known; Arriaga et al. 2017 (arXiv 1710.07557)
state 66 % for that network.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from recognize import default_env, ensure_fer

from fer_utils.data.faces import Faces
from fer_utils.data.sources import read
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import mcnemar, paired_bootstrap
from fer_utils.training.runs import logits_of

# Runs in fer's environment: images uint8 (n, 48, 48) in, probabilities float32 (n, 7) out.
CLASSIFY = """
import sys
import cv2
import numpy as np
from fer.fer import FER

images = np.load(sys.argv[1])
model = FER()
names = [name for _, name in sorted(model._get_labels().items())]
assert names == sys.argv[3].split(), names
ready = [FER._FER__preprocess_input(cv2.resize(image, (64, 64)), True) for image in images]
np.save(sys.argv[2], np.concatenate([model._classify_emotions(face[None]) for face in ready]))
"""


def classify(python: Path, images: np.ndarray) -> np.ndarray:
    """What fer's network answers, float32 (n, 7), in the order of `EMOTIONS`."""
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder) / "images.npy", Path(folder) / "answers.npy"
        np.save(given, images)
        done = subprocess.run(
            [python, "-c", CLASSIFY, given, answered, " ".join(EMOTIONS)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StudyError(f"fer: expected its answers, found an error:\n{done.stderr[-2000:]}")
        return np.load(answered)


def compare(part: Faces, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Both models on these images, logits or probabilities (n, 7), in words."""
    correct = [answers.argmax(axis=1) == part.emotion for answers in (ours, theirs)]
    (low, high), test = paired_bootstrap(*correct), mcnemar(*correct)
    return (
        f"ours {correct[0].mean():.2%}, fer {correct[1].mean():.2%} of {len(part):,}; "
        f"difference {100 * test.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}); "
        f"only ours right {test.only_a}, only fer {test.only_b}, McNemar p = {test.p:.2g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True, help="FER-2013, in any packing")
    parser.add_argument(
        "--run", type=Path, default=Path("reports/evidence/small_resnet-seed2"), help="its evidence"
    )
    parser.add_argument(
        "--fer-env", type=Path, default=default_env(), help="fer's environment, made where missing"
    )
    given = parser.parse_args()
    try:
        python = ensure_fer(given.fer_env, mtcnn=False)
        faces = read("csv", given.csv)
        for usage in (PUBLIC, PRIVATE):
            part = faces.of(usage)
            print(
                f"{usage}: "
                f"{compare(part, logits_of(given.run, part), classify(python, part.images))}"
            )
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
