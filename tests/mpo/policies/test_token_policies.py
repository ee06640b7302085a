"""What every token policy promises: a causal, normalised distribution that it draws from."""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpo.policies import GPTPolicy, MarkovPolicy, TokenPolicy

VOCABULARY, LENGTH = 4, 3
POLICIES: dict[str, Any] = {
    "markov": MarkovPolicy(VOCABULARY, LENGTH),
    "gpt": GPTPolicy(VOCABULARY, LENGTH, layers=1, heads=2, width=8),
}
SEQUENCES = jnp.array(list(itertools.product(range(VOCABULARY), repeat=LENGTH)), jnp.int32)
CONTEXT = jnp.int32(2)


@pytest.fixture(params=POLICIES)
def policy(request) -> TokenPolicy:
    return POLICIES[request.param]


def agent(policy: TokenPolicy, seed: int = 0) -> Any:
    """Return parameters far enough from the start that tokens differ in probability."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(policy.init, jax.random.key(0)))
    rng = np.random.default_rng(seed)
    drawn = [jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    return jax.tree.unflatten(structure, drawn)


@functools.cache
def compiled(policy: Any, method: str, in_axes: Any = None) -> Any:
    """Return the method jitted, and with `in_axes` vmapped."""
    function = getattr(policy, method)
    return jax.jit(function if in_axes is None else jax.vmap(function, in_axes))


def probabilities(policy: Any, params: Any, context: Any = CONTEXT) -> np.ndarray:
    """Return the probability of each of SEQUENCES."""
    log_prob = compiled(policy, "log_prob", (None, None, 0))
    return np.exp(np.asarray(log_prob(params, context, SEQUENCES)).sum(axis=1))


def test_probabilities_of_all_responses_sum_to_one(policy):
    distribution = probabilities(policy, agent(policy))
    np.testing.assert_allclose(distribution.sum(), 1.0, rtol=1e-5)
    assert distribution.max() > 3 / len(SEQUENCES)  # far from uniform: the sum is no accident


def test_draws_have_the_frequencies_that_log_prob_gives(policy):
    params, count = agent(policy), 40_000
    draw = compiled(policy, "sample", (None, 0, None))
    tokens = np.asarray(draw(params, jax.random.split(jax.random.key(1), count), CONTEXT))
    assert tokens.dtype == np.int32
    place = tokens @ VOCABULARY ** np.arange(LENGTH)[::-1]
    seen = np.bincount(place, minlength=len(SEQUENCES))
    expected = count * probabilities(policy, params)
    assert np.all(np.abs(seen - expected) < 5 * np.sqrt(expected) + 5)
    np.testing.assert_array_equal(SEQUENCES[place], tokens)


def test_a_token_changes_nothing_before_it(policy):
    params = agent(policy)
    base = jnp.array([1, 2, 3], jnp.int32)
    before = compiled(policy, "logits")(params, CONTEXT, base)
    for position in range(LENGTH):
        changed = base.at[position].set(0)
        after = compiled(policy, "logits")(params, CONTEXT, changed)
        np.testing.assert_allclose(after[: position + 1], before[: position + 1], rtol=1e-5)
        if position + 1 < LENGTH:
            assert not np.allclose(after[position + 1], before[position + 1], rtol=1e-3)


def test_the_context_matters(policy):
    params = agent(policy)
    here, there = (probabilities(policy, params, jnp.int32(c)) for c in (2, 0))
    assert np.abs(here - there).sum() > 0.05


@pytest.mark.sweep
def test_log_prob_is_the_normalised_logit_of_the_token(policy):
    params, tokens = agent(policy), jnp.array([3, 0, 1], jnp.int32)
    logits = np.asarray(compiled(policy, "logits")(params, CONTEXT, tokens), np.float64)
    by_hand = [row[t] - np.log(np.exp(row).sum()) for row, t in zip(logits, tokens, strict=True)]
    log_prob = policy.log_prob(params, CONTEXT, tokens)
    np.testing.assert_allclose(log_prob, by_hand, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        compiled(policy, "log_prob")(params, CONTEXT, tokens), log_prob, rtol=1e-5, atol=1e-6
    )


def test_tokens_of_any_integer_type_are_accepted(policy):
    params, tokens = agent(policy), jnp.array([3, 0, 1], jnp.int32)
    small = compiled(policy, "log_prob")(
        params, CONTEXT.astype(jnp.uint8), tokens.astype(jnp.uint8)
    )
    np.testing.assert_array_equal(small, compiled(policy, "log_prob")(params, CONTEXT, tokens))
    key = jax.random.key(0)
    drawn = compiled(policy, "sample")(params, key, CONTEXT.astype(jnp.uint8))
    np.testing.assert_array_equal(drawn, compiled(policy, "sample")(params, key, CONTEXT))


def test_agents_stack_along_a_leading_axis(policy):
    agents = [agent(policy, seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents)
    tokens, key = jnp.array([3, 0, 1], jnp.int32), jax.random.key(7)
    together = compiled(policy, "log_prob", (0, None, None))(stacked, CONTEXT, tokens)
    drawn = compiled(policy, "sample", (0, None, None))(stacked, key, CONTEXT)
    for one, response, params in zip(together, drawn, agents, strict=True):
        np.testing.assert_allclose(
            one, compiled(policy, "log_prob")(params, CONTEXT, tokens), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(response, compiled(policy, "sample")(params, key, CONTEXT))


@pytest.mark.sweep
def test_gradient_is_finite_even_for_a_response_that_never_happens(policy):
    params = jax.tree.map(lambda leaf: 100.0 * leaf, agent(policy))
    unlikely = SEQUENCES[int(np.argmin(probabilities(policy, params)))]
    value, gradient = jax.value_and_grad(lambda p: policy.log_prob(p, CONTEXT, unlikely).sum())(
        params
    )
    assert np.isfinite(value)
    assert value < -50.0
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
