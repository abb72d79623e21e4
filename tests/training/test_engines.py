"""The two engines give equal results, and JAX's engine needs no TensorFlow."""

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
    """The folder of a run of tests/helpers/jax_process.py, and the report that it printed."""
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
    """The weights and draws are the same. Rounding differs, and OpenCV's steps of 1/32 pixel."""
    folder, _ = under_jax
    start = arrays(folder / f"{case}-start.npz")
    ours, theirs = after_one_epoch(CASES[case], start, faces), arrays(folder / f"{case}-end.npz")
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=2e-3, err_msg="losses")
    np.testing.assert_allclose(ours[-2], theirs[-2], atol=0.02, err_msg="logits")
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
    # In grey levels of 255. The largest differences are at drawn edges.
    assert difference.mean() < 0.3 and np.quantile(difference, 0.99) < 4


def test_a_run_of_jax_is_continued_and_usable_under_tensorflow(under_jax, faces):
    folder, report = under_jax
    assert report["resumed the same"] and report["accelerators"] == []
    run, public = Run(folder / "runs" / report["run"].rsplit("/", 1)[1]), faces.of(PUBLIC)
    assert run.info.versions["backend"].startswith("jax")
    logits = predict(run.model(), public.images)
    np.testing.assert_allclose(
        probabilities(run.logits(public)), probabilities(logits), rtol=0, atol=1e-5
    )
    # The run is found again, because the fingerprint depends on recipe, seed and faces only.
    assert fit(RUN, faces, 1, folder / "runs", progress=False).folder == run.folder


def test_tensorflow_refuses_data_parallel_training(faces, recipe, tmp_path):
    with pytest.raises(
        StudyError, match="data_parallel: expected KERAS_BACKEND=jax, found tensorflow"
    ):
        fit(recipe.but(data_parallel=True), faces, 1, tmp_path, progress=False)


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(StudyError, match="KERAS_BACKEND: expected tensorflow or jax, found torch"):
        engine()
