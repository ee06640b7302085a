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


@pytest.mark.parametrize(("layers", "heads", "width"), [(1, 1, 4), (2, 3, 12)])
def test_drawing_with_the_cache_follows_the_full_forward_pass(layers, heads, width):
    policy = GPTPolicy(9, 6, layers, heads, width)
    shapes = jax.eval_shape(policy.init, jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), shapes)
    key, context = jax.random.key(3), jnp.int32(4)
    tokens = jax.jit(policy.sample)(params, key, context)
    noise = jax.random.gumbel(key, (6, 9), jnp.float32)
    perturbed = jax.jit(policy.logits)(params, context, tokens) + noise
    np.testing.assert_array_equal(tokens, jnp.argmax(perturbed, axis=-1))
    assert len(set(np.asarray(tokens).tolist())) > 1


def test_a_new_agent_is_nearly_uniform():
    policy = GPTPolicy(vocabulary=20, length=5, layers=1, heads=2, width=8)
    params = jax.jit(policy.init)(jax.random.key(0))
    log_prob = jax.jit(policy.log_prob)(params, jnp.int32(0), jnp.arange(5, dtype=jnp.int32))
    np.testing.assert_allclose(log_prob, np.full(5, -np.log(20)), atol=0.3)
