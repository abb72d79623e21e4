"""Networks whose weights are at hand, for what logits cannot tell."""

from collections.abc import Mapping
from pathlib import Path

import keras

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.recognition.recognizer import RELEASED
from fer_utils.release.export import load_keras
from fer_utils.training.runs import Run


def models_at_hand(runs: Mapping[str, Path], faces: Faces) -> dict[str, keras.Model]:
    """The networks of those runs that have their weights, by label, as `runs` has them; on real faces the released
    model too, which learned from FER-2013's Training.

    Args:
        runs: folders by label, as `evidence.runs_at_hand` gives them.
        faces: that the networks are to be asked about.

    Raises:
        StudyError: there is none.
    """
    models = {label: Run(folder).model() for label, folder in runs.items() if (folder / "model.keras").is_file()}
    if not faces.drawn:
        models["released model"] = load_keras(RELEASED)
    if not models:
        raise StudyError(
            f"runs: expected the weights (model.keras) of one, found none in {', '.join(map(str, runs.values()))}. "
            "Publish one with its weights: `dvc repro champion`."
        )
    return models
