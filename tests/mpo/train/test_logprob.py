import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.data import from_arrays
from mpo.policies import GaussianPolicy, MarkovPolicy
from mpo.train import referenced
from mpo.train.logprob import comparisons, log_probs

POLICY = GaussianPolicy(2, 2, hidden=(4,))
PARAMS = POLICY.init(jax.random.key(0))


items = jax.jit(lambda source, items: source.batch(items))


def by_hand(dataset):
    """Sum log N(a; μ(s), σ) over the steps of each response, in NumPy."""
    params = jax.tree.map(np.asarray, PARAMS)
    (first, second), (shift, bias) = params.kernels, params.biases
    mean = np.tanh(dataset.inputs @ first + shift) @ second + bias
    spread = np.exp(params.log_std)
    density = -0.5 * ((dataset.outputs - mean) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi))
    return np.where(dataset.mask, density.sum(-1), 0.0).sum(-1)


def test_log_probabilities_are_those_of_the_steps_that_count(ragged):
    batch = items(ragged.view(), jnp.arange(8))
    seen = comparisons(POLICY, PARAMS, batch, None)
    np.testing.assert_allclose(seen.logp, by_hand(ragged), rtol=1e-5)
    np.testing.assert_array_equal(seen.length, ragged.length)
    assert seen.ref_logp is None


@pytest.mark.parametrize("padding", [7.0, jnp.nan, jnp.inf])
def test_padding_has_no_influence_whatever_it_is(ragged, padding):
    batch = items(ragged.view(), jnp.arange(8))
    wanted = batch.mask[..., None]
    other = dataclasses.replace(
        batch,
        inputs=jnp.where(wanted, batch.inputs, padding),
        outputs=jnp.where(wanted, batch.outputs, padding),
    )

    @jax.jit
    @jax.value_and_grad
    def loss(params, batch):
        return jnp.sum(jnp.square(log_probs(POLICY, params, batch)))

    both = [loss(PARAMS, b) for b in (batch, other)]
    jax.tree.map(np.testing.assert_array_equal, *both)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(both))


def test_token_sequences_depend_on_what_precedes_them(sentences):
    policy = MarkovPolicy(10, 10, initial_scale=1.0)
    table = policy.init(jax.random.key(1))
    batch = items(sentences.view(), jnp.arange(3))
    log_pi = np.asarray(jax.nn.log_softmax(table))
    before = np.concatenate([batch.inputs[..., None], batch.outputs[..., :-1]], -1)
    np.testing.assert_allclose(
        log_probs(policy, table, batch), log_pi[before, batch.outputs].sum(-1), rtol=1e-5
    )


class Steady:
    """Every step has the log-probability that is the agent's only parameter."""

    def init(self, key):
        return jnp.full((), -1.0, jnp.bfloat16)

    def log_prob(self, params, inputs, outputs):
        return jnp.broadcast_to(params, inputs.shape[:-1])


def test_a_narrow_policy_is_summed_over_every_step():
    whole = np.zeros((1, 2, 1001, 1), np.float32)
    batch = items(from_arrays(whole, whole).view(), jnp.arange(1))
    seen = comparisons(Steady(), Steady().init(None), batch, None)
    assert seen.logp.dtype == seen.length.dtype == jnp.float32
    np.testing.assert_array_equal(seen.logp, -1001.0)
    np.testing.assert_array_equal(seen.length, 1001.0)


def test_a_reference_holds_the_arrays_it_was_given(ragged):
    view = ragged.view()
    source = referenced(view, POLICY, PARAMS)
    for held, given in zip(jax.tree.leaves(source.source), jax.tree.leaves(view), strict=True):
        assert held is given


@pytest.mark.parametrize("steps", [None, 4])
@pytest.mark.sweep
def test_a_reference_is_that_of_the_segment(ragged, steps):
    view = ragged.view(steps)
    source = referenced(view, POLICY, PARAMS, chunk=5)
    assert source.size == view.size
    batch = items(source, jnp.arange(view.size))
    log_pi = POLICY.log_prob(PARAMS, batch.inputs, batch.outputs)
    wanted = np.where(batch.mask, log_pi, 0.0).sum(-1)
    np.testing.assert_allclose(batch.ref_logp, wanted, rtol=1e-5, atol=1e-6)
    assert wanted.shape == (view.size, 3)
