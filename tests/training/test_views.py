"""Students are trained on the very versions of the images that their teachers predicted."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from engine_cases import CASES

from fer_utils.cli import main
from fer_utils.data.faces import load_faces
from fer_utils.emotions import PUBLIC, TRAINING
from fer_utils.errors import StudyError
from fer_utils.evaluation import probabilities
from fer_utils.networks import at_side, build
from fer_utils.paths import RELEASED
from fer_utils.training import augmentation, checkpoint
from fer_utils.training.distillation import distil_views
from fer_utils.training.engines import engine
from fer_utils.training.engines.tensorflow import Engine
from fer_utils.training.fit import epoch_plan, fit
from fer_utils.training.recipes import get_recipe
from fer_utils.training.released import load_keras
from fer_utils.training.runs import Run
from fer_utils.training.soft_labels import read_soft_labels, write_soft_labels


@pytest.fixture(scope="module")
def student():
    """A tiny network with each augmentation that views may have."""
    return get_recipe("medium_resnet").but(
        widths=(4, 8),
        blocks=(1, 1),
        dropout=0.0,
        batch_size=64,
        epochs=3,
        full_epochs=0,
        teacher_views=2,
        name="student",
    )


@pytest.fixture
def whole(student, tiny_network):
    """The recipe with whole images, for a network that trains in a moment."""
    return student.but(crop_side=48)


@pytest.fixture(scope="module")
def training_faces(faces):
    return faces.of(TRAINING)


@pytest.fixture(scope="module")
def taught(student, training_faces, tmp_path_factory):
    """A store with what the released model says of the student's views, and the recipe."""
    store = tmp_path_factory.mktemp("taught")
    name = distil_views({RELEASED: 1}, student, training_faces, store, progress=False)
    return store, student.but(teacher=name)


@pytest.fixture
def model_with_a_front(tmp_path):
    """An exported network of the contest's winner, which preprocesses its images."""
    folder = tmp_path / "winner"
    folder.mkdir()
    recipe = CASES["case-jitter"]
    np.savez(folder / "weights.npz", *build(recipe.network, **recipe.options).get_weights())
    (folder / "card.json").write_text(json.dumps({"recipe": recipe.to_dict(), "seed": 1}))
    return folder


def test_teachers_predict_what_students_are_trained_on(taught, training_faces):
    store, recipe = taught
    soft = read_soft_labels(recipe, training_faces, store)
    assert soft.shape == (2, len(training_faces), 7)
    model = at_side(load_keras(RELEASED), 44)
    targets = np.zeros((len(training_faces), 7), np.float32)
    runner = Engine(build("resnet", **recipe.options), None, recipe, training_faces.images, targets)
    for epoch, view in ((1, 0), (2, 1), (3, 0)):
        order, draws = epoch_plan(recipe, 5, epoch, len(training_faces), 48)
        images, _ = runner.batch(order[:64], draws)
        assert images.shape[1:] == (44, 44, 1)
        expected = probabilities(engine().logits(model, images[..., 0]))
        np.testing.assert_allclose(soft[view][order[:64]], expected, atol=2e-3)
    assert np.abs(soft[0] - soft[1]).max() > 0.1, "versions differ"


def test_seeds_change_the_order_and_not_the_views(taught, training_faces):
    _, recipe = taught
    one, other = (epoch_plan(recipe, seed, 1, len(training_faces), 48) for seed in (1, 2))
    assert not np.array_equal(one[0], other[0])
    assert np.array_equal(one[1].transform, other[1].transform)
    # With alternating flips, two successive views show both sides of an image.
    flips = [augmentation.draw_view(recipe, view, 500).flipped for view in (0, 1, 2)]
    assert np.array_equal(flips[0], ~flips[1]) and np.array_equal(flips[0], flips[2])
    coins = [augmentation.draw_view(recipe.but(alternating_flip=False), k, 500) for k in (0, 2)]
    assert not np.array_equal(coins[0].flipped, coins[1].flipped)


def test_an_epoch_learns_from_the_soft_labels_of_its_view(whole, faces, training_faces, tmp_path):
    soft = np.zeros((2, len(training_faces), 7), np.float32)
    soft[0, :, 2] = soft[1, :, 5] = 1  # fear in one view, surprise in the other
    name = write_soft_labels(soft, training_faces, tmp_path, ["a-seed1"], whole)
    seen = []

    def remember(self, targets):
        seen.append(targets.argmax(axis=1))
        set_targets(self, targets)

    set_targets = Engine.set_targets
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "set_targets", remember)
        run = fit(whole.but(teacher=name), faces, 1, tmp_path, progress=False)
    assert [set(labels) for labels in seen] == [{2}, {5}, {2}]
    assert run.info.teachers == ("a-seed1",)


def test_an_interrupted_student_ends_as_an_undisturbed_one(
    whole, faces, training_faces, tmp_path, monkeypatch
):
    soft = np.random.default_rng(4).dirichlet(np.ones(7), (2, len(training_faces)))
    name = write_soft_labels(soft, training_faces, tmp_path, ["a-seed1"], whole)
    recipe = whole.but(teacher=name)
    logits = fit(recipe, faces, 1, tmp_path, progress=False).logits(faces.of(PUBLIC))
    shutil.copytree(tmp_path / "teachers", tmp_path / "again" / "teachers")
    add = checkpoint.Checkpoint.add

    def add_and_stop(self, *args, **kwargs):
        add(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoint, "add", add_and_stop)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, faces, 1, tmp_path / "again", progress=False)
    monkeypatch.setattr(checkpoint.Checkpoint, "add", add)
    again = fit(recipe, faces, 1, tmp_path / "again", progress=False)
    assert np.array_equal(again.logits(faces.of(PUBLIC)), logits)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher_views": 3}, "teacher_views: expected 2, as in the soft labels"),
        ({"teacher_views": 0}, "teacher_views: expected 2, as in the soft labels"),
        ({"rotation": 3.0}, "rotation: expected 15, as in the views .* found 3.0"),
        ({"crop_side": 40}, "crop_side: expected 44, as in the views"),
        ({"network": "tang", "options": {}}, "teacher_views: expected a network that trains on"),
        ({"teacher": ""}, "teacher: expected the name of soft labels with 2 views, found none"),
    ],
)
def test_views_that_do_not_fit_are_refused(taught, faces, change, message):
    store, recipe = taught
    before = sorted(store.rglob("*.npz"))
    with pytest.raises(StudyError, match=message):
        fit(dataclasses.replace(recipe, **change), faces, 1, store, progress=False)
    assert sorted(store.rglob("*.npz")) == before, "nothing is half-written"


def test_soft_labels_of_whole_images_are_not_views(training_faces, student, tmp_path):
    soft = np.full((len(training_faces), 7), 1 / 7, np.float32)
    name = write_soft_labels(soft, training_faces, tmp_path, ["a-seed1"])
    with pytest.raises(StudyError, match="teacher_views: expected 0, as in the soft labels"):
        read_soft_labels(student.but(teacher=name), training_faces, tmp_path)


@pytest.mark.parametrize(
    "change", [{"mixup": 0.2}, {"cutmix": 1.0}, {"full_epochs": 1}, {"small_epochs": 1}]
)
def test_what_would_change_the_views_is_refused(student, change):
    (name,) = change
    with pytest.raises(StudyError, match=f"{name}: expected 0 with views"):
        student.but(**change)


def test_a_teacher_that_cannot_see_crops_is_named(
    training_faces, student, model_with_a_front, tmp_path
):
    with pytest.raises(StudyError, match=r"winner: crop_side: expected 48"):
        distil_views({model_with_a_front: 1}, student, training_faces, tmp_path, progress=False)
    with pytest.raises(StudyError, match="teacher_views: expected 1 or more, found 0"):
        distil_views({RELEASED: 1}, student.but(teacher_views=0), training_faces, tmp_path)


def test_the_commands_teach_and_train(faces, tiny_network, tmp_path, capsys):
    faces.without_private().save(tmp_path / "faces")
    places = ["--data", str(tmp_path / "faces"), "--runs", str(tmp_path / "runs")]
    changes = [
        "widths=[4,8]",
        "blocks=[1,1]",
        "full_epochs=0",
        "epochs=1",
        "teacher_views=2",
        "crop_side=48",
    ]
    given = [word for change in changes for word in ("--set", change)]
    command = ["teach", str(RELEASED), "--recipe", "medium_resnet", *given, *places]
    assert main(command) == 0
    advised = capsys.readouterr().out.split("`")[1].split()
    assert advised[:3] == ["fer-study", "train", "medium_resnet"]
    main([*advised[1:], "--seed", "1", *places])
    (folder,) = (tmp_path / "runs").glob("medium_resnet-seed1-*")
    assert json.loads((folder / "run.json").read_text())["recipe"]["teacher_views"] == 2
    assert Run(folder).logits(load_faces(tmp_path / "faces").of(PUBLIC)).shape[1] == 7
    for wrong in (["--set", "teacher_views=2"], ["--votes", "--recipe", "medium_resnet"]):
        runs = [] if "--votes" in wrong else [str(RELEASED)]
        assert main(["teach", *runs, *wrong, *places]) == 2
