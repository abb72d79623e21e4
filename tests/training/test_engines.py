"""The two engines do the same, and JAX's needs no TensorFlow."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from engine_cases import CASES, after_one_epoch

from fer_utils.emotions import PUBLIC
from fer_utils.errors import StudyError
from fer_utils.evaluation import probabilities
from fer_utils.networks import build
from fer_utils.networks.backend import keras
from fer_utils.training import augmentation
from fer_utils.training.engines import engine
from fer_utils.training.fit import epoch_plan, fit
from fer_utils.training.predict import predict
from fer_utils.training.runs import Run

RUN = CASES["case-jitter"].but(epochs=2, dropout=0.2, drop_last=True, tta="flip")


def arrays(path) -> list[np.ndarray]:
    with np.load(path) as saved:
        return [saved[f"arr_{i}"] for i in range(len(saved.files))]


@pytest.fixture(scope="module")
def under_jax(faces, project, tmp_path_factory):
    """The folder that tests/helpers/jax_process.py worked in, and what it said."""
    pytest.importorskip("jax", reason="the JAX engine needs jax, which `make test` installs")
    folder = tmp_path_factory.mktemp("jax")
    faces.without_private().save(folder / "faces")
    for case, each in CASES.items():
        keras.utils.set_random_seed(3)
        np.savez(folder / f"{case}-start.npz", *build(each.network, **each.options).get_weights())
        (folder / f"{case}.json").write_text(json.dumps(each.to_dict()))
    (folder / "run.json").write_text(json.dumps(RUN.to_dict()))
    environment = os.environ | {
        "PYTHONPATH": str(project),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, project / "tests" / "helpers" / "jax_process.py", folder]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_both_engines_train_alike(under_jax, faces, case):
    """From the same weights on the same draws; what differs is rounding, and OpenCV's 1/32 pixel."""
    folder, _ = under_jax
    start = arrays(folder / f"{case}-start.npz")
    ours, theirs = after_one_epoch(CASES[case], start, faces), arrays(folder / f"{case}-end.npz")
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=2e-3)  # losses of the steps
    np.testing.assert_allclose(ours[-2], theirs[-2], atol=0.02)  # logits
    moved = 0
    for before, one, other in zip(start, ours, theirs, strict=False):
        change = np.abs(one - before).max()
        assert np.abs(one - other).max() <= max(1e-3, 0.05 * change)
        moved += change > 0
    assert moved >= len(start) - 6


def test_two_devices_train_as_one(under_jax):
    folder, _ = under_jax
    both = (arrays(folder / f"case-jitter-{how}.npz") for how in ("end", "spread"))
    for one, spread in zip(*both, strict=True):
        np.testing.assert_allclose(spread, one, rtol=1e-3, atol=1e-4)


def test_both_apply_the_same_draws(under_jax, faces):
    folder, _ = under_jax
    recipe = CASES["case-jitter"]
    order, draws = epoch_plan(recipe, 1, 1, 64, 42)
    images = faces.without_private().images[order].astype(np.float32)
    difference = np.abs(
        augmentation.apply(images, draws.of(order), 42, recipe.border)
        - np.load(folder / "augmented.npy")
    )
    assert (
        difference.mean() < 0.3 and np.quantile(difference, 0.99) < 4
    )  # grey levels of 255, at edges that were drawn


def test_a_run_of_jax_goes_on_and_is_used_under_tensorflow(under_jax, faces):
    folder, said = under_jax
    assert said["resumed the same"] and said["accelerators"] == []
    run, public = Run(folder / "runs" / said["run"].rsplit("/", 1)[1]), faces.of(PUBLIC)
    assert run.info.versions["backend"].startswith("jax")
    assert (
        np.abs(
            probabilities(run.logits(public)) - probabilities(predict(run.model(), public.images))
        ).max()
        < 1e-5
    )
    # The notebook finds it as its own: the key is recipe, seed and faces.
    assert fit(RUN, faces, 1, folder / "runs", progress=False).folder == run.folder


def test_tensorflow_says_who_can_spread_batches(faces, recipe, tmp_path):
    with pytest.raises(
        StudyError, match="data_parallel: expected KERAS_BACKEND=jax, found tensorflow"
    ):
        fit(recipe.but(data_parallel=True), faces, 1, tmp_path, progress=False)


def test_another_backend_is_named(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(StudyError, match="KERAS_BACKEND: expected tensorflow or jax, found torch"):
        engine()
