"""Objectives and mirror maps are the same functions however they are run: compiled or not."""

import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

import mpo
from mpo.train import population, stacked

PAIR = mpo.Comparison(
    logp=jnp.array([-2.5, -7.0]),
    length=jnp.array([4, 5]),
    ref_logp=jnp.array([-3.0, -6.0]),
    reward=jnp.array([1.0, 0.25]),
    sampled_logp=jnp.array([-2.0, -3.5]),
    credit=jnp.array([1.0, -0.5]),
)


class Variants(chex.TestCase):
    """The public doors, with `jax.jit` and without."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*sorted({*mpo.OBJECTIVES} - {"mpo"}))
    def test_an_objective_has_one_value_and_one_slope(self, name):
        objective = mpo.objective(name)

        def loss(logp, progress):
            return objective(dataclasses.replace(PAIR, logp=logp), progress)

        value, slope = self.variant(jax.value_and_grad(loss))(PAIR.logp, 0.5)
        plain, by_hand = jax.value_and_grad(loss)(PAIR.logp, 0.5)
        np.testing.assert_allclose(value, plain, rtol=1e-5)
        np.testing.assert_allclose(slope, by_hand, rtol=1e-4, atol=1e-7)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters("log", "euclidean", "tsallis")
    def test_a_divergence_vanishes_only_between_equals(self, name):
        divergence = self.variant(mpo.mirror_map(mpo.potential(name)).divergence)
        log_p, log_q = jnp.log(jnp.array([0.2, 0.8])), jnp.log(jnp.array([0.5, 0.5]))
        np.testing.assert_allclose(divergence(log_p, log_p), 0, atol=1e-6)
        assert divergence(log_p, log_q) > 1e-3


def test_what_does_not_go_together_is_refused_at_the_door():
    with pytest.raises(AssertionError):
        population(lambda member: member["a"])({"a": jnp.zeros(3), "b": jnp.zeros(2)})
    with pytest.raises(AssertionError):
        stacked([mpo.objective("dpo"), mpo.objective("ipo")])


def test_a_loss_does_not_care_which_device_it_is_given_from():
    """Host arrays and device arrays are the same numbers."""
    loss = partial(mpo.objective("dpo"), progress=0.0)
    host = jax.tree.map(np.asarray, PAIR)
    np.testing.assert_array_equal(jax.jit(loss)(host), jax.jit(loss)(PAIR))
