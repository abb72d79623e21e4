"""Recipes: defaults, changes, checks, and dictionaries."""

import dataclasses
import json

import pytest

from fer_utils.errors import StudyError
from fer_utils.training.recipe import Recipe, at_budget, recipe_from_dict
from fer_utils.training.recipes import RECIPES, get_recipe


def test_defaults_are_those_of_the_baseline_project():
    recipe = get_recipe("baseline_cnn")
    assert (recipe.network, recipe.options) == ("baseline_cnn", {})
    assert (recipe.batch_size, recipe.learning_rate) == (64, 5e-4)
    assert (recipe.plateau_patience, recipe.plateau_factor, recipe.minimum_learning_rate) == (
        2,
        0.1,
        1e-5,
    )
    assert recipe.flip and recipe.keep == "best"


def test_recipes_are_stored_under_their_names():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {
        name: name for name in RECIPES
    }


def test_unknown_recipe_lists_the_known():
    with pytest.raises(
        StudyError, match=r"one of baseline_cnn, mini_xception, tang_l2svm, .*, found 'resnt'"
    ):
        get_recipe("resnt")


def test_but_changes_fields_and_options_and_leaves_the_original():
    base = Recipe("base", "baseline_cnn", {"width": 0.5, "dropout": 0.1})
    changed = base.but(epochs=3, dropout=0.2, batch_norm_momentum=0.9)
    assert changed == Recipe(
        "base", "baseline_cnn", {"width": 0.5, "dropout": 0.2, "batch_norm_momentum": 0.9}, epochs=3
    )
    assert base == Recipe("base", "baseline_cnn", {"width": 0.5, "dropout": 0.1})


def test_round_trip_as_plain_values():
    recipe = get_recipe("baseline_cnn").but(width=0.5, keep="last", learning_rate=1e-3)
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_unknown_field_lists_the_known():
    with pytest.raises(
        StudyError, match=r"expected the fields name, network, .*keep, .*, found momentun\."
    ):
        recipe_from_dict({"name": "a", "network": "baseline_cnn", "momentun": 1})


def test_former_names_are_read():
    former = {"name": "old", "network": "seed_cnn", "mirror": True, "alternate": True, "shift": 4}
    former |= {"views": "mirror", "whole_batches": True, "epochs": 3}
    assert recipe_from_dict(former) == Recipe(
        "old",
        "baseline_cnn",
        flip=True,
        alternating_flip=True,
        translation=4,
        tta="flip",
        drop_last=True,
        epochs=3,
    )


def test_numbers_stay_as_given():
    """45 and 45.0 are different JSON, and so different fingerprints of a run."""
    recipe = Recipe("a", "baseline_cnn", rotation=45, learning_rate=0.5)
    assert (repr(recipe.rotation), repr(recipe.learning_rate)) == ("45", "0.5")
    assert list(recipe.to_dict()) == [field.name for field in dataclasses.fields(Recipe)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "../elsewhere"),
        ("name", 3),
        ("network", None),
        ("epochs", 0),
        ("epochs", 1.0),
        ("epochs", True),
        ("epochs", "3"),
        ("batch_size", 0),
        ("plateau_patience", -1),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("plateau_factor", 1.5),
        ("minimum_learning_rate", -1e-6),
        ("flip", "yes"),
        ("flip", None),
        ("keep", "first"),
        ("optimizer", "lion"),
        ("schedule", "cyclic"),
        ("schedule", "tang"),
        ("loss", "hinge"),
        ("border", "reflect"),
        ("precision", "float16"),
        ("momentum", 1),
        ("warmup", 1.0),
        ("label_smoothing", -0.1),
        ("zoom", 1),
        ("crop", 1.0),
        ("crop", -0.1),
        ("rotation", -1),
        ("erase", 1.1),
        ("mixup", float("inf")),
        ("sam", -0.1),
        ("folds", 1),
        ("fold", 1),
        ("snapshots", 0),
        ("snapshots", 3),
        ("tta", None),
        ("teacher_share", 2),
        ("drop_last", 1),
        ("alternating_flip", 1),
        ("crop_side", 49),
        ("crop_side", 12),
        ("crop_side", 44.0),
        ("full_epochs", 16),
        ("small_epochs", 16),
        ("small_side", 12),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(StudyError) as problem:
        get_recipe("baseline_cnn").but(**{name: value})
    # The schedule "tang" requires SGD, so the error names the optimizer.
    named = "optimizer" if value == "tang" else name
    assert f": {named}: expected " in str(problem.value)
    assert repr("adam" if value == "tang" else value) in str(problem.value)


def test_flips_that_are_off_cannot_alternate():
    with pytest.raises(StudyError, match=r"flip: expected true .*, found False"):
        get_recipe("baseline_cnn").but(flip=False, alternating_flip=True)


def test_initial_weights_and_folds_exclude_each_other():
    with pytest.raises(StudyError, match=r"folds: expected 0 with initial weights.*, found 2"):
        get_recipe("baseline_cnn").but(initial_weights="one-seed1-0123456789ab", folds=2)


def test_the_last_epochs_use_whole_images_with_lighter_augmentation():
    recipe = get_recipe("small_resnet").but(epochs=10, crop_side=44, full_epochs=3)
    assert recipe.in_epoch(7) is recipe
    last = recipe.in_epoch(8)
    changed = {"crop_side": 48, "erase": 0.0, "rotation": 7.5, "zoom": 0.075, "translation": 2.0}
    assert last == recipe.but(**changed) == recipe.in_epoch(10)


def test_the_first_epochs_use_resized_images():
    recipe = get_recipe("small_resnet").but(
        epochs=10, crop_side=44, small_epochs=5, small_side=32, full_epochs=3
    )
    sides = [recipe.in_epoch(epoch).training_side for epoch in range(1, 11)]
    assert sides == 5 * [32] + 2 * [44] + 3 * [48]
    assert recipe.in_epoch(8) == recipe.but(small_epochs=0).in_epoch(8)


def test_resized_images_are_smaller_than_the_crops():
    with pytest.raises(StudyError, match=r"small_side: expected less than crop_side, 32, found 32"):
        get_recipe("small_resnet").but(crop_side=32, small_epochs=1, small_side=32)


@pytest.mark.parametrize(
    "change", [{"label_smoothing": 0.1}, {"mixup": 0.2}, {"cutmix": 1.0}, {"teacher": "a"}]
)
def test_the_svm_needs_one_emotion_per_image(change):
    (name,) = change
    with pytest.raises(StudyError, match=f"{name}: expected .* for the squared hinge"):
        get_recipe("tang_l2svm").but(**change)


def test_lists_and_tuples_are_the_same_options():
    lists, tuples = (
        get_recipe("resnet").but(widths=kind((8, 16)), blocks=kind((1, 1)))
        for kind in (list, tuple)
    )
    assert lists == tuples == recipe_from_dict(json.loads(json.dumps(tuples.to_dict())))


def test_every_fold():
    recipe = get_recipe("baseline_cnn")
    assert recipe.every_fold == (recipe,)
    assert [each.fold for each in recipe.but(folds=3).every_fold] == [1, 2, 3]
    assert recipe.but(folds=3, fold=2).every_fold == (recipe.but(folds=3, fold=2),)


def test_a_budget_of_zero_keeps_the_recipes_own_and_foreign_options_are_left_out():
    recipe = get_recipe("tang_l2svm")
    assert at_budget(recipe, epochs=0, batch_size=0, batch_norm_momentum=0.9) == recipe
    small = at_budget(recipe, epochs=3, batch_size=64, width=0.25, batch_norm_momentum=0.9)
    assert small == recipe.but(epochs=3, batch_size=64, width=0.25)
    assert at_budget(get_recipe("baseline_cnn"), batch_norm_momentum=0.9, start=10.0).options == {
        "batch_norm_momentum": 0.9
    }


def test_a_budget_that_changes_nothing_is_the_same_recipe():
    """Otherwise the run store would train it again."""
    recipe = get_recipe("small_resnet")
    assert at_budget(recipe, width=1.0, batch_norm_momentum=0.9, blocks=(1, 2, 1, 1)) == recipe
    assert at_budget(recipe.but(width=0.5), width=1.0).options["width"] == 1.0


def test_settings_without_effect_are_left_out_of_in_effect():
    effect = get_recipe("small_resnet").in_effect
    assert effect["options"] == {
        "widths": (32, 64, 128, 256),
        "blocks": (1, 2, 1, 1),
        "dropout": 0.2,
    }
    assert effect["momentum"] == 0.9
    assert not {"plateau_factor", "snapshots", "mixup"} & effect.keys()
    effect = get_recipe("baseline_cnn").in_effect
    assert effect["plateau_factor"] == 0.1
    assert not {"options", "momentum", "warmup"} & effect.keys()
    assert get_recipe("small_student").but(teacher="t").in_effect["teacher_share"] == 0.8


def test_the_winners_protocol_has_its_updates_folds_and_snapshots():
    """Goodfellow et al. 2013: 50,000 updates; 8 folds, 5 snapshots each."""
    for name in ("tang_l2svm_full", "tang_softmax_full"):
        recipe = get_recipe(name)
        updates = recipe.epochs * (28_709 * 7 // 8 // recipe.batch_size)
        assert abs(updates - 50_000) < 50
        assert (len(recipe.every_fold), recipe.snapshots, recipe.tta) == (8, 5, "jitter")
