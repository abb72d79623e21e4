"""The store of soft labels: what a student learns from, as `distillation` makes it or FER+'s votes give it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file


def keep(soft: np.ndarray, faces: Faces, store: Path, taught_by: Sequence[str]) -> str:
    """Keep soft labels, (n, 7), each row summing to 1, of these faces; see `teach`."""
    soft = soft.astype(np.float16)
    name = _name(soft, faces)
    with atomic_file(_path(store, name)) as target:
        np.savez_compressed(target, probabilities=soft, taught_by=np.array(taught_by, str))
    return name


def soft_labels(name: str, faces: Faces, store: Path) -> np.ndarray:
    """The soft labels of these faces, float32 (n, 7), each row summing to 1.

    Raises:
        StudyError: there are none of that name, or they are of other faces.
    """
    soft = _read(store, name, "probabilities")
    if _name(soft, faces) != name:
        raise StudyError(
            f"{_path(store, name)}: expected soft labels of these {len(faces):,} faces, found others (or a damaged "
            "file). Make them again with `fer-study teach`."
        )
    soft = soft.astype(np.float32)
    return soft / soft.sum(axis=1, keepdims=True)


def taught_by(name: str, store: Path) -> list[str]:
    """The labels of the networks that the soft labels are of. Raises StudyError where there are none of that name."""
    return _read(store, name, "taught_by").tolist()


def _read(store: Path, name: str, what: str) -> np.ndarray:
    path = _path(store, name)
    try:
        with np.load(path) as saved:
            return saved[what]
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected the soft labels {name}, found {type(problem).__name__}: {problem}. Make them with "
            "`fer-study teach`."
        ) from None


def _path(store: Path, name: str) -> Path:
    return Path(store) / "teachers" / f"{name}.npz"


def _name(soft: np.ndarray, faces: Faces) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(soft).data)
    digest.update(np.ascontiguousarray(faces.images).data)
    return digest.hexdigest()[:12]
