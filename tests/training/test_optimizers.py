"""Losses and optimizers, compared with their papers and with Keras."""

import numpy as np
import pytest

from fer_utils.networks.backend import keras
from fer_utils.training.losses import cross_entropy, squared_hinge
from fer_utils.training.optimizers import ConvMuon, TangSGD, build_optimizer
from fer_utils.training.recipes import get_recipe

numbers = keras.ops.convert_to_numpy
TANG = get_recipe("tang_l2svm")


def test_the_squared_hinge_is_the_l2_svms():
    scores = np.random.default_rng(0).normal(0, 2, (5, 7)).astype(np.float32)
    emotion = np.array([0, 3, 6, 3, 1])
    total = 0.0
    for row, label in zip(scores, emotion, strict=True):
        for index, score in enumerate(row):
            sign = 1 if index == label else -1
            total += max(0.0, 1 - sign * score) ** 2
    assert float(squared_hinge(np.eye(7, dtype=np.float32)[emotion], scores)) == pytest.approx(
        2 * total / 5, rel=1e-5
    )


def test_cross_entropy_of_labels_is_keras():
    scores = np.random.default_rng(0).normal(0, 2, (5, 7)).astype(np.float32)
    emotion = np.array([0, 3, 6, 3, 1])
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(emotion, scores)
    assert float(cross_entropy(np.eye(7, dtype=np.float32)[emotion], scores)) == pytest.approx(
        float(expected), rel=1e-6
    )


def rates(optimizer, steps):
    return [float(numbers(optimizer._learning_rate(step))) for step in steps]


def test_tangs_rate_falls_as_published():
    optimizer = build_optimizer(TANG, 50_000)
    steps = (0, 20_000, 33_333, 33_334, 41_666, 41_667, 49_999)
    expected = [0.05 / (1 + t / 20_000) for t in steps]
    for index, divisor in enumerate((1, 1, 1, 10, 10, 100, 100)):
        expected[index] /= divisor
    np.testing.assert_allclose(rates(optimizer, steps), expected, rtol=1e-4)


def test_tangs_rate_depends_on_the_share_of_updates():
    np.testing.assert_allclose(
        rates(build_optimizer(TANG, 500), (0, 100, 200, 400)),
        rates(build_optimizer(TANG, 50_000), (0, 10_000, 20_000, 40_000)),
    )


def test_tangs_momentum_is_a_half_for_a_tenth_of_the_updates():
    assert isinstance(build_optimizer(TANG, 100), TangSGD)
    # With a constant rate, the velocity reveals the momentum.
    optimizer = TangSGD(0.1, momentum=0.9, updates=100)
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([variable])
    velocity, momenta = 0.0, []
    for _ in range(20):
        before = float(numbers(variable)[0])
        optimizer.apply([np.ones(1, np.float32)], [variable])
        change = float(numbers(variable)[0]) - before
        momenta.append((change + 0.1) / velocity if velocity else None)
        velocity = change
    np.testing.assert_allclose(momenta[1:10], 0.5, rtol=1e-4)
    np.testing.assert_allclose(momenta[10:], 0.9, rtol=1e-4)


def test_cosine_rises_then_falls_to_zero():
    optimizer = build_optimizer(get_recipe("resnet").but(learning_rate=0.2, warmup=0.1), 1000)
    found = rates(optimizer, (0, 50, 100, 550, 1000))
    np.testing.assert_allclose(found, [0, 0.1, 0.2, 0.1, 0], atol=1e-6)


def test_weight_decay_excludes_normalisation_and_biases():
    optimizer = build_optimizer(
        get_recipe("resnet").but(
            schedule="plateau", warmup=0.0, learning_rate=0.1, weight_decay=0.5
        ),
        10,
    )
    layer, norm = keras.layers.Dense(2, bias_initializer="ones"), keras.layers.BatchNormalization()
    norm(layer(np.ones((1, 3), np.float32)))
    variables = [*layer.trainable_variables, *norm.trainable_variables]
    before = [numbers(v).copy() for v in variables]
    optimizer.build(variables)
    optimizer.apply([np.zeros(v.shape, np.float32) for v in variables], variables)
    after = [numbers(v) for v in variables]
    np.testing.assert_allclose(after[0], before[0] * 0.95, rtol=1e-5)
    for old, new in zip(before[1:], after[1:], strict=True):
        assert np.array_equal(old, new)


def test_muon_orthogonalises_the_updates_of_kernels():
    recipe = get_recipe("small_resnet").but(
        optimizer="muon", schedule="plateau", learning_rate=0.1, momentum=0.0, weight_decay=0.0
    )
    generator = np.random.default_rng(0)
    kernel = keras.Variable(np.zeros((3, 3, 4, 8), np.float32), name="kernel")
    logits = keras.layers.Dense(7, name="logits")
    logits.build((None, 8))
    optimizer = build_optimizer(recipe, 10)
    assert isinstance(optimizer, ConvMuon)
    optimizer.build([kernel, logits.kernel])
    before = numbers(logits.kernel)
    gradients = [generator.normal(size=v.shape).astype(np.float32) for v in (kernel, logits.kernel)]
    optimizer.apply(gradients, [kernel, logits.kernel])
    # Five Newton-Schulz steps bring all singular values near 1 (Jordan: from 0.7 to 1.2). The rate
    # and 0.2 sqrt(36), for the longer side, scale them.
    update = -numbers(kernel).reshape(36, 8) / (0.1 * 0.2 * 6)
    values = np.linalg.svd(update, compute_uv=False)
    assert values.min() > 0.6 and values.max() < 1.25
    # The directions are those of the gradient.
    left, _, right = np.linalg.svd(gradients[0].reshape(36, 8), full_matrices=False)
    shares = left.T @ update @ right.T
    np.testing.assert_allclose(shares, np.diag(np.diag(shares)), atol=1e-3)
    # Adam's first step has the size of the rate.
    np.testing.assert_allclose(
        numbers(logits.kernel) - before, -0.1 * np.sign(gradients[1]), rtol=1e-3
    )


def test_muons_weight_decay_shrinks_all_kernels():
    recipe = get_recipe("small_resnet").but(
        optimizer="muon", schedule="plateau", learning_rate=0.1, weight_decay=0.5
    )
    variables = [
        keras.Variable(np.ones(shape, np.float32), name=name)
        for name, shape in (("kernel", (3, 3, 4, 8)), ("kernel", (8, 7)), ("gamma", (8,)))
    ]
    optimizer = build_optimizer(recipe, 10)
    optimizer.build(variables)
    optimizer.apply([np.zeros(v.shape, np.float32) for v in variables], variables)
    found = [float(numbers(v).mean()) for v in variables]
    np.testing.assert_allclose(found, [0.95, 0.95, 1.0], rtol=1e-5)
