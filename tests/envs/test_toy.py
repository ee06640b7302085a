"""The toy task: exact returns against draws, and that a simple training finds the answer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from envs.toy import WALKERS, Reach
from mpo.errors import RequestError
from tests.refusals import Meant, refusal

TASK = Reach()


def responses(task, params, count, seed=0):
    keys = jax.random.split(jax.random.key(seed), (count, 2))

    @jax.jit
    def all_of(params):
        starts = jax.vmap(task.start)(keys[:, 0])
        return jax.vmap(task.respond, in_axes=(None, 0, 0))(params, starts, keys[:, 1])

    return all_of(params)


def crooked():
    """Return an agent with everything a linear policy can have: no symmetry, every offset."""
    return dataclasses.replace(
        TASK.agent("medium"),
        kernels=(jnp.array([[-0.6, 0.3], [0.1, -0.9]]),),
        biases=(jnp.array([0.2, -0.1]),),
        log_std=jnp.array([-1.0, -0.5]),
        observation_mean=jnp.array([0.3, -0.2]),
        observation_std=jnp.array([1.5, 0.7]),
    )


@pytest.mark.parametrize("level", [*WALKERS, "crooked"])
@pytest.mark.sweep
def test_exact_return_agrees_with_draws(level):
    params = crooked() if level == "crooked" else TASK.agent(level)
    total = np.asarray(responses(TASK, params, 10_000).total)
    error = total.std() / np.sqrt(len(total))
    assert abs(total.mean() - TASK.expected_return(params)) < 4.5 * error
    assert error < 0.03


@pytest.mark.parametrize("level", WALKERS)
def test_the_documented_formula(level):
    gain, spread = WALKERS[level]
    variance, expected = 1.0, 0.0
    for _ in range(TASK.horizon):
        variance = (1 - gain) ** 2 * variance + spread**2
        expected += 1 / (1 + variance)
    np.testing.assert_allclose(TASK.expected_return(TASK.agent(level)), expected, rtol=1e-5)


def test_levels_rise_to_nearly_the_horizon():
    returns = [float(TASK.expected_return(TASK.agent(level))) for level in TASK.agents()]
    assert TASK.agents()[-1] == "expert"
    assert np.all(np.diff(returns) > 1.0)
    np.testing.assert_allclose(returns[-1], 10 / 1.01, rtol=1e-5)
    assert returns[-1] < TASK.horizon


def test_imitating_the_expert_reaches_its_return_in_seconds():
    data = responses(TASK, TASK.agent("expert"), 64)

    @jax.jit
    def train(params):
        optimizer = optax.sgd(0.01, momentum=0.9)

        def loss(params):
            return -jnp.mean(TASK.policy.log_prob(params, data.inputs, data.outputs))

        def step(carry, _):
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=1000)[0][0]

    fresh = TASK.initial(jax.random.key(0))
    trained = train(fresh)
    assert TASK.expected_return(fresh) < 3.0
    assert TASK.expected_return(trained) > 9.5


def test_wrong_requests_are_refused():
    with pytest.raises(RequestError, match="≥ 1"):
        Reach(horizon=0)
    with refusal(Meant("expert")):
        TASK.agent("exprt")
