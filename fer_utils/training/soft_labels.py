"""The store of soft labels: target probabilities that a student learns from.

They come from networks (`fer_utils.training.distillation`) or from FER+ votes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.storage import atomic_file
from fer_utils.training.augmentation import VIEW_FIELDS
from fer_utils.training.recipe import Recipe


def write_soft_labels(
    soft: np.ndarray,
    faces: Faces,
    store: Path,
    teachers: Sequence[str],
    recipe: Recipe | None = None,
) -> str:
    """Store soft labels of these faces.

    Args:
        soft: probabilities (views, n, 7), or (n, 7) of the faces as they are; each row sums to 1.
            They are stored as float16.
        faces: the faces that they belong to, (n,).
        store: folder of runs.
        teachers: labels of the networks that predicted them, or `runs.VOTES`.
        recipe: its augmentation made the views. None if there are no views.

    Returns:
        Their name for `Recipe.teacher`, made from their values, the images and the augmentation.
    """
    soft = soft.astype(np.float16)
    augmentation = json.dumps(_augmentation(recipe)) if recipe else ""
    name = _name(soft, faces, augmentation)
    with atomic_file(_path(store, name)) as target:
        np.savez_compressed(
            target,
            probabilities=soft,
            teachers=np.array(teachers, str),
            augmentation=np.array(augmentation),
        )
    return name


def read_soft_labels(recipe: Recipe, faces: Faces, store: Path) -> np.ndarray:
    """Read the soft labels that a recipe names, float32 (views, n, 7); each row sums to 1.

    Without views in the recipe, the first dimension is 1.

    Raises:
        StudyError: there are none of that name; they belong to other faces; or their views do not
            fit the recipe.
    """
    name = recipe.teacher
    saved = _read(store, name)
    soft, augmentation = saved["probabilities"], str(saved.get("augmentation", ""))
    if _name(soft, faces, augmentation) != name:
        raise StudyError(
            f"{_path(store, name)}: expected soft labels of these {len(faces):,} faces, found "
            "others (or a damaged file). Make them again with `fer-study teach`."
        )
    _check_views(recipe, soft, json.loads(augmentation) if augmentation else {})
    soft = soft.astype(np.float32)
    soft /= soft.sum(axis=-1, keepdims=True)
    return soft if recipe.teacher_views else soft[None]


def read_teachers(name: str, store: Path) -> tuple[str, ...]:
    """Read the labels of the networks that predicted the soft labels.

    Raises:
        StudyError: there are none of that name.
    """
    return tuple(_read(store, name)["teachers"].tolist())


def _check_views(recipe: Recipe, soft: np.ndarray, theirs: dict[str, Any]) -> None:
    views = len(soft) if soft.ndim == 3 else 0
    again = "Set it so, or make them again with `fer-study teach --recipe`."
    if recipe.teacher_views != views:
        raise StudyError(
            f"recipe {recipe.name}: teacher_views: expected {views}, as in the soft labels "
            f"{recipe.teacher}, found {recipe.teacher_views}. {again}"
        )
    if not views:
        return
    for field, own in _augmentation(recipe).items():
        if theirs[field] != own:
            raise StudyError(
                f"recipe {recipe.name}: {field}: expected {theirs[field]!r}, as in the views that "
                f"the teachers of {recipe.teacher} saw, found {own!r}. {again}"
            )


def _augmentation(recipe: Recipe) -> dict[str, Any]:
    return {field: getattr(recipe, field) for field in VIEW_FIELDS}


def _read(store: Path, name: str) -> dict[str, np.ndarray]:
    path = _path(store, name)
    try:
        with np.load(path) as saved:
            found = dict(saved)
            missing = {"probabilities", "teachers"} - found.keys()
            if missing:
                raise KeyError(*missing)
            return found
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{path}: expected the soft labels {name}, found {type(problem).__name__}: {problem}. "
            "Make them with `fer-study teach`."
        ) from None


def _path(store: Path, name: str) -> Path:
    return Path(store) / "teachers" / f"{name}.npz"


def _name(soft: np.ndarray, faces: Faces, augmentation: str) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(soft).data)
    digest.update(np.ascontiguousarray(faces.images).data)
    digest.update(augmentation.encode())
    return digest.hexdigest()[:12]
