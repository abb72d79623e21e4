"""Each peer's network on the images of FER-2013, and the paired comparison with ours."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recognize import quiet

from fer_utils.audits.duplicates import leaked
from fer_utils.audits.near_duplicates import near_duplicates, near_leaked
from fer_utils.data.faces import Faces
from fer_utils.emotions import EMOTIONS, PRIVATE, PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import McNemar, bootstrap_interval, mcnemar, paired_bootstrap
from peers.environments import Peer

HERE = Path(__file__).resolve().parent

NAMES = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "sadness": "sad",
    "surprised": "surprise",
} | {name: name for name in EMOTIONS}
"""Our names of the expressions by those of the peers."""


@dataclass(frozen=True)
class Comparison:
    """Our network and a peer's on the same images.

    Attributes:
        accuracy: the peer's accuracy, 0 to 1, and its 95 % bootstrap interval over images.
        test: McNemar's test; a is ours.
        interval: 95 % paired bootstrap interval of the difference in accuracy, ours minus theirs.
    """

    accuracy: tuple[float, float, float]
    test: McNemar
    interval: tuple[float, float]


def last_line(command: list, name: str) -> dict:
    """Run a program that prints JSON in its last line. Returns that JSON.

    Raises:
        StudyError: it cannot be started, fails, or prints something else.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=quiet(1))
    except OSError as problem:
        raise StudyError(f"{name}: expected an interpreter, found {problem}.") from None
    if done.returncode:
        raise StudyError(
            f"{name}: expected an answer, found an error ({done.returncode}): "
            f"{done.stderr.strip()[-2000:]}"
        )
    lines = done.stdout.strip().splitlines() or [""]
    try:
        return json.loads(lines[-1])
    except json.JSONDecodeError:
        raise StudyError(
            f"{name}: expected JSON in its last line, found {lines[-1][:200]!r}. Run "
            f"`{' '.join(map(str, command[:2]))}` to see why."
        ) from None


def in_our_order(labels: list[str], outputs: np.ndarray, name: str) -> np.ndarray:
    """Reorder a peer's outputs, (n, 7), from its labels to `EMOTIONS`.

    Raises:
        StudyError: the labels are not the seven expressions, or the outputs have another shape.
    """
    ours = [NAMES.get(label, label) for label in labels]
    if sorted(ours) != sorted(EMOTIONS):
        raise StudyError(
            f"{name}: expected the labels {', '.join(EMOTIONS)} in any order, found "
            f"{', '.join(labels)}. Add their names to NAMES in benchmarks/peers/networks.py."
        )
    if outputs.ndim != 2 or outputs.shape[1] != len(labels):
        raise StudyError(f"{name}: expected outputs (n, {len(labels)}), found {outputs.shape}.")
    return outputs[:, [ours.index(name) for name in EMOTIONS]]


def classify(peer: Peer, interpreter: Path, folder: Path, images: np.ndarray) -> np.ndarray:
    """Classify images with a peer's network, without a detector.

    Args:
        interpreter: as `peer.ensure` returns it.
        folder: the peer's environment.
        images: uint8 (n, 48, 48).

    Returns:
        Probabilities, float32 (n, 7), in the order of `EMOTIONS`.

    Raises:
        StudyError: the program fails, or its answer is not that of a peer.
    """
    with tempfile.TemporaryDirectory() as temporary:
        inputs, outputs = Path(temporary) / "images", Path(temporary) / "outputs"
        images.tofile(inputs)
        job = {"peer": peer.name, "images": str(inputs), "outputs": str(outputs)}
        job |= {"folder": str(folder.resolve()), "threads": 1}
        program = HERE / ("face_api.cjs" if peer.node else "classify.py")
        answer = last_line([interpreter, program, json.dumps(job)], peer.name)
        found = np.fromfile(outputs, np.float32)
    if found.size != len(images) * len(EMOTIONS) or not np.isfinite(found).all():
        raise StudyError(
            f"{peer.name}: expected {len(images)} times {len(EMOTIONS)} finite outputs, found "
            f"{found.size} outputs, {np.isfinite(found).sum()} of them finite."
        )
    return in_our_order(answer["labels"], found.reshape(len(images), -1), peer.name)


def compare(emotion: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> Comparison:
    """Compare two networks.

    Args:
        emotion: labels, (n,).
        ours: logits or probabilities, (n, 7).
        theirs: the same of the peer.
    """
    ours, theirs = (outputs.argmax(axis=1) == emotion for outputs in (ours, theirs))
    accuracy = (float(theirs.mean()), *bootstrap_interval(theirs))
    return Comparison(accuracy, mcnemar(ours, theirs), paired_bootstrap(ours, theirs))


def selections(faces: Faces) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield what is compared: a name, the split, and which of its images, bool (n,).

    Args:
        faces: all of FER-2013, because duplicates of test images are looked for in Training.
    """
    for split in (PUBLIC, PRIVATE):
        yield split, split, np.ones(len(faces.of(split)), bool)
    exact = leaked(faces, PRIVATE)
    yield "PrivateTest without exact duplicates", PRIVATE, ~exact
    near = near_leaked(faces, PRIVATE, near_duplicates(faces))
    yield "PrivateTest without near-duplicates", PRIVATE, ~(exact | near)
