"""Keras models with weights, from runs and exported models, for analyses that need more than
logits."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fer_utils.data.faces import Faces
from fer_utils.errors import StudyError
from fer_utils.networks import build, load_layers
from fer_utils.networks.backend import keras
from fer_utils.paths import CARD, RELEASED
from fer_utils.training.recipe import recipe_from_dict
from fer_utils.training.runs import Run


def available_models(runs: Mapping[str, Path], faces: Faces) -> dict[str, keras.Model]:
    """The models of all runs with saved weights, by label, and on real faces the released model.

    Args:
        runs: folders by label, as `evidence.available_runs` returns them.
        faces: the faces that the models will predict.

    Raises:
        StudyError: there is no model.
    """
    models = {
        label: Run(folder).model() for label, folder in runs.items() if Run(folder).has_weights
    }
    if not faces.drawn:
        models["released model"] = load_keras(RELEASED)
    if not models:
        raise StudyError(
            "runs: expected one with weights (model.keras), found none in "
            f"{', '.join(map(str, runs.values()))}. Train one: `dvc repro final_model`."
        )
    return models


def read_card(folder: Path) -> dict:
    """Read card.json of an exported folder. Raises OSError or ValueError if that fails."""
    return json.loads((folder / CARD).read_text(encoding="utf-8"))


def load_keras(folder: Path) -> keras.Model:
    """Load the Keras model of an exported folder.

    It maps float32 (n, 48, 48, 1) with values 0..255 to logits (n, 7).

    Raises:
        StudyError: the folder has no card or no weights, or the weights do not fit the network.
    """
    try:
        card = read_card(folder)
        with np.load(folder / "weights.npz") as saved:
            weights = [saved[f"arr_{i}"].astype(np.float32) for i in range(len(saved.files))]
        recipe = recipe_from_dict(card["recipe"])
        load_layers()
        model = build(recipe.network, **recipe.options)
        model.set_weights(weights)
    except (OSError, ValueError, KeyError) as problem:
        raise StudyError(
            f"{folder}: expected an exported model ({CARD} and weights.npz), found {problem}. "
            "Export the run again."
        ) from None
    return model
