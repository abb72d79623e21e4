"""Knowledge distillation: a student learns from the predictions of trained networks.

After Hinton et al. 2015, arXiv 1503.02531. `fer_utils.training.soft_labels` stores the predictions.
A student that is trained on other versions of an image than its teacher saw learns less (Beyer et
al. 2022, arXiv 2106.05237). So the teachers can predict the very versions that the student will be
trained on (Shen and Xing 2022, arXiv 2112.01528).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.evaluation import mean_prediction, probabilities
from fer_utils.networks import at_side, parts
from fer_utils.networks.backend import keras
from fer_utils.paths import CARD
from fer_utils.training import augmentation
from fer_utils.training.engines import engine
from fer_utils.training.predict import predict
from fer_utils.training.recipe import Recipe
from fer_utils.training.released import load_keras, read_card
from fer_utils.training.runs import VOTES, Run
from fer_utils.training.soft_labels import write_soft_labels

_PART = 2048
"""Images that are augmented at once: float32, so 19 MB."""


def distil(
    logits: Sequence[np.ndarray], faces: Faces, store: Path, teachers: Sequence[str] = ()
) -> str:
    """Store the mean probabilities of several networks as soft labels.

    Args:
        logits: of each network, float32 (n, 7); a network that counts twice occurs twice.
        faces: Training, (n,).
        store: folder of runs.
        teachers: labels of the networks, in the same order. Runs that learn from the soft labels
            name them as their teachers.

    Returns:
        The name of the soft labels for `Recipe.teacher`. It depends on their values alone.
    """
    return write_soft_labels(probabilities(mean_prediction(logits)), faces, store, teachers)


def distil_runs(members: Mapping[Path, int], faces: Faces, store: Path) -> str:
    """Predict the training images and their horizontal flips with networks, and store the mean.

    Args:
        members: how often each network counts, by the folder of its run or exported model.
        faces: Training, (n,).
        store: folder of runs.

    Returns:
        As in `distil`.
    """
    models, teachers = _load(members)
    logits = []
    for folder, times in members.items():
        logits += times * [predict(models[folder], faces.images, "flip")]
    return distil(logits, faces, store, teachers)


def distil_views(
    members: Mapping[Path, int],
    recipe: Recipe,
    faces: Faces,
    store: Path,
    *,
    progress: bool = True,
) -> str:
    """Predict augmented versions of the training images with networks, and store the mean.

    Args:
        members: as for `distil_runs`.
        recipe: the student's. Its `teacher_views` versions of each image are predicted.
        faces: Training, (n,).
        store: folder of runs.
        progress: show a progress bar.

    Returns:
        The name of the soft labels for `Recipe.teacher`.

    Raises:
        StudyError: the recipe has no views, or a teacher cannot predict images of `crop_side`.
    """
    if not recipe.teacher_views:
        raise StudyError(
            f"recipe {recipe.name}: teacher_views: expected 1 or more, found 0. Set it to the "
            "number of augmented versions of each image that the teachers shall predict."
        )
    models, teachers = _load(members)
    predictors = {folder: _at_side(model, recipe, folder) for folder, model in models.items()}
    soft = np.empty((recipe.teacher_views, len(faces), 7), np.float16)
    with tqdm(
        total=recipe.teacher_views * len(faces),
        unit=" images",
        unit_scale=True,
        disable=not progress,
    ) as bar:
        for view in range(recipe.teacher_views):
            draws = augmentation.draw_view(recipe, view, len(faces))
            for chosen in np.array_split(np.arange(len(faces)), -(-len(faces) // _PART)):
                images = augmentation.apply(
                    faces.images[chosen], draws.of(chosen), draws.side, recipe.border
                )
                logits: list[np.ndarray] = []
                for folder, times in members.items():
                    logits += times * [engine().logits(predictors[folder], images)]
                soft[view, chosen] = probabilities(mean_prediction(logits))
                bar.update(len(chosen))
    return write_soft_labels(soft, faces, store, teachers, recipe)


def _load(members: Mapping[Path, int]) -> tuple[dict[Path, keras.Model], list[str]]:
    """The models by folder, and the labels of the teachers, each as often as it counts."""
    models: dict[Path, keras.Model] = {}
    teachers: list[str] = []
    from_votes = False
    for folder, times in members.items():
        if (folder / CARD).is_file():
            card = read_card(folder)
            models[folder] = load_keras(folder)
            label, taught = f"{card['recipe']['name']}-seed{card['seed']}", card.get("teachers", ())
        else:
            run = Run(folder)
            models[folder], label, taught = run.model(), run.info.label, run.info.teachers
        teachers += times * [label]
        from_votes |= VOTES in taught
    return models, [*teachers, VOTES] if from_votes else teachers


def _at_side(model: keras.Model, recipe: Recipe, folder: Path) -> keras.Model:
    """The model for images of the recipe's `crop_side`."""
    side = model.input_shape[1]
    if recipe.crop_side == side:
        return model
    front, trunk = parts(model)
    if front is not None:
        raise StudyError(
            f"{folder}: crop_side: expected {side}, which this teacher's preprocessing needs, "
            f"found {recipe.crop_side}. Leave this teacher out, or set crop_side={side}."
        )
    return at_side(trunk, recipe.crop_side)
