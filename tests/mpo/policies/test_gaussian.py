"""The Gaussian policy against hand calculation, scipy and the statistics of its draws."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from mpo.policies import GaussianParams, GaussianPolicy

POLICY = GaussianPolicy(observation_size=3, action_size=2, hidden=(5, 4))


def agent(seed: int = 0) -> GaussianParams:
    """Return parameters none of which is at its initial value."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.uniform(0.2, 1.2, leaf.shape), leaf.dtype),
        jax.jit(POLICY.init)(jax.random.key(0)),
    )


def by_hand(params: GaussianParams, observation: np.ndarray) -> np.ndarray:
    x = (observation - np.asarray(params.observation_mean)) / np.asarray(params.observation_std)
    for kernel, bias in zip(params.kernels[:-1], params.biases[:-1], strict=True):
        x = np.tanh(x @ np.asarray(kernel) + np.asarray(bias))
    return x @ np.asarray(params.kernels[-1]) + np.asarray(params.biases[-1])


@pytest.mark.parametrize("batch", [(), (7,), (2, 3)])
def test_mean_and_density_are_those_of_a_normal_distribution(batch):
    observation = jax.random.normal(jax.random.key(1), (*batch, 3))
    action = jax.random.normal(jax.random.key(2), (*batch, 2))
    params = agent()
    mean = by_hand(params, np.asarray(observation))
    np.testing.assert_allclose(
        jax.jit(POLICY.mean)(params, observation), mean, rtol=1e-5, atol=1e-6
    )
    density = scipy.stats.norm(mean, np.exp(params.log_std)).logpdf(np.asarray(action)).sum(-1)
    log_prob = jax.jit(POLICY.log_prob)(params, observation, action)
    np.testing.assert_allclose(log_prob, density, rtol=1e-5, atol=1e-5)
    assert log_prob.shape == batch


def test_a_density_can_exceed_one():
    params = agent()
    narrow = dataclasses.replace(params, log_std=jnp.full(2, -5.0))
    observation = jnp.ones(3)
    at_mode = POLICY.log_prob(narrow, observation, POLICY.mean(narrow, observation))
    np.testing.assert_allclose(at_mode, 10.0 - np.log(2 * np.pi), rtol=1e-6)


def test_draws_have_the_mean_and_spread_of_the_policy():
    params, count = agent(), 20_000
    observation = jnp.array([0.3, -1.0, 2.0])
    draw = jax.jit(jax.vmap(POLICY.sample, in_axes=(None, 0, None)))
    draws = np.asarray(draw(params, jax.random.split(jax.random.key(3), count), observation))
    std = np.exp(np.asarray(params.log_std))
    error = np.abs(draws.mean(0) - by_hand(params, np.asarray(observation)))
    assert np.all(error < 5 * std / np.sqrt(count))
    np.testing.assert_allclose(draws.std(0), std, rtol=0.03)
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.04
    means = by_hand(params, np.asarray(observation))
    for dimension in range(2):
        exact = scipy.stats.norm(means[dimension], std[dimension]).cdf
        assert scipy.stats.kstest(draws[:, dimension], exact).pvalue > 1e-4


def test_no_gradient_reaches_the_observation_normaliser():
    observation = jax.random.normal(jax.random.key(1), (6, 3))
    action = jax.random.normal(jax.random.key(2), (6, 2))
    gradient = jax.jit(jax.grad(lambda p: POLICY.log_prob(p, observation, action).sum()))(agent())
    assert not np.any(gradient.observation_mean)
    assert not np.any(gradient.observation_std)
    learned = (*gradient.kernels, *gradient.biases, gradient.log_std)
    assert all(np.any(leaf) for leaf in learned)


def test_gradient_agrees_with_finite_differences():
    observation, action = jnp.array([0.3, -1.0, 2.0]), jnp.array([0.1, -0.4])

    @jax.jit
    def loss(log_std):
        return POLICY.log_prob(dataclasses.replace(agent(), log_std=log_std), observation, action)

    at = jnp.array([0.2, -0.3])
    step = 1e-2
    numeric = [(loss(at + step * d) - loss(at - step * d)) / (2 * step) for d in jnp.eye(2)]
    np.testing.assert_allclose(jax.grad(loss)(at), numeric, rtol=5e-3)


@pytest.mark.sweep
def test_agents_stack_along_a_leading_axis():
    agents = [agent(seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *agents)
    observation = jax.random.normal(jax.random.key(1), (4, 3))
    action = jax.random.normal(jax.random.key(2), (4, 2))
    together = jax.vmap(POLICY.log_prob, in_axes=(0, None, None))(stacked, observation, action)
    for one, params in zip(together, agents, strict=True):
        np.testing.assert_allclose(
            one, POLICY.log_prob(params, observation, action), rtol=1e-5, atol=1e-6
        )


def test_without_hidden_layers_the_policy_is_linear():
    linear = GaussianPolicy(observation_size=3, action_size=2, hidden=())
    params = jax.jit(linear.init)(jax.random.key(0))
    assert [kernel.shape for kernel in params.kernels] == [(3, 2)]
    x = jax.random.normal(jax.random.key(1), (5, 3))
    np.testing.assert_allclose(linear.mean(params, x), x @ params.kernels[0], rtol=1e-5)


def test_a_new_agent_acts_around_zero():
    policy = GaussianPolicy(observation_size=11, action_size=3, initial_log_std=-0.5)
    params = jax.jit(policy.init)(jax.random.key(0))
    np.testing.assert_array_equal(params.log_std, np.full(3, -0.5, np.float32))
    means = jax.jit(policy.mean)(params, jax.random.normal(jax.random.key(1), (100, 11)))
    assert np.abs(means).max() < 0.1


def test_a_normaliser_is_what_the_network_sees_through():
    params, plain = (
        agent(),
        dataclasses.replace(agent(), observation_mean=jnp.zeros(3), observation_std=jnp.ones(3)),
    )
    mean, std = jnp.array([1.0, -2.0, 0.5]), jnp.array([0.1, 3.0, 1.0])
    observation = jax.random.normal(jax.random.key(1), (4, 3))
    seen = POLICY.mean(POLICY.normalised(params, mean, std), observation)
    wanted = POLICY.mean(plain, (observation - mean[None]) / std[None])
    np.testing.assert_allclose(seen, wanted, rtol=1e-5)
