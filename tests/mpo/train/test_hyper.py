import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpo.train import OPTIMIZERS, SCHEDULES, hyper
from tests.refusals import Meant, refusal

PARAMS = {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([3.0])}
GRADIENT = {"kernel": jnp.array([[3.0, 0.0]]), "bias": jnp.array([4.0])}


def steps(updates=1, **settings):
    """The parameters after each of some updates by the same gradient."""
    optimizer = hyper(**settings).build(updates)
    params, state, seen = PARAMS, optimizer.init(PARAMS), []
    for _ in range(updates):
        params, state = optimizer.update(GRADIENT, state, params)
        seen.append(params)
    return seen


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"learning_rate": 0.0}, "'learning_rate' of the inner loop must be > 0"),
        ({"learning_rate": float("nan")}, "must be finite"),
        ({"batch": 0}, "'batch' of the inner loop must be a whole number ≥ 1, not 0"),
        ({"batch": 2.0}, "must be a whole number"),
        ({"updates": True}, "must be a whole number"),
        ({"epochs": -1}, "must be a whole number"),
        ({"updates": 5, "epochs": 1}, "give one of them"),
        ({"weight_decay": -0.1}, "'weight_decay' of the inner loop must be ≥ 0"),
        ({"max_gradient_norm": -1.0}, "must be ≥ 0"),
        ({"optimizer": "adan"}, Meant("adam")),
        ({"schedule": "cosin"}, Meant("cosine")),
        ({"lerning_rate": 0.1}, Meant("learning_rate")),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, complaint):
    with refusal(complaint):
        hyper(**settings)


def test_updates_are_counted_by_number_or_by_epochs():
    assert hyper(batch=32, updates=7).count(1000) == 7
    assert hyper(batch=32, epochs=2).count(1000) == 63
    assert hyper(batch=32).count(1000) == 32
    assert hyper(batch=32).count(5) == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.sweep
def test_every_optimizer_descends_under_every_schedule(name, schedule):
    last = steps(3, optimizer=name, schedule=schedule, learning_rate=0.01)[-1]
    assert last["bias"][0] < 3.0
    assert last["kernel"][0, 0] < 1.0


def test_adam_and_adamw_are_those_of_optax():
    def matrices(params):
        return {"kernel": True, "bias": False}

    for name, theirs in (
        ("adam", optax.adam(0.1)),
        ("adamw", optax.adamw(0.1, weight_decay=0.01, mask=matrices)),
    ):
        params, state = PARAMS, theirs.init(PARAMS)
        for ours in steps(3, optimizer=name, learning_rate=0.1):
            with jax.numpy_dtype_promotion("standard"):
                update, state = theirs.update(GRADIENT, state, params)
            params = optax.apply_updates(params, update)
            jax.tree.map(np.testing.assert_array_equal, ours, params)


def test_gradients_beyond_the_limit_are_shortened_to_it():
    def step(limit):
        return steps(optimizer="sgd", learning_rate=1.0, max_gradient_norm=limit)[0]

    np.testing.assert_allclose(step(1.0)["kernel"], [[1.0 - 0.6, -2.0]], rtol=1e-6)
    np.testing.assert_allclose(step(1.0)["bias"], [3.0 - 0.8], rtol=1e-6)
    for without in (0.0, 5.1):
        np.testing.assert_array_equal(step(without)["bias"], [-1.0])


def test_only_matrices_decay():
    last = steps(optimizer="sgd", learning_rate=1.0, weight_decay=0.5)[0]
    np.testing.assert_allclose(last["kernel"], [[1.0 - 3.0 - 0.5, -2.0 + 1.0]])
    np.testing.assert_allclose(last["bias"], [3.0 - 4.0])


ATTENTION = {
    "query": {"kernel": jnp.ones((6, 3, 2)), "bias": jnp.ones((3, 2))},
    "out": {"kernel": jnp.ones((3, 2, 6)), "bias": jnp.ones(6)},
    "dense": {"kernel": jnp.ones((6, 6)), "bias": jnp.ones(6)},
}


def test_biases_never_decay_of_however_many_axes_they_are():
    optimizer = hyper(optimizer="sgd", learning_rate=1.0, weight_decay=0.5).build(1)
    still = jax.tree.map(jnp.zeros_like, ATTENTION)
    after = optimizer.update(still, optimizer.init(ATTENTION), ATTENTION)[0]
    for layer in after.values():
        np.testing.assert_array_equal(layer["bias"], 1.0)
        np.testing.assert_array_equal(layer["kernel"], 0.5)


def test_muon_leaves_biases_and_kernels_of_three_axes_to_adam():
    rng = np.random.default_rng(0)
    gradient = jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), ATTENTION
    )

    optimizer = hyper(optimizer="muon", learning_rate=0.1).build(1)
    after = optimizer.update(gradient, optimizer.init(ATTENTION), ATTENTION)[0]
    moved = jax.tree.map(lambda leaf: np.abs(np.asarray(leaf) - 1), after)
    orthogonal = moved["dense"].pop("kernel")
    assert np.ptp(orthogonal) > 0.05
    for leaf in jax.tree.leaves(moved):  # Adam's first step is as long in every number
        np.testing.assert_allclose(leaf, leaf.flat[0], rtol=1e-3)


def test_schedules_fall_from_the_learning_rate_to_zero():
    for schedule, wanted in (
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", [(1 + np.cos(np.pi * n / 4)) / 2 for n in range(4)]),
    ):
        bias = [p["bias"][0] for p in steps(4, optimizer="sgd", schedule=schedule)]
        moved = -np.diff([3.0, *bias]) / 4.0 / 1e-3
        np.testing.assert_allclose(moved, wanted, atol=2e-4)


def test_a_batch_of_learning_rates_is_a_vmap():
    settings, rates = hyper(optimizer="sgd"), jnp.array([0.1, 0.2])

    def step(rate):
        optimizer = dataclasses.replace(settings, learning_rate=rate).build(1)
        return optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)[0]["bias"]

    np.testing.assert_allclose(jax.vmap(step)(rates), 3.0 - 4.0 * rates[:, None], rtol=1e-6)
