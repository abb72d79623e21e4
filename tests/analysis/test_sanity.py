"""Sanity check of maps, on networks, constructed maps and predictors that use known boxes."""

import random

import numpy as np
import pytest
from explanation_cases import MOUTH, some_noise, using_box, using_boxes
from scipy.stats import spearmanr

from fer_utils.analysis.explanation import occlusion_maps
from fer_utils.analysis.sanity import randomised, sanity_check
from fer_utils.errors import StudyError
from fer_utils.networks.backend import keras
from fer_utils.training.predict import predict


@pytest.fixture(scope="module")
def noise():
    return some_noise()


@pytest.fixture(scope="module")
def network():
    """A small network with batch normalisation. No weight has a usual initial value."""
    from fer_utils.networks import build

    model = build("resnet", widths=(4, 8), blocks=(1, 1))
    generator = np.random.default_rng(5)
    model.set_weights(
        [
            generator.uniform(0.3, 0.9, weight.shape).astype(np.float32)
            for weight in model.get_weights()
        ]
    )
    return model


def test_randomised_network_has_new_weights_and_the_original_is_unchanged(network):
    before = [weight.copy() for weight in network.get_weights()]
    state, others = random.getstate(), np.random.get_state()[1].copy()
    fresh = randomised(network, 1)
    assert random.getstate() == state and np.array_equal(np.random.get_state()[1], others)
    for old, now, new in zip(before, network.get_weights(), fresh.get_weights(), strict=True):
        assert np.array_equal(old, now)
        assert old.shape == new.shape and not np.isclose(old, new).any()
    statistics = [v for v in fresh.non_trainable_variables if "moving" in v.path]
    assert statistics and all(
        np.isin(keras.ops.convert_to_numpy(v), [0, 1]).all() for v in statistics
    )


def test_randomised_network_depends_on_the_seed(network):
    one, again, other = (randomised(network, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim == 4]
    assert kernels and not any(np.isclose(a, b).any() for a, b in kernels)


def test_randomised_network_has_new_nested_weights_and_no_zero_kernels(noise):
    from fer_utils.networks import build

    model = build("tang", width=0.1)
    front = model.get_layer("front")
    front.adapt(noise[0])
    fitted = [weight.copy() for weight in front.get_weights()]
    fresh = randomised(model, 1)
    for old, now, new in zip(
        fitted, front.get_weights(), fresh.get_layer("front").get_weights(), strict=True
    ):
        assert np.array_equal(old, now) and not np.array_equal(old, new)
    kernels = [
        (a, b) for a, b in zip(model.get_weights(), fresh.get_weights(), strict=True) if a.ndim > 1
    ]
    assert len(kernels) > 6 and not any(np.array_equal(a, b) for a, b in kernels)
    logits = predict(fresh, noise[0])
    assert (logits.std(axis=0) > 0).all()
    assert (predict(model, noise[0]).std(axis=0) == 0).all(), (
        "logits of Tang's untrained network must be constant"
    )
    assert np.array_equal(logits, predict(randomised(model, 1), noise[0]))


def planted(box, seed: int, count: int = 42) -> np.ndarray:
    """Return maps (count, 48, 48) that are high in a box, plus noise."""
    maps = np.random.default_rng(seed).normal(0, 0.3, (count, 48, 48))
    top, bottom, left, correct = box
    maps[:, top:bottom, left:correct] += 1
    return maps


def test_check_passes_if_the_random_network_uses_other_regions():
    emotion = np.arange(42) % 7
    check = sanity_check(planted((0, 24, 0, 48), 1), planted((0, 48, 0, 24), 2), emotion)
    assert check.passed
    itself, other, *_ = check.table["correlation"]
    assert itself > other + 0.3
    assert f"{itself:.2f}" in check.verdict and f"{other:.2f}" in check.verdict


def test_check_fails_if_the_random_network_has_the_same_maps():
    emotion = np.arange(42) % 7
    check = sanity_check(planted(MOUTH, 1), planted(MOUTH, 2), emotion)
    assert not check.passed and "no evidence" in check.verdict
    itself, other, *_ = check.table["correlation"]
    assert itself == pytest.approx(other, abs=0.05)
    same = sanity_check(planted(MOUTH, 1), planted(MOUTH, 1), emotion)
    assert not same.passed and same.table["correlation"].iloc[3] == pytest.approx(1)


def test_check_of_predictors(noise):
    images, emotion = noise
    trained = occlusion_maps(using_boxes, images, emotion)
    lower = occlusion_maps(using_box(36, 48, 0, 48), images, np.full(21, 3))
    assert sanity_check(trained, lower, emotion).passed
    assert not sanity_check(trained, trained, emotion).passed


def test_correlations_match_scipy():
    generator = np.random.default_rng(8)
    trained, untrained = generator.normal(size=(2, 6, 48, 48)).round(1)
    untrained += 0.2 * trained
    table = sanity_check(trained, untrained, np.arange(6) // 2).table.set_index("comparison")
    same = [
        spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(trained, untrained, strict=True)
    ]
    row = table.loc["trained and random, same image"]
    assert (row["correlation"], row["images"]) == (pytest.approx(np.mean(same)), 6)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(same, [0.025, 0.975])))
    # With two images per emotion, each half is one image.
    pairs = [spearmanr(trained[i].ravel(), trained[i + 1].ravel()).statistic for i in (0, 2, 4)]
    assert table.loc["trained and trained, other images"]["correlation"] == pytest.approx(
        np.mean(pairs)
    )
    across = [(i, i ^ 1) for i in range(6)]
    pairs = [spearmanr(trained[i].ravel(), untrained[j].ravel()).statistic for i, j in across]
    assert table.loc["trained and random, other images"]["correlation"] == pytest.approx(
        np.mean(pairs)
    )
    unsigned = [
        spearmanr(abs(a).ravel(), abs(b).ravel()).statistic
        for a, b in zip(trained, untrained, strict=True)
    ]
    found = table.loc["trained and random, same image, absolute values"]["correlation"]
    assert found == pytest.approx(np.mean(unsigned))


def test_check_of_constant_maps():
    emotion, flat = np.zeros(4, int), np.zeros((4, 48, 48))
    check = sanity_check(planted(MOUTH, 1, 4), flat, emotion)
    assert check.passed and "random network's maps are constant" in check.verdict
    check = sanity_check(flat, planted(MOUTH, 1, 4), emotion)
    assert not check.passed and "trained network's maps are constant" in check.verdict


def test_check_needs_the_same_images_and_two_of_one_emotion():
    maps = planted(MOUTH, 1, 3)
    with pytest.raises(StudyError, match="maps of the same 3 images"):
        sanity_check(maps, maps[:2], np.zeros(3, int))
    with pytest.raises(StudyError, match="Choose more images"):
        sanity_check(maps, maps, np.arange(3))
