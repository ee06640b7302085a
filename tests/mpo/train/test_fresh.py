import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from envs.data import from_arrays
from mpo.policies import GaussianPolicy, MarkovPolicy
from mpo.train import fresh, hyper, moments, referenced, train
from mpo.train.fresh import _moments

LINEAR = GaussianPolicy(2, 2, hidden=())
NETWORK = GaussianPolicy(2, 2, hidden=(8,))
KEYS = jax.random.split(jax.random.key(0), 3)


def seen(dataset):
    """All observations that count, in one array."""
    return np.asarray(dataset.inputs, np.float64)[dataset.mask]


def rescaled(dataset, scale, shift):
    return dataclasses.replace(dataset, inputs=(dataset.inputs * scale + shift).astype(np.float32))


@pytest.mark.parametrize("rows", [1, 64, 100])
def test_moments_are_those_of_the_steps_that_count(rows):
    rng = np.random.default_rng(rows)
    values = 3.0 + rng.standard_normal((rows, 2, 5, 2), np.float32) * np.array(
        [1.0, 0.01], np.float32
    )
    length = rng.integers(1, 6, (rows, 2)).astype(np.int32)
    padded = np.where((np.arange(5) < length[..., None])[..., None], values, np.inf)
    dataset = from_arrays(values, values, length=length)
    found = moments(dataclasses.replace(dataset, inputs=padded).view())
    np.testing.assert_allclose(found.mean, seen(dataset).mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.std, seen(dataset).std(0), rtol=1e-4)


def test_segments_have_the_moments_of_their_responses(walks):
    """Ten steps are cut into two fives without a rest."""
    whole, halves = moments(walks.view()), moments(walks.view(5))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), whole, halves)


def test_a_small_deviation_far_from_zero_is_not_lost(ragged):
    far = rescaled(ragged, 0.1, 1000.0)
    np.testing.assert_allclose(moments(far.view()).std, seen(far).std(0), rtol=1e-3)


def test_what_never_varies_is_not_blown_up(ragged):
    still = rescaled(ragged, np.array([1.0, 0.0], np.float32), 5.0)
    std = moments(still.view()).std
    assert std[1] == np.float32(1e-3)
    assert std[0] > 0.5


def test_the_data_are_not_copied():
    rows = np.zeros((4096, 2, 10, 8), np.float32)
    view = from_arrays(rows, rows[..., :1], length=np.full((4096, 2), 10, np.int32)).view()
    memory = _moments.lower(view).compile().memory_analysis()
    assert memory.temp_size_in_bytes < rows.nbytes / 8


def test_agents_differ_in_their_weights_and_share_the_normaliser(walks):
    found = moments(walks.view())
    agents = jax.jit(jax.vmap(lambda key: fresh(NETWORK, key, found)))(KEYS)
    drawn = jax.jit(jax.vmap(NETWORK.init))(KEYS)
    for kernel, wanted in zip(agents.kernels, drawn.kernels, strict=True):
        np.testing.assert_array_equal(kernel, wanted)
        assert np.all(kernel[0] != kernel[1])
    np.testing.assert_array_equal(agents.observation_mean, np.tile(found.mean, (3, 1)))
    np.testing.assert_array_equal(agents.observation_std, np.tile(found.std, (3, 1)))


def test_behind_a_normaliser_the_units_of_an_observation_do_not_matter(walks):
    view, other = (data.view() for data in (walks, rescaled(walks, 400.0, -3000.0)))
    settings = hyper(updates=50, batch=8, learning_rate=0.01)

    def trained(source):
        start = fresh(NETWORK, KEYS[0], moments(source))
        return train(mpo.objective("orpo"), source, NETWORK, KEYS[1], settings, start=start)[0]

    for one, same in zip(trained(view).kernels, trained(other).kernels, strict=True):
        np.testing.assert_allclose(one, same, atol=2e-3)


def test_a_source_in_a_source_has_its_moments(walks):
    view = walks.view()
    known = referenced(view, LINEAR, LINEAR.init(KEYS[0]))
    jax.tree.map(np.testing.assert_array_equal, moments(known), moments(view))


def test_tokens_have_no_moments_and_need_none(sentences):
    policy = MarkovPolicy(10, 10)
    found = moments(sentences.view())
    assert found is None
    np.testing.assert_array_equal(fresh(policy, KEYS[0], found), policy.init(KEYS[0]))


def test_a_policy_without_a_normaliser_is_left_as_it_is(walks):
    policy = MarkovPolicy(10, 10)
    table = fresh(policy, KEYS[0], moments(walks.view()))
    np.testing.assert_array_equal(table, policy.init(KEYS[0]))


def test_without_moments_a_normaliser_changes_nothing():
    agent = fresh(NETWORK, KEYS[0])
    np.testing.assert_array_equal(agent.observation_mean, jnp.zeros(2))
    np.testing.assert_array_equal(agent.observation_std, jnp.ones(2))
