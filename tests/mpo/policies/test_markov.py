"""The table policy by hand, and how its work grows with the number of responses."""

import jax
import jax.numpy as jnp
import numpy as np

from mpo.policies import MarkovPolicy

POLICY = MarkovPolicy(vocabulary=3, length=2)
TABLE = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]))


def test_the_table_is_read_at_the_preceding_token():
    log_prob = POLICY.log_prob(TABLE + 5.0, jnp.int32(1), jnp.array([2, 0], jnp.int32))
    np.testing.assert_allclose(np.exp(log_prob), [0.7, 0.3], rtol=1e-5)


def test_gradient_is_count_minus_probability():
    gradient = jax.grad(lambda t: POLICY.log_prob(t, jnp.int32(1), jnp.array([2, 0])).sum())(TABLE)
    by_hand = [[0.0, 0.0, 0.0], [-0.1, -0.2, 0.3], [0.7, -0.3, -0.4]]
    np.testing.assert_allclose(gradient, by_hand, atol=1e-6)


def test_a_new_agent_is_nearly_uniform():
    policy = MarkovPolicy(vocabulary=50, length=2)
    probabilities = jax.nn.softmax(policy.init(jax.random.key(0)))
    assert np.abs(probabilities - 1 / 50).max() < 0.15 / 50
    assert not np.any(MarkovPolicy(50, 2, initial_scale=0.0).init(jax.random.key(0)))


def test_the_table_is_normalised_once_for_all_responses():
    batch = jnp.zeros(64, jnp.int32), jnp.zeros((64, 2), jnp.int32)
    batched = jax.vmap(POLICY.log_prob, in_axes=(None, 0, 0))
    exponentials = [
        equation.outvars[0].aval.shape
        for equation in _flat(jax.make_jaxpr(batched)(TABLE, *batch).jaxpr)
        if equation.primitive.name == "exp"
    ]
    assert exponentials == [(3, 3)]


def _flat(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in equation.params.values():
            if hasattr(inner, "jaxpr"):
                yield from _flat(inner.jaxpr)
