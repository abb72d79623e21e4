"""A training can start from the weights of a run, or from the released model."""

import dataclasses

import numpy as np
import pytest

from fer_utils.errors import StudyError
from fer_utils.networks import build
from fer_utils.paths import RELEASED
from fer_utils.training import checkpoint
from fer_utils.training.fit import fit
from fer_utils.training.initial_weights import released_run, set_initial_weights
from fer_utils.training.recipe import recipe_from_dict
from fer_utils.training.recipes import get_recipe
from fer_utils.training.released import load_keras, read_card
from fer_utils.training.runs import RUN_FILE, VOTES


@pytest.fixture
def first(tiny_network, faces, recipe, tmp_path):
    """A finished run of the tiny network, in the store `tmp_path`."""
    return fit(recipe.but(name="first", epochs=1), faces, 1, tmp_path, progress=False)


@pytest.fixture
def continued(first, recipe):
    """A recipe that starts from this run."""
    return recipe.but(name="continued", initial_weights=first.folder.name)


def test_a_training_starts_from_the_weights_of_a_run(first, continued, faces, tmp_path):
    slow = continued.but(learning_rate=1e-9, epochs=1, plateau_patience=0)
    run = fit(slow, faces, 2, tmp_path, progress=False)
    for here, there in zip(run.model().get_weights(), first.model().get_weights(), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-6)


def test_an_interrupted_one_goes_on_from_its_checkpoint(continued, faces, tmp_path, monkeypatch):
    three = continued.but(epochs=3)
    undisturbed = fit(three.but(name="other"), faces, 1, tmp_path, progress=False)
    add = checkpoint.Checkpoint.add

    def stop_in_the_second_epoch(self, row, *more, **options):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        add(self, row, *more, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint.Checkpoint, "add", stop_in_the_second_epoch)
        fit(three, faces, 1, tmp_path, progress=False)
    run = fit(three, faces, 1, tmp_path, progress=False)
    for here, there in zip(
        run.model().get_weights(), undisturbed.model().get_weights(), strict=True
    ):
        assert np.array_equal(here, there)


def test_other_initial_weights_are_another_run(first, continued, faces, recipe, tmp_path):
    run = fit(continued, faces, 1, tmp_path, progress=False)
    scratch = fit(recipe.but(name="continued"), faces, 1, tmp_path, progress=False)
    assert run.folder != scratch.folder


def test_what_the_first_run_learned_from_is_recorded(first, continued, faces, tmp_path):
    info = dataclasses.replace(first.info, teachers=("a-seed1", VOTES))
    info.write(first.folder / RUN_FILE)
    run = fit(continued, faces, 1, tmp_path, progress=False)
    assert run.info.teachers == ("a-seed1", VOTES)
    assert run.info.learned_from_votes


def test_an_unknown_run_is_an_error_that_lists_the_known_ones(first, continued, faces, tmp_path):
    unknown = continued.but(initial_weights="first-seed7-0123456789ab")
    with pytest.raises(StudyError) as problem:
        fit(unknown, faces, 1, tmp_path, progress=False)
    for part in ("first-seed7-0123456789ab", first.folder.name, released_run()):
        assert part in str(problem.value)
    assert [path.name for path in tmp_path.iterdir()] == [first.folder.name]


def test_weights_of_another_network_are_an_error(tiny_network, faces, recipe, tmp_path):
    other = recipe.but(initial_weights=released_run())
    with pytest.raises(StudyError, match=r"expected weights of the network that the recipe builds"):
        fit(other, faces, 1, tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_the_released_model_stands_for_its_run(tmp_path):
    released = recipe_from_dict(read_card(RELEASED)["recipe"])
    recipe = released.but(name="more", initial_weights=released_run())
    model = build(recipe.network, **recipe.options)
    assert set_initial_weights(model, recipe, tmp_path) == ()
    for here, there in zip(model.get_weights(), load_keras(RELEASED).get_weights(), strict=True):
        assert np.array_equal(here, there)


def test_the_continued_recipe_builds_the_network_of_its_first_run():
    continued, first = get_recipe("small_resnet_continued"), get_recipe("small_resnet")
    assert continued.initial_weights.startswith(first.label(2))
    assert (continued.network, continued.options) == (first.network, first.options)
