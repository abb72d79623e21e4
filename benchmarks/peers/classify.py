"""Classify images with a peer's network, in its environment: `python classify.py JOB`, JSON.

The job names the peer, `images` (a file of raw uint8, (n, 48, 48)) and `outputs` (the file to
write, raw float32 (n, 7)). The last line printed is JSON with the `labels` of the outputs.
"""

import json
import sys

import numpy as np

SIDE = 48


def fer(images: np.ndarray) -> tuple[list[str], np.ndarray]:
    import cv2
    from fer.fer import FER

    model = FER()
    labels = [name for _, name in sorted(model._get_labels().items())]
    # What FER.detect_emotions does with a face that a detector has found.
    ready = [FER._FER__preprocess_input(cv2.resize(image, (64, 64)), True) for image in images]
    return labels, np.concatenate([model._classify_emotions(face[None]) for face in ready])


def facex(images: np.ndarray) -> tuple[list[str], np.ndarray]:
    from facex import PoolManager

    model = PoolManager(pool_size=1).get_classifier()
    found = [model.detect_emotion(image) for image in images]
    labels = list(found[0])
    return labels, np.array([[each[label] for label in labels] for each in found])


def main() -> None:
    job = json.loads(sys.argv[1])
    images = np.fromfile(job["images"], np.uint8).reshape(-1, SIDE, SIDE)
    labels, outputs = {"fer": fer, "facex": facex}[job["peer"]](images)
    outputs.astype(np.float32).tofile(job["outputs"])
    print("\n" + json.dumps({"labels": labels}), flush=True)


if __name__ == "__main__":
    main()
