"""Soft labels: what trained networks say of the training images, for another network to learn from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_utils.errors import StudyError
from fer_utils.evaluation import averaged, probabilities
from fer_utils.faces import Faces
from fer_utils.storage import atomic_file


def teach(logits: Sequence[np.ndarray], faces: Faces, store: Path) -> str:
    """Keep the mean probabilities of several networks as soft labels.

    Args:
        logits: of each network, float32 (n, 7), for these faces.
        faces: Training, (n,).
        store: folder of runs.

    Returns:
        The soft labels' name, which is made of their values, for `Recipe.teacher`.
    """
    soft = probabilities(averaged(logits)).astype(np.float16)
    name = _name(soft, faces)
    with atomic_file(_path(store, name)) as target:
        np.savez_compressed(target, probabilities=soft)
    return name


def soft_labels(name: str, faces: Faces, store: Path) -> np.ndarray:
    """The soft labels of these faces, float32 (n, 7), each row summing to 1.

    Raises:
        StudyError: there are none of that name, or they are of other faces.
    """
    path = _path(store, name)
    try:
        with np.load(path) as saved:
            soft = saved["probabilities"]
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected the soft labels {name}, found {type(problem).__name__}: {problem}. Make them with "
            "`fer-study teach`."
        ) from None
    if _name(soft, faces) != name:
        raise StudyError(
            f"{path}: expected soft labels of these {len(faces):,} faces, found others (or a damaged file). Make them "
            "again with `fer-study teach`."
        )
    soft = soft.astype(np.float32)
    return soft / soft.sum(axis=1, keepdims=True)


def _path(store: Path, name: str) -> Path:
    return Path(store) / "teachers" / f"{name}.npz"


def _name(soft: np.ndarray, faces: Faces) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(soft))
    digest.update(np.ascontiguousarray(faces.images))
    return digest.hexdigest()[:12]
