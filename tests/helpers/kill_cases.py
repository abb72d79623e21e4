"""Helpers for tests that kill commands or fill their disk."""

import json
import os
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from budget import BUDGET
from clone import Clone

from fer_utils.networks.backend import keras

FER_STUDY = [sys.executable, "-m", "fer_utils.cli"]


def litter(folder: Path) -> list[str]:
    """The files of unfinished writes below a folder."""
    left = re.compile(r"\..+-[a-z0-9_]{8}(\..+)?|corrupt-.+|checkpoint\.npz|tmp[a-z0-9_]{8}.*")
    return [
        str(path.relative_to(folder)) for path in folder.rglob("*") if left.fullmatch(path.name)
    ]


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def same_runs(store: Path, other: Path) -> bool:
    """True if two stores contain the same runs, apart from times and the dates in Keras' files."""

    def contents(folder: Path) -> dict:
        info = json.loads((folder / "run.json").read_text())
        with np.load(folder / "predictions.npz") as saved:
            logits = saved["row"].tobytes(), saved["logits"].tobytes()
        weights = keras.saving.load_model(folder / "model.keras", compile=False).get_weights()
        return {
            "files": sorted(path.name for path in folder.iterdir()),
            "info": {key: value for key, value in info.items() if key != "seconds"},
            "history": pd.read_csv(folder / "history.csv").drop(columns="seconds").to_csv(),
            "logits": logits,
            "weights": [weight.tobytes() for weight in weights],
        }

    ours, theirs = (
        {folder.name: contents(folder) for folder in place.iterdir()} for place in (store, other)
    )
    return bool(ours) and ours == theirs


def small_pipeline(folder: Path) -> Clone:
    """A fresh clone with very small stages."""
    clone = Clone(folder)
    file = clone.root / "params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    for stage, section in {**BUDGET, "prepare": {"count": 210}}.items():
        params[stage] |= section
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    return clone


def kill_once(recipe, faces, seed, store, report):
    """Train; seed 2 kills its process as the system does when memory runs out."""
    report(recipe.epochs)
    if seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return recipe.name, seed
