"""The size of the GPT, and that its cache of keys and values changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpo.policies import GPTPolicy


def test_default_is_as_large_as_gpt_nano():
    policy = GPTPolicy(vocabulary=100, length=10)
    shapes = jax.eval_shape(policy.init, jax.random.key(0))
    size = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    width = 48
    block = 12 * width**2 + 13 * width  # attention 4d²+4d, network 8d²+5d, two norms 4d
    assert size == 3 * block + (100 + 10 + 100) * width + 2 * width


@pytest.mark.parametrize(
    "policy",
    [
        GPTPolicy(9, 6, 1, 1, 4),
        GPTPolicy(9, 6, 2, 3, 12),
        GPTPolicy(9, 6, 2, 3, 12, context=4, window=20),
    ],
)
@pytest.mark.sweep
def test_drawing_with_the_cache_follows_the_full_forward_pass(policy):
    shapes = jax.eval_shape(policy.init, jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    key, context = jax.random.key(3), jnp.array([4, 1, 7, 4], jnp.int32)[-policy.context :]
    context = context[0] if policy.context == 1 else context
    tokens = jax.jit(policy.sample)(params, key, context)
    noise = jax.random.gumbel(key, (6, 9), jnp.float32)
    perturbed = jax.jit(policy.logits)(params, context, tokens) + noise
    np.testing.assert_array_equal(tokens, jnp.argmax(perturbed, axis=-1))
    assert len(set(np.asarray(tokens).tolist())) > 1


@pytest.mark.sweep
def test_a_policy_reads_all_of_its_context_and_a_shorter_response_as_a_longer_one():
    long = GPTPolicy(9, 6, 1, 1, 4, context=3, window=12)
    short = GPTPolicy(9, 2, 1, 1, 4, context=3, window=12)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(long.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    context, tokens = jnp.array([1, 2, 3], jnp.int32), jnp.array([4, 5, 6, 7, 8, 0], jnp.int32)
    whole = long.log_prob(params, context, tokens)
    np.testing.assert_allclose(short.log_prob(params, context, tokens[:2]), whole[:2], rtol=1e-5)
    for place in range(3):
        other = long.log_prob(params, context.at[place].set(0), tokens)
        assert not np.allclose(other[0], whole[0], rtol=1e-4)


def test_a_new_agent_is_nearly_uniform():
    policy = GPTPolicy(vocabulary=20, length=5, layers=1, heads=2, width=8)
    params = jax.jit(policy.init)(jax.random.key(0))
    log_prob = jax.jit(policy.log_prob)(params, jnp.int32(0), jnp.arange(5, dtype=jnp.int32))
    np.testing.assert_allclose(log_prob, np.full(5, -np.log(20)), atol=0.3)
