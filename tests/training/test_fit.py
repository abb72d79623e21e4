"""Training: a run depends on recipe, seed and faces alone, even if it was interrupted."""

import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from engine_cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.audits.labels import vote_targets
from fer_utils.data.votes import CATEGORIES
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import accuracy, cross_entropy, mean_prediction
from fer_utils.networks import build, parts
from fer_utils.networks.backend import keras
from fer_utils.training import augmentation, checkpoint, runs
from fer_utils.training import fit as training
from fer_utils.training.distillation import distil, distil_runs
from fer_utils.training.engines.tensorflow import Engine
from fer_utils.training.fit import epoch_plan, fit, fold_of
from fer_utils.training.optimizers import learning_rate
from fer_utils.training.predict import predict, predict_with_tta
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe
from fer_utils.training.runs import VOTES, Run, run_folder
from fer_utils.training.soft_labels import read_soft_labels, write_soft_labels


class Interrupted(BaseException):
    """Simulates a kill. Nothing catches it."""


def assert_same(one: Run, other: Run) -> None:
    """Check that weights, logits and history are equal, bit for bit. Times may differ."""
    for here, there in zip(one.model().get_weights(), other.model().get_weights(), strict=True):
        assert np.array_equal(here, there)
    for here, there in zip(one.predictions(), other.predictions(), strict=True):
        assert np.array_equal(here, there)
    times = ["seconds"]
    pd.testing.assert_frame_equal(
        one.history.drop(columns=times), other.history.drop(columns=times), check_exact=True
    )
    ignored = {"seconds", "machine"}
    assert {k: v for k, v in vars(one.info).items() if k not in ignored} == {
        k: v for k, v in vars(other.info).items() if k not in ignored
    }


def interrupt_after(epochs: int, patch: pytest.MonkeyPatch) -> None:
    """End the next training directly after its n-th checkpoint."""
    add, left = checkpoint.Checkpoint.add, [epochs]

    def add_and_stop(self, *args, **kwargs):
        add(self, *args, **kwargs)
        left[0] -= 1
        if not left[0]:
            raise Interrupted

    patch.setattr(checkpoint.Checkpoint, "add", add_and_stop)


@pytest.fixture(scope="module")
def tiny_run(build_tiny, faces, recipe, tmp_path_factory):
    """An undisturbed run of the tiny network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build", build_tiny)
        return fit(recipe, faces, 1, tmp_path_factory.mktemp("tiny"), progress=False)


@pytest.fixture(scope="module")
def interrupted(build_tiny, faces, recipe, tmp_path_factory):
    """The store of the same run, interrupted after the first of its two epochs."""
    store = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(training, "build", build_tiny)
        interrupt_after(1, patch)
        fit(recipe, faces, 1, store, progress=False)
    return store


@pytest.fixture
def half_done(tiny_network, interrupted, faces, recipe, tmp_path):
    """A copy of the interrupted run's folder, and a function that continues the run."""
    shutil.copytree(interrupted, tmp_path, dirs_exist_ok=True)
    folder = run_folder(tmp_path, recipe, 1, faces)
    assert [path.name for path in folder.iterdir()] == ["checkpoint.npz"]
    return folder, lambda: fit(recipe, faces, 1, tmp_path, progress=False)


# --- moving averages of the weights ---


def test_the_moving_average_is_evaluated_and_saved(tiny_network, faces, recipe, tmp_path):
    """One update per epoch: runs of 1, 2 and 3 epochs have the weights after each update."""
    plain = recipe.but(dropout=0.0, batch_size=512, plateau_patience=0)
    after = [
        fit(plain.but(epochs=n), faces, 1, tmp_path, progress=False).model().get_weights()
        for n in (1, 2, 3)
    ]
    run = fit(plain.but(epochs=3, ema=0.75), faces, 1, tmp_path, progress=False)
    for kept, first, second, third in zip(run.model().get_weights(), *after, strict=True):
        expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
        np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-7)
    public = faces.of(PUBLIC)
    np.testing.assert_allclose(run.logits(public), predict(run.model(), public.images), atol=1e-5)
    assert run.history["val_accuracy"].iloc[-1] == accuracy(run.logits(public), public.emotion)


def test_an_interrupted_run_with_a_moving_average_continues(
    tiny_network, faces, recipe, tmp_path, monkeypatch
):
    averaged = recipe.but(ema=0.9, epochs=3)
    undisturbed = fit(averaged, faces, 1, tmp_path / "one", progress=False)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(1, patch)
        fit(averaged, faces, 1, tmp_path / "two", progress=False)
    assert_same(fit(averaged, faces, 1, tmp_path / "two", progress=False), undisturbed)


# --- batches ---


def in_order(faces):
    """Faces whose pixels encode the image's number, and whether it was flipped."""
    images = np.zeros((len(faces), 48, 48), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(faces)) % 256, np.arange(len(faces)) // 256
    images[:, 1, 0] = 1
    return dataclasses.replace(faces, images=images)


def epoch_of(faces, recipe, seed, epoch):
    """The numbers of an epoch's images in their order, and whether each was flipped."""
    order, draws = epoch_plan(recipe, seed, epoch, len(faces), 48)
    images = augmentation.apply(faces.images[order], draws.of(order), 48, recipe.border)
    flipped = images[:, 1, 47] == 1
    upright = np.where(flipped[:, None, None], images[:, :, ::-1], images)
    return (upright[:, 0, 0] + 256 * upright[:, 0, 1]).astype(int), flipped


def test_every_image_occurs_once_per_epoch(faces, recipe):
    assert sorted(epoch_of(in_order(faces), recipe, 1, 1)[0]) == list(range(len(faces)))


def test_drop_last_drops_the_incomplete_batch_with_other_images_each_epoch(faces, recipe):
    left = [
        set(range(210)) - set(epoch_of(in_order(faces), recipe.but(drop_last=True), 1, e)[0])
        for e in (1, 2)
    ]
    assert [len(each) for each in left] == [210 % 32] * 2 and left[0] != left[1]
    few = faces.select(np.arange(20))
    assert len(epoch_plan(recipe.but(drop_last=True), 1, 1, len(few), 48)[0]) == 20, (
        "nothing would be left"
    )


def test_order_and_flips_depend_on_seed_and_epoch(faces, recipe):
    faces = in_order(faces)
    first, flipped = epoch_of(faces, recipe, 1, 1)
    np.random.seed(99)
    random.seed(99)
    again, flipped_again = epoch_of(faces, recipe, 1, 1)
    assert np.array_equal(first, again) and np.array_equal(flipped, flipped_again)
    for seed, epoch in ((1, 2), (2, 1)):
        order, others = epoch_of(faces, recipe, seed, epoch)
        assert not np.array_equal(order, first) and not np.array_equal(others, flipped)


def test_alternating_flips_show_both_sides_in_two_epochs(faces, recipe):
    faces = in_order(faces)
    by_epoch = []
    for epoch in range(1, 5):
        order, flipped = epoch_of(faces, recipe.but(alternating_flip=True), 1, epoch)
        by_epoch.append(flipped[np.argsort(order)])
    first, second, third, fourth = by_epoch
    assert 0.35 < first.mean() < 0.65
    assert (
        np.array_equal(second, ~first)
        and np.array_equal(third, first)
        and np.array_equal(fourth, second)
    )


def test_training_uses_crops_and_then_whole_images(faces):
    recipe = get_recipe("small_resnet").but(epochs=3, crop_side=40, full_epochs=1)
    sides = [epoch_plan(recipe, 1, epoch, len(faces), 48)[1].side for epoch in (1, 2, 3)]
    assert sides == [40, 40, 48]
    assert epoch_plan(recipe, 1, 3, len(faces), 42)[1].side == 42, "not more than the trunk's input"


def test_a_run_on_crops_saves_a_model_for_whole_images_and_continues(faces, tmp_path, monkeypatch):
    recipe = CASES["case-crops"].but(epochs=3, full_epochs=1, dropout=0.2)
    whole = fit(recipe, faces, 1, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(1, patch)
        fit(recipe, faces, 1, tmp_path / "parts", progress=False)
    parts = fit(recipe, faces, 1, tmp_path / "parts", progress=False)
    for one, other in zip(whole.model().get_weights(), parts.model().get_weights(), strict=True):
        assert np.array_equal(one, other)
    public = faces.of(PUBLIC)
    assert whole.model().input_shape == (None, 48, 48, 1)
    np.testing.assert_allclose(
        predict(whole.model(), public.images), whole.logits(public), atol=1e-4
    )


def test_crops_are_refused_if_the_weights_depend_on_the_side(faces, recipe, tmp_path):
    with pytest.raises(StudyError, match=r"crop_side: expected a side .* as 48"):
        fit(recipe.but(crop_side=40), faces, 1, tmp_path, progress=False)


def test_training_starts_on_resized_images(faces):
    recipe = get_recipe("small_resnet").but(
        epochs=4, crop_side=44, small_epochs=2, small_side=24, full_epochs=1
    )
    plans = [epoch_plan(recipe, 1, epoch, len(faces), 48)[1] for epoch in range(1, 5)]
    assert [plan.side for plan in plans] == [24, 24, 44, 48]
    # The last two epochs are those of the recipe without resizing.
    others = [
        epoch_plan(recipe.but(small_epochs=0), 1, epoch, len(faces), 48)[1] for epoch in (3, 4)
    ]
    for plan, other in zip(plans[2:], others, strict=True):
        assert np.array_equal(plan.transform, other.transform)
    # A resized image shows what the crop would: 44 pixels around the same middle, at lower
    # resolution.
    small, large = plans[1], epoch_plan(recipe.but(small_epochs=0), 1, 2, len(faces), 48)[1]
    middle_small = small.transform @ np.array([11.5, 11.5, 1])
    middle_large = large.transform @ np.array([21.5, 21.5, 1])
    np.testing.assert_allclose(middle_small, middle_large, atol=1e-4)
    np.testing.assert_allclose(small.transform[:, :, :2] * 24, large.transform[:, :, :2] * 44, 1e-5)


def test_a_run_on_resized_images_ends_with_a_model_for_whole_images(faces, tmp_path):
    recipe = CASES["case-crops"].but(epochs=2, small_epochs=1, small_side=24)
    run = fit(recipe, faces, 1, tmp_path, progress=False)
    public = faces.of(PUBLIC)
    assert run.model().input_shape == (None, 48, 48, 1)
    np.testing.assert_allclose(predict(run.model(), public.images), run.logits(public), atol=1e-4)
    direct = fit(recipe.but(small_epochs=0), faces, 1, tmp_path, progress=False)
    assert not np.array_equal(direct.logits(public), run.logits(public))


def test_about_half_of_the_images_are_flipped_on_request(faces, recipe):
    faces = in_order(faces)
    share = np.mean([epoch_of(faces, recipe, 1, epoch)[1] for epoch in range(1, 6)])
    assert 0.42 < share < 0.58  # 1,050 coin tosses, within five standard deviations
    assert not epoch_of(faces, recipe.but(flip=False), 1, 1)[1].any()


def test_batches_do_not_change_the_faces(faces, recipe):
    faces = dataclasses.replace(faces, images=faces.images.copy())
    before = faces.images.copy()
    epoch_of(faces, recipe, 1, 1)
    assert np.array_equal(faces.images, before)


# --- the learning rate ---


def keras_rates(recipe: Recipe, losses: list[float]) -> list[float]:
    """The rates of Keras' own callback for these losses, by epoch."""

    class Optimizer:
        learning_rate = keras.Variable(recipe.learning_rate)

    class Model:
        optimizer = Optimizer()

    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="val_loss",
        factor=recipe.plateau_factor,
        patience=recipe.plateau_patience,
        min_lr=recipe.minimum_learning_rate,
    )
    callback.set_model(Model())
    callback.on_train_begin()
    rates = [recipe.learning_rate]
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        rates.append(float(keras.ops.convert_to_numpy(callback.model.optimizer.learning_rate)))
    return rates


@settings(max_examples=60, deadline=None)
@given(
    # Mostly decreases just below or above Keras' smallest improvement, 1e-4.
    steps=st.lists(st.sampled_from([-2.5e-4, -1.2e-4, -0.8e-4, -0.4e-4, 0, 1e-3]), max_size=25),
    patience=st.integers(1, 4),
    rate=st.sampled_from([5e-4, 1e-5, 4e-6]),
)
def test_learning_rate_is_that_of_keras(steps, patience, rate):
    losses = np.cumsum([1.0, *steps]).tolist()
    recipe = get_recipe("baseline_cnn").but(plateau_patience=patience, learning_rate=rate)
    ours = [learning_rate(recipe, losses[:epoch]) for epoch in range(len(losses) + 1)]
    np.testing.assert_allclose(ours, keras_rates(recipe, losses), rtol=1e-5)


def test_the_default_learning_rate_falls_after_two_epochs_without_progress_to_its_minimum():
    recipe = get_recipe("baseline_cnn")
    rates = [learning_rate(recipe, [1.0] * epochs) for epochs in range(8)]
    np.testing.assert_allclose(rates, [5e-4, 5e-4, 5e-4, 5e-5, 5e-5, 1e-5, 1e-5, 1e-5])


def test_learning_rate_without_patience_is_constant():
    recipe = get_recipe("baseline_cnn").but(plateau_patience=0)
    assert learning_rate(recipe, [1.0] * 20) == 5e-4


def test_the_rate_reaches_the_optimizer(tiny_network, faces, recipe, tmp_path, monkeypatch):
    used = []
    add = checkpoint.Checkpoint.add

    def record(self, row, *args, **kwargs):
        used.append(float(keras.ops.convert_to_numpy(self.optimizer.learning_rate)))
        add(self, row, *args, **kwargs)

    monkeypatch.setattr(checkpoint.Checkpoint, "add", record)
    monkeypatch.setattr(training, "cross_entropy", lambda logits, emotion: 1.0)
    run = fit(recipe.but(epochs=5), faces, 1, tmp_path, progress=False)
    np.testing.assert_allclose(used, [5e-4, 5e-4, 5e-4, 5e-5, 5e-5], rtol=1e-6)
    np.testing.assert_allclose(run.history["learning_rate"], used, rtol=1e-6)


# --- a training ---


def test_the_history_has_the_epochs_scores(run, faces, recipe):
    public = faces.of(PUBLIC)
    last = run.history.iloc[-1]
    logits = predict(run.model(), public.images)
    assert last["val_accuracy"] == accuracy(logits, public.emotion)
    assert last["val_loss"] == cross_entropy(logits, public.emotion)
    assert np.array_equal(run.logits(public), logits)
    assert run.history["loss"].nunique() == 2 and run.history["val_loss"].nunique() == 2
    assert (run.history["seconds"] > 0).all()


def test_it_learns(tiny_network, faces, recipe, tmp_path):
    quick = recipe.but(epochs=4, learning_rate=5e-3, dropout=0.0, flip=False)
    history = fit(quick, faces, 1, tmp_path, progress=False).history
    assert history["loss"].iloc[-1] < 0.92 * history["loss"].iloc[0]


def test_validation_and_prediction_use_unaugmented_images(
    tiny_network, faces, recipe, tmp_path, monkeypatch
):
    seen = []

    def note(model, images, tta=""):
        seen.append(images.copy())
        return predict(model, images, tta)

    monkeypatch.setattr(training, "predict", note)
    fit(recipe, faces, 1, tmp_path, progress=False)
    assert len(seen) == 2
    for images in seen:
        assert np.array_equal(images, faces.of(PUBLIC).images)


def test_privatetest_is_not_read(tiny_network, tiny_run, faces, recipe, tmp_path):
    """The fixture's run had faces with PrivateTest."""
    without = fit(recipe, faces.without_private(), 1, tmp_path, progress=False)
    assert without.folder.name == tiny_run.folder.name
    assert_same(without, tiny_run)
    assert sorted(tiny_run.predictions()[0]) == sorted(faces.of(PUBLIC).row)


@pytest.mark.parametrize("missing", [TRAINING, PUBLIC])
def test_a_missing_split_is_named(faces, recipe, tmp_path, missing):
    with pytest.raises(StudyError, match=missing):
        fit(recipe, faces.select(faces.usage != missing), 1, tmp_path, progress=False)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_named(faces, recipe, tmp_path, seed):
    with pytest.raises(StudyError, match=f"seed: expected .* 4294967295, found {seed}"):
        fit(recipe, faces, seed, tmp_path, progress=False)


def test_another_seed_gives_other_weights(tiny_network, tiny_run, faces, recipe, tmp_path):
    other = fit(recipe, faces, 2, tmp_path, progress=False)
    for here, there in zip(
        tiny_run.model().get_weights(), other.model().get_weights(), strict=True
    ):
        assert not np.array_equal(here, there)


def test_global_random_states_do_not_matter(
    tiny_network, tiny_run, faces, recipe, tmp_path, monkeypatch
):
    """Checkpoints do not contain the state of Python's and NumPy's global generators."""
    plain = Engine.epoch

    def stirred(self, *args, **kwargs):
        random.seed(12345)
        np.random.seed(12345)
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(Engine, "epoch", stirred)
    assert_same(fit(recipe, faces, 1, tmp_path, progress=False), tiny_run)


def test_the_same_seed_gives_the_same_weights_in_another_process(run, faces, recipe, tmp_path):
    """On the command line, with all faces. The fixture's run had faces without PrivateTest."""
    faces.save(tmp_path / "prepared")
    options = {**recipe.options, "epochs": 2, "batch_size": 32, "keep": "last"}
    command = [sys.executable, "-m", "fer_utils.cli", "train", "baseline_cnn", "--seed", "1"]
    command += ["--data", tmp_path / "prepared", "--runs", tmp_path / "runs"]
    command += [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    other = Run(tmp_path / "runs" / run.folder.name)
    assert done.stdout.splitlines()[-1] == str(other.folder)
    assert_same(run, other)


def test_a_finished_run_is_loaded_and_not_repeated(run, faces, recipe, monkeypatch):
    monkeypatch.setattr(training, "build", lambda *args, **kwargs: pytest.fail("built a network"))
    before = {path: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert fit(recipe, faces, 1, run.folder.parent, progress=False).folder == run.folder
    assert {path: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("last", 4)])
def test_the_selected_weights(tiny_network, faces, recipe, tmp_path, monkeypatch, keep, kept):
    # The second and third epochs are equally good, and the earlier one is selected.
    accuracies = iter([0.1, 0.3, 0.3, 0.2])
    monkeypatch.setattr(training, "accuracy", lambda logits, emotion: next(accuracies))
    run = fit(recipe.but(epochs=4, keep=keep), faces, 1, tmp_path, progress=False)
    public = faces.of(PUBLIC)
    losses = run.history["val_loss"].tolist()
    assert run.info.epoch_kept == kept
    assert losses.index(cross_entropy(run.logits(public), public.emotion)) == kept - 1
    assert np.array_equal(predict(run.model(), public.images), run.logits(public))


# --- interrupted ---


def test_an_interrupted_run_ends_as_an_undisturbed_one(run, faces, recipe, tmp_path, monkeypatch):
    """With a real network: convolutions, batch normalisation and the generators of dropout."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(1, patch)
        fit(recipe, faces, 1, tmp_path, progress=False)
    keras.utils.set_random_seed(12345)
    assert_same(fit(recipe, faces, 1, tmp_path, progress=False), run)
    assert not (tmp_path / run.folder.name / "checkpoint.npz").exists()


def test_no_epoch_is_repeated(half_done, tiny_run, monkeypatch):
    _, resume = half_done
    trained, plain = [], Engine.epoch

    def note(self, *args):
        trained.append(args)
        return plain(self, *args)

    monkeypatch.setattr(Engine, "epoch", note)
    assert_same(resume(), tiny_run)
    assert len(trained) == 1


def test_interrupted_at_each_step_of_finishing(half_done, build_tiny, tiny_run, monkeypatch):
    folder, resume = half_done
    for step in ("model.keras", "history.csv", "predictions.npz", "run.json"):
        for module in (training, runs):
            atomic = module.atomic_file

            def stop_at(path, step=step, atomic=atomic):
                if path.name == step:
                    raise Interrupted
                return atomic(path)

            monkeypatch.setattr(module, "atomic_file", stop_at)
        with pytest.raises(Interrupted):
            resume()
        monkeypatch.undo()
        monkeypatch.setattr(training, "build", build_tiny)
        assert not (folder / "run.json").exists()
        with pytest.raises(StudyError, match="expected a finished run"):
            _ = Run(folder).info
    assert_same(resume(), tiny_run)


# --- damaged checkpoints ---


def flip(raw: bytes, at: int, bit: int = 0) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


def in_central_directory(raw: bytes, offset: int) -> int:
    return raw.index(b"PK\x01\x02") + offset


DAMAGE = {
    "empty": lambda raw: b"",
    "truncated": lambda raw: raw[: len(raw) // 2],
    "a flipped pixel of the weights": lambda raw: flip(raw, len(raw) // 3),
    "called encrypted": lambda raw: flip(raw, in_central_directory(raw, 8)),
    "called of another version": lambda raw: flip(raw, in_central_directory(raw, 6), 7),
    "another file": lambda raw: b"not a checkpoint\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_checkpoint_is_set_aside_and_named(half_done, damage):
    folder, resume = half_done
    raw = (folder / "checkpoint.npz").read_bytes()
    (folder / "checkpoint.npz").write_bytes(DAMAGE[damage](raw))
    with pytest.raises(
        StudyError,
        match=r"checkpoint.npz: expected a checkpoint .* set aside as corrupt-checkpoint",
    ):
        resume()
    assert [path.name for path in folder.iterdir()] == ["corrupt-checkpoint.npz"]
    assert (folder / "corrupt-checkpoint.npz").read_bytes() == DAMAGE[damage](raw)


def test_after_a_corrupt_checkpoint_the_run_starts_from_the_beginning(half_done, tiny_run):
    folder, resume = half_done
    (folder / "checkpoint.npz").write_bytes(b"")
    with pytest.raises(StudyError, match="Run the same command again"):
        resume()
    assert_same(resume(), tiny_run)


@pytest.mark.parametrize("what", ["variable_0", "variable_1"])
def test_weights_of_another_network_are_set_aside(half_done, what):
    folder, resume = half_done
    with np.load(folder / "checkpoint.npz") as saved:
        arrays = dict(saved)
    np.savez(folder / "checkpoint.npz", **arrays | {what: np.zeros((3, 3), np.float32)})
    with pytest.raises(StudyError, match=r"has shape \(3, 3\)"):
        resume()
    assert not (folder / "checkpoint.npz").exists()


@pytest.mark.parametrize("damage", ["missing", "wrong shape"])
def test_a_checkpoint_is_never_partly_loaded(half_done, recipe, damage):
    folder, _ = half_done
    with np.load(folder / "checkpoint.npz") as saved:
        arrays = dict(saved)
    last = max((n for n in arrays if n.startswith("variable_")), key=lambda n: int(n.split("_")[1]))
    if damage == "missing":
        del arrays[last]
    else:
        arrays[last] = np.zeros((3, 3), np.float32)
    np.savez(folder / "checkpoint.npz", **arrays)

    model, optimizer = training.build("baseline_cnn"), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    before = [np.asarray(v) for v in (*model.variables, *optimizer.variables)]
    state = checkpoint.Checkpoint(folder / "checkpoint.npz", model, optimizer)
    with pytest.raises(StudyError):
        state.restore()
    assert state.history == [] and state.best is None
    for variable, value in zip((*model.variables, *optimizer.variables), before, strict=True):
        assert np.array_equal(np.asarray(variable), value)


def test_checkpoints_take_a_limited_share_of_the_time(
    tiny_network, tiny_run, faces, recipe, tmp_path, monkeypatch
):
    """Short epochs do not each get a checkpoint. A continued run repeats the unsaved epochs."""
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SHARE", 1e-9)
    long = recipe.but(epochs=4)
    whole = fit(long, faces, 1, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(3, patch)
        fit(long, faces, 1, tmp_path, progress=False)
    assert epochs_in(run_folder(tmp_path, long, 1, faces) / "checkpoint.npz") == 1
    assert_same(fit(long, faces, 1, tmp_path, progress=False), whole)


def test_a_full_disk_keeps_the_last_checkpoint(half_done, tiny_run, monkeypatch):
    folder, resume = half_done
    good = (folder / "checkpoint.npz").read_bytes()
    savez = np.savez

    def half(target, *args, **kwargs):
        savez(target, *args, **kwargs)
        Path(target).write_bytes(Path(target).read_bytes()[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(np, "savez", half)
        resume()
    assert [path.name for path in folder.iterdir()] == ["checkpoint.npz"]
    assert (folder / "checkpoint.npz").read_bytes() == good
    assert_same(resume(), tiny_run)


# --- options of recipes ---


def test_folds_leave_out_each_image_once(tiny_network, faces, recipe, tmp_path, monkeypatch):
    folds = recipe.but(folds=4, epochs=1).every_fold
    count = len(faces.of(TRAINING))
    part_of = fold_of(folds[0], count)
    assert sorted(np.bincount(part_of).tolist()) == sorted(
        [0, *np.bincount(np.arange(count) % 4).tolist()]
    )
    assert np.array_equal(part_of, fold_of(folds[2], count)), "all folds use the same partition"
    seen, plain = [], Engine.__init__

    def note(self, trunk, optimizer, recipe, images, targets):
        seen.append(images)
        plain(self, trunk, optimizer, recipe, images, targets)

    monkeypatch.setattr(Engine, "__init__", note)
    for fold in folds:
        fit(fold, faces, 1, tmp_path, progress=False)
    for number, images in enumerate(seen, 1):
        assert np.array_equal(images, faces.of(TRAINING).images[part_of != number])


def test_a_recipe_with_folds_needs_a_fold(faces, recipe, tmp_path):
    with pytest.raises(StudyError, match="fold: expected one from 1 to 4, found 0"):
        fit(recipe.but(folds=4), faces, 1, tmp_path, progress=False)


def test_snapshots_are_weights_of_the_last_sixth_and_part_of_tta(
    tiny_network, faces, recipe, tmp_path
):
    with_snapshots = recipe.but(epochs=12, snapshots=2, learning_rate=0.01)
    run, public = fit(with_snapshots, faces, 1, tmp_path, progress=False), faces.of(PUBLIC)
    assert training._snapshot_epochs(with_snapshots) == [11, 12]
    (earlier,) = run.snapshots()
    model, members = run.model(), [run.logits(public)]
    assert any(not np.array_equal(a, b) for a, b in zip(earlier, model.get_weights(), strict=True))
    model.set_weights(earlier)
    members.append(predict(model, public.images))
    np.testing.assert_allclose(run.logits(public, tta=True), mean_prediction(members), atol=1e-5)
    assert np.array_equal(predict_with_tta(run, public.images), run.logits(public, tta=True))


def test_an_interrupted_run_with_snapshots_ends_as_an_undisturbed_one(
    tiny_network, faces, recipe, tmp_path, monkeypatch
):
    with_snapshots = recipe.but(epochs=12, snapshots=2)
    whole = fit(with_snapshots, faces, 1, tmp_path / "whole", progress=False)
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SHARE", float("inf"))
    for epochs in (11, 1):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            interrupt_after(epochs, patch)
            fit(with_snapshots, faces, 1, tmp_path, progress=False)
    again = fit(with_snapshots, faces, 1, tmp_path, progress=False)
    for here, there in zip(again.snapshots()[0], whole.snapshots()[0], strict=True):
        assert np.array_equal(here, there)
    assert np.array_equal(again.predictions(tta=True)[1], whole.predictions(tta=True)[1])


def test_tta_is_the_mean_probability_of_its_transforms(tiny_network, faces, recipe, tmp_path):
    run, public = (
        fit(recipe.but(tta="flip"), faces, 1, tmp_path, progress=False),
        faces.of(PUBLIC),
    )
    plain, flipped = (
        predict(run.model(), images) for images in (public.images, public.images[:, :, ::-1])
    )
    assert np.array_equal(run.logits(public), plain)
    np.testing.assert_allclose(
        run.logits(public, tta=True), mean_prediction([plain, flipped]), atol=1e-5
    )
    with pytest.raises(StudyError, match="tta: expected one of flip"):
        predict(run.model(), public.images, "flips")


def test_a_network_with_a_front_is_trained_on_the_fronts_output(faces, tmp_path, monkeypatch):
    """Tang's front is adapted to Training alone. Without augmentation, the centre is cropped."""
    recipe = get_recipe("tang_l2svm").but(width=0.05, epochs=1, batch_size=64, tta="")
    run, public = fit(recipe, faces, 1, tmp_path, progress=False), faces.of(PUBLIC)
    model = run.model()
    front, trunk = parts(model)
    twin = parts(build("tang", width=0.05))[0]
    twin.adapt(faces.of(TRAINING).images)
    for here, there in zip(front.get_weights(), twin.get_weights(), strict=True):
        assert np.array_equal(here, there)
    made = np.asarray(front(public.images[..., None].astype(np.float32)))[:, 3:45, 3:45]
    np.testing.assert_allclose(run.logits(public), np.asarray(trunk(made)), atol=1e-4)
    assert run.info.parameters == trunk.count_params()


def test_a_run_learns_from_soft_labels(tiny_network, faces, recipe, tmp_path):
    training_faces = faces.of(TRAINING)
    soft = np.full((len(training_faces), 7), -20.0, np.float32)
    soft[:, 2] = 20.0  # the teacher predicts fear for every image
    name = distil([soft, soft], training_faces, tmp_path, ["a-seed1", "b-seed2"])
    np.testing.assert_allclose(
        read_soft_labels(recipe.but(teacher=name), training_faces, tmp_path)[0],
        np.eye(7)[[2] * len(soft)],
        atol=1e-6,
    )
    distilled = recipe.but(teacher=name, epochs=6, learning_rate=0.02, keep="last")
    run = fit(distilled, faces, 1, tmp_path, progress=False)
    assert (run.logits(faces.of(PUBLIC)).argmax(1) == 2).all()
    assert run.info.teachers == ("a-seed1", "b-seed2")


def test_votes_as_soft_labels_mark_the_run_and_its_students(tiny_network, faces, recipe, tmp_path):
    training_faces = faces.of(TRAINING)
    votes = pd.DataFrame(0, index=range(len(faces)), columns=CATEGORIES)
    votes["happiness"], votes["contempt"] = 6, 1
    votes["neutral"] = 3
    votes.iloc[0] = 0
    votes.loc[0, "NF"] = 10
    voted = dataclasses.replace(faces, votes=votes)
    name = write_soft_labels(vote_targets(voted.of(TRAINING)), training_faces, tmp_path, [VOTES])
    (soft,) = read_soft_labels(recipe.but(teacher=name), training_faces, tmp_path)
    expected = np.zeros(7)
    expected[[3, 6]] = 2 / 3, 1 / 3
    silent = voted.of(TRAINING).votes["NF"].to_numpy() == 10
    np.testing.assert_allclose(
        soft[~silent], np.broadcast_to(expected, (len(soft) - silent.sum(), 7)), atol=1e-3
    )
    assert np.array_equal(soft[silent].argmax(axis=1), training_faces.emotion[silent])
    run = fit(recipe.but(teacher=name, epochs=1), voted, 1, tmp_path, progress=False)
    assert run.info.learned_from_votes
    # A student of this network learns from the votes indirectly.
    name = distil_runs({run.folder: 1}, training_faces, tmp_path)
    student = fit(recipe.but(teacher=name, epochs=1), faces, 2, tmp_path, progress=False)
    assert student.info.teachers == ("baseline_cnn-seed1", VOTES)
    assert student.info.learned_from_votes
    with pytest.raises(StudyError, match=r"expected FER\+ votes"):
        vote_targets(training_faces)


def test_soft_labels_of_other_faces_are_refused(faces, recipe, tmp_path):
    training_faces = faces.of(TRAINING)
    name = distil([np.zeros((len(training_faces), 7))], training_faces, tmp_path)
    with pytest.raises(StudyError, match="expected soft labels of these"):
        others = training_faces.select(np.arange(len(training_faces))[::-1])
        read_soft_labels(recipe.but(teacher=name), others, tmp_path)
    with pytest.raises(StudyError, match="soft labels 0123, found FileNotFoundError"):
        fit(recipe.but(teacher="0123"), faces, 1, tmp_path, progress=False)


def test_targets_mix_labels_with_smoothing_and_soft_labels(faces, recipe, tmp_path):
    training_faces = faces.of(TRAINING)
    hard = np.eye(7)[training_faces.emotion]
    (found,) = training._targets(recipe.but(label_smoothing=0.14), training_faces, tmp_path)
    np.testing.assert_allclose(found, 0.86 * hard + 0.02, atol=1e-6)
    name = distil([np.zeros((len(training_faces), 7))], training_faces, tmp_path)
    distilled = recipe.but(teacher=name, teacher_share=0.7)
    (found,) = training._targets(distilled, training_faces, tmp_path)
    np.testing.assert_allclose(found, 0.3 * hard + 0.1, atol=1e-4)


def test_a_run_in_bfloat16_is_saved_and_evaluated_in_float32(tiny_network, faces, recipe, tmp_path):
    run, public = (
        fit(recipe.but(precision="bfloat16"), faces, 1, tmp_path, progress=False),
        faces.of(PUBLIC),
    )
    model = run.model()
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert np.array_equal(predict(model, public.images), run.logits(public))
    assert keras.config.dtype_policy().name == "float32", "the policy is restored"


# --- losses that are not finite ---


def test_a_nan_loss_is_an_error_with_epoch_and_last_good_checkpoint(half_done, recipe, monkeypatch):
    folder, resume = half_done
    good = (folder / "checkpoint.npz").read_bytes()
    plain = Engine.epoch

    def diverge(self, *args):
        losses, correct = plain(self, *args)
        losses[3] = np.nan
        return losses, correct

    monkeypatch.setattr(Engine, "epoch", diverge)
    expected = (
        r"epoch 2: expected a finite loss, found nan at step 4 of 6.*epoch 1\) remains.* 0\.0005"
    )
    with pytest.raises(StudyError, match=expected):
        resume()
    assert (folder / "checkpoint.npz").read_bytes() == good
    assert not (folder / "run.json").exists()


def test_divergence_in_the_first_epoch_is_an_error_without_checkpoint(
    tiny_network, faces, recipe, tmp_path
):
    with pytest.raises(
        StudyError, match=r"epoch 1: expected a finite loss, found .*There is no checkpoint yet"
    ):
        fit(recipe.but(learning_rate=1e38), faces, 1, tmp_path, progress=False)


# --- killed ---

KILLED = """
import sys
from pathlib import Path
import numpy as np
from fer_utils.training import checkpoint
from fer_utils.training import fit as training
from fer_utils.data.faces import load_faces
from fer_utils.training.recipe import Recipe

prepared, store, recipe, writes = sys.argv[1:]
savez, left = np.savez, int(writes)

def savez_until_killed(target, **arrays):
    # The last of `writes` writes stops half-way, and waits until this process is killed.
    global left
    savez(target, **arrays)
    left -= 1
    if left == 0 and "checkpoint" in Path(target).name:
        whole = Path(target).read_bytes()
        Path(target).write_bytes(whole[: len(whole) // 2])
        print("half-way", flush=True)
        sys.stdin.read()

np.savez = savez_until_killed
import json
checkpoint.CHECKPOINT_SHARE = float("inf")  # one after each epoch
recipe, faces = Recipe(**json.loads(recipe)), load_faces(Path(prepared))
training.fit(recipe, faces, 1, Path(store), progress=False)
print("finished", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("network", ["baseline_cnn", "tang"])
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(faces, recipe, tmp_path, network):
    recipe = recipe.but(epochs=8)
    if network == "tang":  # momentum, a schedule by update, augmentation
        recipe = get_recipe("tang_l2svm").but(width=0.05, epochs=8, batch_size=32, tta="flip")
    reference = fit(recipe, faces, 1, tmp_path / "whole", progress=False)
    faces.save(tmp_path / "prepared")
    generator = random.Random(0)

    def start(writes: int = 0) -> subprocess.Popen:
        arguments = [
            tmp_path / "prepared",
            tmp_path / "runs",
            json.dumps(recipe.to_dict()),
            str(writes),
        ]
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    folder = tmp_path / "runs" / reference.folder.name
    checkpoint = folder / "checkpoint.npz"

    def kill(process: subprocess.Popen) -> None:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    # While a checkpoint is written: the first one, and one that replaces another.
    for writes, saved in ((1, 0), (3, 2)):
        process = start(writes)
        assert process.stdout.readline() == "half-way\n"
        kill(process)
        assert epochs_in(checkpoint) == saved
    # At random moments after the next complete epoch, so that each start makes progress.
    for _ in range(4):
        before = checkpoint.stat().st_mtime_ns
        process = start()
        while (
            process.poll() is None
            and checkpoint.exists()
            and checkpoint.stat().st_mtime_ns == before
        ):
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.2))
        kill(process)
        if (folder / "run.json").exists():
            break
    process = start()
    assert process.communicate()[0] == "finished\n"
    assert_same(Run(folder), reference)


def epochs_in(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    with np.load(checkpoint) as saved:
        return len(json.loads(str(saved["history"])))
