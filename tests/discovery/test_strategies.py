"""Every strategy climbs, fitness is higher-is-better at the border, and failures reach nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.search.strategies import (
    SHAPINGS,
    STRATEGIES,
    Settings,
    Strategy,
    finite_or_worst,
    strategy,
)
from tests.refusals import Meant, refusal

ZETA = jnp.zeros(6)
PEAK = jnp.array([0.8, -0.5, 0.3, 0.9, -1.0, 0.1])


def settings(**changes):
    usual = {
        "population": 24,
        "generations": 60,
        "sigma": 0.3,
        "final_sigma": 0.3,
        "learning_rate": 0.1,
        "final_learning_rate": 0.1,
    }
    return Settings(**(usual | changes))


def hill(members):
    return -jnp.sum(jnp.square(members - PEAK[None]), axis=-1)


def climb(search: Strategy, fitness=hill, generations=60):
    @jax.jit
    def generation(key, state):
        ask, tell = jax.random.split(key)
        members, state = search.ask(ask, state)
        return search.tell(tell, members, fitness(members), state)

    state = search.init(jax.random.key(0), ZETA)
    for key in jax.random.split(jax.random.key(1), generations):
        state = generation(key, state)
    assert generation._cache_size() == 1, "the state changed its structure or a dtype"
    return state


@pytest.mark.parametrize("name", [n for n, entry in STRATEGIES.items() if not entry.fixed])
@pytest.mark.sweep
def test_every_strategy_climbs(name):
    """Minimising, as evosax does, would go away from the peak as far as it can."""
    search = strategy(name, settings(), ZETA)
    reached = search.mean(climb(search))
    assert hill(reached[None])[0] > 0.1 * hill(ZETA[None])[0]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.sweep
def test_failed_members_do_not_reach_the_search(name):
    search = strategy(name, settings(), ZETA)

    def broken(members):
        holes = jnp.arange(members.shape[0]) % 5
        fitness = hill(members)
        fitness = jnp.where(holes == 0, jnp.nan, fitness)
        return jnp.where(holes == 1, -jnp.inf, jnp.where(holes == 2, jnp.inf, fitness))

    reached = search.mean(climb(search, broken))
    assert np.all(np.isfinite(reached))
    # Sixty per cent of the members count as the worst: slower, but not astray.
    assert hill(reached[None])[0] > 0.6 * hill(ZETA[None])[0]


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.sweep
def test_a_generation_that_failed_whole_moves_nothing(name):
    search = strategy(name, settings(), ZETA)
    state = search.init(jax.random.key(0), ZETA)
    members, state = search.ask(jax.random.key(1), state)
    after = search.tell(jax.random.key(2), members, jnp.full(24, jnp.nan), state)
    np.testing.assert_array_equal(search.mean(after), search.mean(state))
    before = jax.tree.leaves(state)
    for leaf, then in zip(jax.tree.leaves(after), before, strict=True):
        np.testing.assert_array_equal(leaf, then)


@pytest.mark.parametrize("name", [n for n, entry in STRATEGIES.items() if entry.antithetic])
def test_antithetic_partners_are_half_a_population_apart(name):
    search = strategy(name, settings(), ZETA)
    members, _ = search.ask(jax.random.key(3), search.init(jax.random.key(0), ZETA + 1))
    middle = (members[:12] + members[12:]) / 2
    np.testing.assert_allclose(middle, jnp.ones((12, 6)), atol=1e-6)
    assert jnp.std(members[:12] - members[12:]) > 0.1


def test_the_first_step_of_openai_es_is_that_of_its_definition():
    """Ranks, an estimate of the gradient by members, Adam: written out in numpy."""
    search = strategy("open_es", settings(population=8), ZETA)
    state = search.init(jax.random.key(0), ZETA)
    members, state = search.ask(jax.random.key(1), state)
    fitness = np.array([0.3, -1.0, 2.0, 0.1, 5.0, -4.0, 0.0, 1.0], np.float32)
    told = search.tell(jax.random.key(2), members, jnp.asarray(fitness), state)
    ranks = np.argsort(np.argsort(fitness)) / 7 - 0.5
    ascent = ranks @ np.asarray(members) / (8 * 0.3**2)
    adam = optax.adam(0.1)
    with jax.numpy_dtype_promotion("standard"):
        step, _ = adam.update(-jnp.asarray(ascent), adam.init(ZETA))
    np.testing.assert_allclose(search.mean(told), step, rtol=1e-4, atol=1e-6)
    assert np.dot(search.mean(told), ascent) > 0


def test_raw_differences_keep_their_size():
    def one(shaping, scale):
        search = strategy("pgpe", settings(shaping=shaping), ZETA)
        algorithm = search.algorithm.fitness_shaping_fn
        return algorithm(None, scale * jnp.array([1.0, 2.0, 4.0]), None, None)

    np.testing.assert_allclose(one("raw", 10.0), 10 * one("raw", 1.0), rtol=1e-5)
    np.testing.assert_allclose(one("standardized", 10.0), one("standardized", 1.0), rtol=1e-4)
    np.testing.assert_allclose(one("ranks", 10.0), [-0.5, 0.0, 0.5])


def test_sigma_follows_its_schedule_from_the_first_generation_to_the_last():
    """evosax reads its schedule a generation late; the members here are spread as was asked."""
    search = strategy(
        "open_es", settings(generations=5, sigma=0.5, final_sigma=0.1, population=2000), ZETA
    )
    state, spread = search.init(jax.random.key(0), ZETA), []
    for number in range(5):
        members, state = search.ask(jax.random.key(number), state)
        spread.append(float(jnp.std(members - search.mean(state)[None])))
        state = search.tell(jax.random.key(9), members, hill(members), state)
    np.testing.assert_allclose(spread, [0.5, 0.4, 0.3, 0.2, 0.1], rtol=0.03)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.sweep
def test_sigma_is_the_spread_of_the_first_generation(name):
    search = strategy(name, settings(sigma=0.7, final_sigma=0.7, population=2000), ZETA)
    members, _ = search.ask(jax.random.key(1), search.init(jax.random.key(0), ZETA + 2))
    np.testing.assert_allclose(jnp.std(members - 2, axis=0), 0.7, rtol=0.1)


@pytest.mark.parametrize("name", SHAPINGS)
def test_shaping_ignores_where_zero_is(name):
    cost = jnp.array([3.0, -1.0, 7.0, 2.5])
    np.testing.assert_allclose(SHAPINGS[name](cost), SHAPINGS[name](cost + 100), atol=1e-4)
    np.testing.assert_allclose(jnp.sum(SHAPINGS[name](cost)), 0, atol=1e-5)


def test_equal_costs_share_their_rank():
    np.testing.assert_allclose(SHAPINGS["ranks"](jnp.array([1.0, 1.0, 0.0])), [0.25, 0.25, -0.5])


@given(st.lists(st.floats(width=32), min_size=2, max_size=9))
def test_what_is_not_finite_ranks_worst(values):
    fitness = np.array(values, np.float32)
    seen = np.asarray(finite_or_worst(jnp.asarray(fitness)))
    finite = np.isfinite(fitness)
    assert np.all(np.isfinite(seen))
    np.testing.assert_array_equal(seen[finite], fitness[finite])
    if finite.any():
        assert np.all(seen[~finite] == fitness[finite].min())


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("open_ess", {}, Meant("open_es")),
        ("open_es", {"shaping": "rank"}, Meant("ranks")),
        ("open_es", {"population": 7}, "must be even"),
        ("open_es", {"population": 2}, "at least 4"),
        ("cma_es", {"shaping": "raw"}, "knows only ranks"),
        ("cma_es", {"final_sigma": 0.1}, "adapts sigma itself"),
    ],
)
def test_what_cannot_work_is_refused(name, changes, complaint):
    with refusal(complaint):
        strategy(name, settings(**changes), ZETA)


def test_a_random_search_ends_with_the_best_of_all_it_drew():
    search = strategy("random", settings(), ZETA)
    state, drawn = search.init(jax.random.key(0), ZETA), []
    np.testing.assert_array_equal(search.mean(state), ZETA)
    for generation in range(5):
        members, state = search.ask(jax.random.key(generation), state)
        state = search.tell(jax.random.key(9), members, hill(members), state)
        drawn.append(np.asarray(members))
    everything = np.concatenate(drawn)
    np.testing.assert_allclose(
        np.std(everything - np.asarray(ZETA)[None]), settings().sigma, rtol=0.2
    )
    best = everything[np.argmax(hill(everything))]
    np.testing.assert_array_equal(search.mean(state), best)
