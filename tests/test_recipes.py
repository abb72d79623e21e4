"""Recipes: their defaults, their changes, and what they refuse."""

import pytest

from fer_utils.errors import StudyError
from fer_utils.recipes import RECIPES, Recipe, get_recipe, recipe_from_dict


def test_defaults_are_the_replicated_works():
    recipe = get_recipe("seed_cnn")
    assert (recipe.network, recipe.options) == ("seed_cnn", {})
    assert (recipe.batch_size, recipe.learning_rate) == (64, 5e-4)
    assert (recipe.plateau_patience, recipe.plateau_factor, recipe.minimum_learning_rate) == (2, 0.1, 1e-5)
    assert recipe.mirror and recipe.keep == "best"


def test_recipes_are_called_what_they_are_found_by():
    assert {name: recipe.name for name, recipe in RECIPES.items()} == {name: name for name in RECIPES}


def test_unknown_recipe_lists_the_known():
    with pytest.raises(StudyError, match="one of seed_cnn, found 'seed_cn'"):
        get_recipe("seed_cn")


def test_but_changes_fields_and_options_and_leaves_the_original():
    base = Recipe("base", "seed_cnn", {"width": 0.5, "dropout": 0.1})
    changed = base.but(epochs=3, dropout=0.2, batch_norm_momentum=0.9)
    assert changed == Recipe("base", "seed_cnn", {"width": 0.5, "dropout": 0.2, "batch_norm_momentum": 0.9}, epochs=3)
    assert base == Recipe("base", "seed_cnn", {"width": 0.5, "dropout": 0.1})


def test_round_trip_as_plain_values():
    recipe = get_recipe("seed_cnn").but(width=0.5, keep="last", learning_rate=1e-3)
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_unknown_field_lists_the_known():
    with pytest.raises(StudyError, match=r"unknown field momentum; known are name, network, .*keep\."):
        recipe_from_dict({"name": "a", "network": "seed_cnn", "momentum": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "../elsewhere"),
        ("name", 3),
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
        ("mirror", "yes"),
        ("mirror", None),
        ("keep", "first"),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(StudyError) as problem:
        get_recipe("seed_cnn").but(**{name: value})
    assert f": {name}: expected " in str(problem.value) and repr(value) in str(problem.value)
