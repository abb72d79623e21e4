"""Distillation: trained networks predict the training images, and a student learns from these soft labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.evaluation import mean_prediction, probabilities
from fer_utils.training.predict import predict
from fer_utils.training.runs import VOTES, Run, about_of, label_of, learned_from_votes
from fer_utils.training.soft_labels import keep


def teach(
    logits: Sequence[np.ndarray], faces: Faces, store: Path, taught_by: Sequence[str] = ()
) -> str:
    """Keep the mean probabilities of several networks as soft labels (Hinton et al. 2015, arXiv 1503.02531).

    Args:
        logits: of each network, float32 (n, 7), for these faces; one that counts twice is given twice.
        faces: Training, (n,).
        store: folder of runs.
        taught_by: the networks' labels, in the same order, which every run that learns from them will name.

    Returns:
        The soft labels' name, which is made of their values, for `Recipe.teacher`.
    """
    return keep(probabilities(mean_prediction(logits)), faces, store, taught_by)


def teach_by(members: Mapping[Path, int], faces: Faces, store: Path) -> str:
    """Have networks answer the training images and their mirror images, and keep the mean as `teach` does.

    Args:
        members: how often each network counts, by the folder of its run, finished or published.
        faces: Training, (n,).
        store: folder of runs.

    Returns:
        The soft labels' name.
    """
    answers, names = [], []
    abouts = {folder: about_of(folder) for folder in members}
    for folder, times in members.items():
        answers += times * [predict(Run(folder).model(), faces.images, "flip")]
        names += times * [label_of(abouts[folder])]
    return teach(
        answers, faces, store, names + [VOTES] * any(map(learned_from_votes, abouts.values()))
    )
