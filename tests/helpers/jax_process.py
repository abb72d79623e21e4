"""Trainings on JAX without TensorFlow; tests/training/test_engines.py runs this in a process.

Usage: jax_process.py FOLDER. The folder contains faces/, and for each case CASE.json (a recipe) and
CASE-start.npz (weights). The results are CASE-end.npz, augmented.npy and the store runs/.
"""

import importlib.abc
import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
# Compiling takes longer than the trainings, and these leave out its most expensive part.
QUICK = "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count=2 {QUICK}"


class NoTensorFlow(importlib.abc.MetaPathFinder):
    """Makes TensorFlow unavailable, as on a machine without it."""

    def find_spec(self, name, path=None, target=None):
        """Refuse to find TensorFlow."""
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, NoTensorFlow())

import numpy as np  # noqa: E402
from engine_cases import after_one_epoch  # noqa: E402

from fer_utils.data.faces import load_faces  # noqa: E402
from fer_utils.training import checkpoint  # noqa: E402
from fer_utils.training import fit as training  # noqa: E402
from fer_utils.training.engines import engine  # noqa: E402
from fer_utils.training.engines import jax as jax_engine  # noqa: E402
from fer_utils.training.recipe import recipe_from_dict  # noqa: E402

folder = Path(sys.argv[1])
faces = load_faces(folder / "faces")


class Interrupted(BaseException):
    """Simulates a kill."""


def one_epoch(case: str, **changes) -> list[np.ndarray]:
    """Train an epoch of a case from its weights; see `after_one_epoch`."""
    recipe = recipe_from_dict(json.loads((folder / f"{case}.json").read_text())).but(**changes)
    with np.load(folder / f"{case}-start.npz") as saved:
        weights = [saved[f"arr_{i}"] for i in range(len(saved.files))]
    return after_one_epoch(recipe, weights, faces)


for path in sorted(folder.glob("case-*.json")):
    np.savez(folder / f"{path.stem}-end.npz", *one_epoch(path.stem))
np.savez(folder / "case-jitter-spread.npz", *one_epoch("case-jitter", data_parallel=True))

# The same draws as the test applies with OpenCV.
recipe = recipe_from_dict(json.loads((folder / "case-jitter.json").read_text()))
order, draws = training.epoch_plan(recipe, 1, 1, 64, 42)
images = faces.images[order].astype(np.float32)
np.save(
    folder / "augmented.npy",
    np.asarray(jax_engine.apply(images, draws.of(order), 42, recipe.border)),
)

# A whole training, once undisturbed and once interrupted.
recipe = recipe_from_dict(json.loads((folder / "run.json").read_text()))
whole = training.fit(recipe, faces, 1, folder / "runs", progress=False)
add = checkpoint.Checkpoint.add


def add_and_stop(self, *args, **kwargs):
    add(self, *args, **kwargs)
    raise Interrupted


checkpoint.Checkpoint.add = add_and_stop
try:
    training.fit(recipe, faces, 1, folder / "again", progress=False)
except Interrupted:
    checkpoint.Checkpoint.add = add
else:
    raise SystemExit("expected an interrupted training, found a finished one")
again = training.fit(recipe, faces, 1, folder / "again", progress=False)
same = [
    np.array_equal(a, b)
    for a, b in zip(whole.model().get_weights(), again.model().get_weights(), strict=True)
]
print(
    json.dumps(
        {
            "run": str(whole.folder),
            "resumed the same": all(same),
            "accelerators": engine().accelerators(),
        }
    )
)
