"""Search spaces: the effect of each hyperparameter on a recipe, and invalid combinations."""

import tempfile

import pytest

from fer_utils.errors import StudyError
from fer_utils.training.recipes import get_recipe
from fer_utils.tuning.oracles import make_oracle, planned_epochs
from fer_utils.tuning.spaces import AUGMENTATION, SearchSpace

RESNET = get_recipe("small_resnet").but(blocks=(1, 1, 1, 1))
ALL = SearchSpace(
    width=(0.5, 1),
    depth=(1, 2),
    augmentation=(0, 2),
    learning_rate=(1e-4, 1e-3),
    sgd_learning_rate=(0.01, 0.1),
    schedule=("plateau", "cosine"),
    optimizer=("adam", "sgd"),
    weight_decay=(1e-5, 1e-2),
    dropout=(0, 0.5),
    label_smoothing=(0.05, 0.2),
    loss=("cross_entropy", "squared_hinge"),
)


def drawn(space, base, count=60) -> list:
    """Return the hyperparameters of random trials."""
    oracle = make_oracle("random", space.declare(base), trials=count, epochs=2, seed=0)
    oracle.verbose = 0
    with tempfile.TemporaryDirectory() as scratch:
        oracle._set_project_dir(scratch, "search")
        return [oracle.create_trial(str(number)).hyperparameters for number in range(count)]


def test_every_hyperparameter_reaches_the_recipe():
    seen = {name: set() for name in ALL.names}
    for hp in drawn(ALL, RESNET):
        values, recipe = ALL.values(hp, RESNET), ALL.recipe(hp, RESNET)
        assert list(values) == list(ALL.names)
        low, high = ALL.sgd_learning_rate if recipe.optimizer == "sgd" else ALL.learning_rate
        assert (
            low <= recipe.learning_rate <= high and recipe.learning_rate == values["learning_rate"]
        )
        assert (
            recipe.options["blocks"] == (values["depth"],) * 4
            and recipe.options["width"] == values["width"]
        )
        for name in ("optimizer", "loss", "schedule", "weight_decay"):
            assert getattr(recipe, name) == values[name]
        for name, full in AUGMENTATION.items():
            assert getattr(recipe, name) == pytest.approx(values["augmentation"] * full, rel=1e-3)
        assert (values["label_smoothing"] is None) == (recipe.loss == "squared_hinge")
        assert recipe.label_smoothing == (values["label_smoothing"] or 0)
        assert ALL.apply(values, RESNET) == recipe
        for name, value in values.items():
            seen[name].add(value)
    assert seen["optimizer"] == {"adam", "sgd"} and seen["loss"] == {
        "cross_entropy",
        "squared_hinge",
    }
    assert seen["depth"] == {1, 2} and all(len(values) > 1 for values in seen.values())


def test_other_fields_of_the_recipe_do_not_change():
    for hp in drawn(SearchSpace(dropout=(0.1, 0.4)), RESNET, 3):
        assert SearchSpace(dropout=(0.1, 0.4)).recipe(hp, RESNET) == RESNET.but(
            dropout=float(f"{hp.values['dropout']:.4g}")
        )


def test_learning_rates_of_a_single_optimiser():
    space = SearchSpace(learning_rate=(0.02, 0.4))
    assert all(
        0.02 <= space.recipe(hp, RESNET).learning_rate <= 0.4 for hp in drawn(space, RESNET, 5)
    )


@pytest.mark.parametrize(
    ("values", "network", "message"),
    [
        ({"depth": (1, 2)}, "baseline_cnn", "has no option 'blocks'"),
        ({"dropout": (0, 0.5)}, "mini_xception", "has no option 'dropout'"),
        (
            {"optimizer": ("adam", "sgd"), "learning_rate": (1e-4, 1e-3)},
            "baseline_cnn",
            "a range for each optimiser",
        ),
        ({"sgd_learning_rate": (0.1, 0.2)}, "baseline_cnn", "a range for each optimiser"),
        (
            {"loss": ("squared_hinge",), "label_smoothing": (0, 0.1)},
            "baseline_cnn",
            "expected the cross-entropy",
        ),
    ],
)
def test_invalid_combinations_are_refused(values, network, message):
    with pytest.raises(StudyError, match=message):
        SearchSpace(**values).declare(get_recipe(network))


def test_empty_space_is_refused():
    with pytest.raises(StudyError, match="expected a hyperparameter to search, found none"):
        SearchSpace()


def test_planned_epochs_of_hyperband():
    """The brackets of 9 epochs, as trials x epochs: 9x1, 3x3, 1x9; then 5x3, 2x9; then 3x9."""
    once = [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] * 2 + [9] * 3
    assert planned_epochs("hyperband", trials=23, epochs=9) == once
    assert planned_epochs("hyperband", trials=30, epochs=9) == once + once[:7]
    assert planned_epochs("bayesian", trials=3, epochs=9) == [9, 9, 9]
