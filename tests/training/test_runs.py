"""The run store: fingerprints, the files of a run, and published runs."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from fer_utils.emotions import PRIVATE, PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe
from fer_utils.training.recipes import get_recipe
from fer_utils.training.runs import (
    Run,
    logits_of,
    publish_run,
    read_run_info,
    run_fingerprint,
    run_folder,
    write_predictions,
)


@pytest.fixture
def copy(run, tmp_path) -> Run:
    """A copy of the shared run, which tests may write to."""
    return Run(shutil.copytree(run.folder, tmp_path / run.folder.name))


# --- fingerprints ---


def test_explicit_defaults_change_nothing(faces):
    plain = Recipe("baseline_cnn", "baseline_cnn")
    for spelled_out in (
        plain.but(width=1.0),
        plain.but(width=1, dropout=0.25, batch_norm_momentum=0.99),
        plain.but(epochs=15, learning_rate=0.0005, flip=True, keep="best"),
    ):
        assert run_fingerprint(spelled_out, 1, faces) == run_fingerprint(plain, 1, faces)


def test_every_field_that_changes_the_weights_changes_it(faces):
    plain = get_recipe("baseline_cnn")
    other = {
        "name": "other",
        "epochs": 14,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "plateau_patience": 3,
        "plateau_factor": 0.5,
        "minimum_learning_rate": 1e-6,
        "flip": False,
        "keep": "last",
        "optimizer": "sgd",
        "momentum": 0.8,
        "weight_decay": 1e-4,
        "schedule": "cosine",
        "warmup": 0.1,
        "loss": "squared_hinge",
        "label_smoothing": 0.1,
        "rotation": 10,
        "zoom": 0.1,
        "translation": 2,
        "border": "zero",
        "erase": 0.1,
        "mixup": 0.4,
        "cutmix": 1.0,
        "drop_last": True,
        "sam": 0.05,
        "ema": 0.99,
        "precision": "bfloat16",
        "data_parallel": True,
        "folds": 8,
        "snapshots": 2,
        "tta": "flip",
        "teacher": "0123456789ab",
        "teacher_share": 0.5,
        "teacher_views": 20,
        "crop": 0.6,
        "crop_side": 44,
        "small_epochs": 2,
        "small_side": 40,
        "full_epochs": 2,
        "alternating_flip": True,
        "width": 0.5,
        "dropout": 0.3,
        "batch_norm_momentum": 0.9,
        "initial_weights": "small_resnet-seed2-0123456789ab",
    }
    fields = {f.name for f in dataclasses.fields(Recipe)} - {"network", "options", "fold"}
    assert fields <= set(other), "a new field of recipes: add it here"
    found = [run_fingerprint(plain.but(**{name: value}), 1, faces) for name, value in other.items()]
    found += [run_fingerprint(plain, seed, faces) for seed in (1, 2)]
    found += [run_fingerprint(fold, 1, faces) for fold in plain.but(folds=3).every_fold]
    assert len(set(found)) == len(other) + 5


def test_training_and_publictest_count_and_privatetest_does_not(faces):
    recipe = get_recipe("baseline_cnn")

    def with_a_changed(usage):
        images = faces.images.copy()
        images[np.flatnonzero(faces.usage == usage)[0], 0, 0] ^= 1
        return run_fingerprint(recipe, 1, dataclasses.replace(faces, images=images))

    plain = run_fingerprint(recipe, 1, faces)
    assert run_fingerprint(recipe, 1, faces.without_private()) == plain
    assert with_a_changed(PRIVATE) == plain
    assert len({plain, with_a_changed(TRAINING), with_a_changed(PUBLIC)}) == 3


def test_unknown_options_have_no_fingerprint(faces):
    with pytest.raises(StudyError, match="unknown option widht"):
        run_fingerprint(get_recipe("baseline_cnn").but(widht=1), 1, faces)


def test_fingerprints_do_not_change():
    # A changed fingerprint orphans every run in every store. If that is intended, raise
    # runs.ENGINE.
    class FakeFaces:
        fingerprint = "0" * 64

    recipe = Recipe("baseline_cnn", "baseline_cnn", {"width": 0.25}, epochs=8)
    assert run_folder("runs", recipe, 1, FakeFaces).name == "baseline_cnn-seed1-e979a55b066e"


def test_folds_have_different_names(faces):
    names = [
        run_folder("runs", fold, 1, faces).name
        for fold in get_recipe("baseline_cnn").but(folds=2).every_fold
    ]
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "baseline_cnn-fold1-seed1",
        "baseline_cnn-fold2-seed1",
    ]


# --- a finished run ---


def test_a_run_has_its_record_history_and_files(run, recipe, faces):
    assert (run.recipe, run.seed) == (recipe, 1)
    assert run.folder.name == f"baseline_cnn-seed1-{run.info.fingerprint[:12]}"
    assert run.info.fingerprint == run_fingerprint(recipe, 1, faces)
    assert run.info.faces == faces.fingerprint
    assert run.info.source == "sample"
    assert run.info.parameters == run.model().count_params()
    assert {"keras", "numpy", "backend"} == set(run.info.versions)
    assert "cores" in run.info.machine
    assert run.history.columns.tolist() == [
        *("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    ]
    assert run.history["epoch"].tolist() == [1, 2]
    assert sorted(path.name for path in run.folder.iterdir()) == [
        *("history.csv", "model.keras", "predictions.npz", "run.json")
    ]


def test_an_unfinished_run_is_an_error(tmp_path):
    with pytest.raises(StudyError, match=r"expected a finished run .* `fer-study train`"):
        _ = Run(tmp_path / "nothing").info


# --- logits ---


def test_logits_are_looked_up_by_row_in_the_order_of_the_faces(tmp_path, faces):
    public = faces.of(PUBLIC)
    logits = np.arange(7 * len(public), dtype=np.float32).reshape(-1, 7)
    mixed = np.random.default_rng(0).permutation(len(public))
    write_predictions(tmp_path, public.row[mixed], logits[mixed])
    assert np.array_equal(logits_of(tmp_path, public), logits)
    assert np.array_equal(logits_of(tmp_path, public.select(np.array([3, 1]))), logits[[3, 1]])


def test_missing_logits_are_counted(copy, faces):
    private = faces.of(PRIVATE)
    assert copy.has_predictions(faces.of(PUBLIC)) and not copy.has_predictions(private)
    with pytest.raises(
        StudyError, match=rf"{len(private)} faces of PrivateTest, found none for {len(private)}"
    ):
        copy.logits(private)


def test_add_logits_keeps_the_earlier_ones(copy, faces):
    public, private = faces.of(PUBLIC), faces.of(PRIVATE)
    before = copy.logits(public)
    copy.add_logits(private, np.full((len(private), 7), 3.0))
    assert np.array_equal(copy.logits(public), before)
    assert (copy.logits(private) == 3).all() and copy.logits(private).dtype == np.float32
    assert copy.has_predictions(faces.select(faces.usage != TRAINING))


# --- publishing ---


def test_a_published_run_has_no_times(copy, run, faces, tmp_path):
    slower = dataclasses.replace(copy.info, seconds=1e6, machine="another")
    slower.write(copy.folder / "run.json")
    copy.history.assign(seconds=1e6).to_csv(copy.folder / "history.csv", index=False)
    publish_run(run, tmp_path / "one")
    publish_run(Run(copy.folder), tmp_path / "other")

    names = ["history.csv", "model.keras", "predictions.npz", "run.json"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), (
            name
        )
    published = read_run_info(tmp_path / "one")
    assert published.label == "baseline_cnn-seed1" and published.seconds is None
    assert published.epoch_kept == run.info.epoch_kept
    assert np.array_equal(
        logits_of(tmp_path / "one", faces.of(PUBLIC)), run.logits(faces.of(PUBLIC))
    )
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "one" / "history.csv"),
        run.history.drop(columns="seconds"),
        check_exact=True,
    )


def test_a_record_of_an_older_version_is_read(run, tmp_path):
    values = json.loads((run.folder / "run.json").read_text())
    for name in ("tta", "snapshots", "folds", "fold", "teacher", "precision"):
        del values["recipe"][name]
    (tmp_path / "run.json").write_text(json.dumps(values | {"taught_by": ["a-seed1"]}))
    assert read_run_info(tmp_path) == dataclasses.replace(run.info, teachers=("a-seed1",))
    (tmp_path / "run.json").write_text(json.dumps(values | {"colour": "red"}))
    with pytest.raises(StudyError, match="colour"):
        read_run_info(tmp_path)
