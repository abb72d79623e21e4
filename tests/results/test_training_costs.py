"""Accuracy beside the multiply-adds of the training."""

import pandas as pd

from fer_utils.evaluation.published import PUBLISHED
from fer_utils.networks import build
from fer_utils.networks.costs import multiply_adds
from fer_utils.results.training_costs import training_costs, training_finding
from fer_utils.training.recipes import get_recipe


def test_costs_of_trainings_count_epochs_by_the_side_of_their_images(recipe):
    crops = get_recipe("medium_resnet").but(
        name="crops", widths=(4, 8), blocks=(1, 1), epochs=5, crop_side=24, full_epochs=2
    )
    resized = crops.but(name="resized", crop_side=48, small_epochs=3, small_side=24, full_epochs=0)
    table = pd.DataFrame(
        [
            *[("one", ""), ("crops", ""), ("crops", "flip"), ("resized", "")],
            ("ensemble (2 networks)", "flip"),
        ],
        columns=["model", "tta"],
    ).assign(private_accuracy=[0.6, 0.5, 0.7, 0.5, 0.8], private_low=0.4, private_high=0.9)
    recipes = {"one": recipe, "crops": crops, "resized": resized}
    found = training_costs(table, recipes).set_index("model")

    model = build("resnet", **crops.options)
    whole = multiply_adds(model)
    # All strides divide the sides, so half the side is a quarter of the convolutions' work.
    dense = sum(
        weight.shape[0] * weight.shape[1] for weight in model.weights if len(weight.shape) == 2
    )
    quarter = (whole - dense) / 4 + dense
    assert found.loc["crops", "cost"] == 3 * quarter + 2 * whole
    assert found.loc["resized", "cost"] == found.loc["crops", "cost"]
    assert found.loc["crops", "accuracy"] == 0.7, "with TTA, which its recipe has"
    model = build(recipe.network, **recipe.options)
    assert found.loc["one", "cost"] == recipe.epochs * multiply_adds(model)
    assert "ensemble (2 networks)" not in found.index
    published = found[found["published"]]
    assert {each.accuracy for each in PUBLISHED if each.training_cost} == set(published["accuracy"])
    finding = training_finding(found.reset_index())
    assert "crops has the highest accuracy" in finding
    assert f"{100 * (published['accuracy'].max() - 0.7):.1f} points higher" in finding


def test_sharpness_aware_trainings_cost_twice_as_much(recipe):
    table = pd.DataFrame({"model": ["one"], "tta": [""]}).assign(
        private_accuracy=0.5, private_low=0.4, private_high=0.6
    )
    one, sam = (
        training_costs(table, {"one": each}).set_index("model").loc["one", "cost"]
        for each in (recipe, recipe.but(sam=0.05))
    )
    assert sam == 2 * one


def test_a_continued_training_costs_as_much_as_both(recipe):
    table = pd.DataFrame({"model": ["more"], "tta": [""]}).assign(
        private_accuracy=0.5, private_low=0.4, private_high=0.6
    )
    more = recipe.but(name="more", epochs=5, initial_weights="baseline_cnn-seed1-0123456789ab")
    costs = training_costs(table, {"more": more, "baseline_cnn": recipe}).set_index("model")
    each = multiply_adds(build(recipe.network, **recipe.options))
    assert costs.loc["more", "cost"] == (5 + recipe.epochs) * each
