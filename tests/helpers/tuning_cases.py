"""What the tests of the search share: a space, and a stand-in for training that scores at once."""

import json

import numpy as np
import pandas as pd

from fer_utils.errors import StudyError
from fer_utils.training.runs import Run, run_folder
from fer_utils.tuning import SearchSpace

SPACE = SearchSpace(width=(0.02, 0.03), dropout=(0.1, 0.5), learning_rate=(1e-4, 1e-2))


class Interrupted(BaseException):
    """Stands for a kill: nothing catches it."""


class Trainings:
    """Stands in for `fit` where the search itself is tested: a score that follows from the recipe, at once."""

    def __init__(self, stop_at: int = 0, fail_at: tuple[int, ...] = ()) -> None:
        self.done, self.stop_at, self.fail_at = [], stop_at, fail_at

    def __call__(self, recipe, faces, seed, store, *, progress):
        folder = run_folder(store, recipe, seed, faces)
        if (folder / "run.json").exists():
            return Run(folder)
        if len(self.done) + 1 == self.stop_at:
            raise Interrupted
        self.done.append(recipe)
        if len(self.done) in self.fail_at:
            raise StudyError(f"trial of width {recipe.options['width']}: too odd.\nDo otherwise.")
        score = 1 / (1 + (np.log10(recipe.learning_rate) + 3) ** 2 + recipe.options["dropout"])
        folder.mkdir(parents=True)
        curve = [score, *[score / 2] * (recipe.epochs - 1)]
        history = {"epoch": np.arange(1, recipe.epochs + 1), "val_accuracy": curve, "seconds": 0.5}
        pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
        (folder / "run.json").write_text(json.dumps({"parameters": 100, "epoch_kept": 1}))
        return Run(folder)
