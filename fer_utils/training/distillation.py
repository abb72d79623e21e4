"""Knowledge distillation: a student learns from the predictions of trained networks.

After Hinton et al. 2015, arXiv 1503.02531. `fer_utils.training.soft_labels` stores the predictions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.evaluation import mean_prediction, probabilities
from fer_utils.training.predict import predict
from fer_utils.training.runs import VOTES, Run
from fer_utils.training.soft_labels import write_soft_labels


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
        members: how often each network counts, by the folder of its run, finished or published.
        faces: Training, (n,).
        store: folder of runs.

    Returns:
        As in `distil`.
    """
    logits, teachers, from_votes = [], [], False
    for folder, times in members.items():
        run = Run(folder)
        logits += times * [predict(run.model(), faces.images, "flip")]
        teachers += times * [run.info.label]
        from_votes |= run.info.learned_from_votes
    return distil(logits, faces, store, [*teachers, VOTES] if from_votes else teachers)
