"""The store of soft labels: target probabilities that a student learns from.

They come from networks (`fer_utils.training.distillation`) or from FER+ votes.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file


def write_soft_labels(soft: np.ndarray, faces: Faces, store: Path, teachers: Sequence[str]) -> str:
    """Store soft labels of these faces.

    Args:
        soft: probabilities (n, 7); each row sums to 1. They are stored as float16.
        faces: the faces that they belong to, (n,).
        store: folder of runs.
        teachers: labels of the networks that predicted them, or `runs.VOTES`.

    Returns:
        Their name for `Recipe.teacher`, made from their values and the images.
    """
    soft = soft.astype(np.float16)
    name = _name(soft, faces)
    with atomic_file(_path(store, name)) as target:
        np.savez_compressed(target, probabilities=soft, teachers=np.array(teachers, str))
    return name


def read_soft_labels(name: str, faces: Faces, store: Path) -> np.ndarray:
    """Read the soft labels of these faces, float32 (n, 7); each row sums to 1.

    Raises:
        StudyError: there are none of that name, or they belong to other faces.
    """
    soft = _read(store, name, "probabilities")
    if _name(soft, faces) != name:
        raise StudyError(
            f"{_path(store, name)}: expected soft labels of these {len(faces):,} faces, found "
            "others (or a damaged file). Make them again with `fer-study teach`."
        )
    soft = soft.astype(np.float32)
    return soft / soft.sum(axis=1, keepdims=True)


def read_teachers(name: str, store: Path) -> tuple[str, ...]:
    """Read the labels of the networks that predicted the soft labels.

    Raises:
        StudyError: there are none of that name.
    """
    return tuple(_read(store, name, "teachers").tolist())


def _read(store: Path, name: str, what: str) -> np.ndarray:
    path = _path(store, name)
    try:
        with np.load(path) as saved:
            return saved[what]
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected the soft labels {name}, found {type(problem).__name__}: {problem}. "
            "Make them with `fer-study teach`."
        ) from None


def _path(store: Path, name: str) -> Path:
    return Path(store) / "teachers" / f"{name}.npz"


def _name(soft: np.ndarray, faces: Faces) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(soft).data)
    digest.update(np.ascontiguousarray(faces.images).data)
    return digest.hexdigest()[:12]
