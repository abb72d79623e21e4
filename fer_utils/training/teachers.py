"""Soft labels for a network to learn from: what trained networks say of the training images, or FER+'s votes."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.evaluation import averaged, probabilities
from fer_utils.storage import atomic_file
from fer_utils.training.runs import VOTES, Run, about_of, label_of, learned_from_votes


def teach(logits: Sequence[np.ndarray], faces: Faces, store: Path, taught_by: Sequence[str] = ()) -> str:
    """Keep the mean probabilities of several networks as soft labels (Hinton et al. 2015, arXiv 1503.02531).

    Args:
        logits: of each network, float32 (n, 7), for these faces; one that counts twice is given twice.
        faces: Training, (n,).
        store: folder of runs.
        taught_by: the networks' labels, in the same order, which every run that learns from them will name.

    Returns:
        The soft labels' name, which is made of their values, for `Recipe.teacher`.
    """
    return keep(probabilities(averaged(logits)), faces, store, taught_by)


def teach_by(members: Mapping[Path, int], faces: Faces, store: Path) -> str:
    """Have networks answer the training images and their mirror images, and keep the mean as `teach` does.

    Args:
        members: how often each network counts, by the folder of its run, finished or published.
        faces: Training, (n,).
        store: folder of runs.

    Returns:
        The soft labels' name.
    """
    from fer_utils.training.fit import predict

    answers, names = [], []
    abouts = {folder: about_of(folder) for folder in members}
    for folder, times in members.items():
        answers += times * [predict(Run(folder).model(), faces.images, "mirror")]
        names += times * [label_of(abouts[folder])]
    return teach(answers, faces, store, names + [VOTES] * any(map(learned_from_votes, abouts.values())))


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
