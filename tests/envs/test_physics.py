"""The physics tasks: a step is that of brax's own, a fall masks, bad settings are refused."""

import dataclasses
import functools
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.foreign import foreign
from envs.physics import Ant, Hopper, ThreeLeggedAnt
from envs.physics.ant import FOURTH_LEG
from mpo.errors import RequestError
from tests.refusals import Meant, refusal

HORIZON, BATCH = 120, 16
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
quickly = functools.partial(jax.jit, compiler_options=QUICK)
"""Compiles in half the time what hardly runs."""


@functools.cache
def a_state(task):
    return quickly(lambda key: task.begin(task.start(key)))(jax.random.key(0))


@pytest.fixture(scope="module")
def rollout():
    """Responses and scores of fresh Hopper agents, which fall within the horizon."""
    task = Hopper(horizon=HORIZON)
    agents = jax.vmap(task.policy.init)(jax.random.split(jax.random.key(0), 2))
    starts = jax.vmap(task.start)(jax.random.split(jax.random.key(1), BATCH))
    keys = jax.random.split(jax.random.key(2), BATCH)

    @quickly
    def both(agents, starts, keys):
        over = ((None, 0, 0), (0, None, None))
        respond = jax.vmap(jax.vmap(task.respond, over[0]), over[1])
        score = jax.vmap(jax.vmap(task.score, over[0]), over[1])
        return respond(agents, starts, keys), score(agents, starts, keys)

    return (task, both, (agents, starts, keys), *both(agents, starts, keys))


@pytest.mark.sweep
def test_a_population_responds(rollout):
    task, _, _, response, score = rollout
    assert response.inputs.shape == (2, BATCH, HORIZON, task.policy.observation_size)
    assert response.outputs.shape == (2, BATCH, HORIZON, task.policy.action_size)
    assert score.shape == (2, BATCH)


def test_after_a_fall_nothing_belongs_to_the_response(rollout):
    _, _, _, response, _ = rollout
    mask = np.asarray(response.mask)
    assert mask[..., 0].all()
    assert not mask.all()
    assert (mask[..., 1:] <= mask[..., :-1]).all()
    for outside in (response.reward, response.inputs, response.outputs):
        assert not np.asarray(outside)[~mask].any()
    assert np.asarray(response.reward)[mask].all()
    np.testing.assert_array_equal(response.length, mask.sum(-1))


def test_the_score_is_the_return_of_the_response(rollout):
    _, _, _, response, score = rollout
    np.testing.assert_allclose(score, response.total, rtol=1e-5)


def test_responses_follow_their_keys(rollout):
    _, both, (agents, starts, keys), response, _ = rollout
    again, _ = both(agents, starts, keys)
    np.testing.assert_array_equal(again.outputs, response.outputs)
    other, _ = both(agents, starts, keys[::-1])
    np.testing.assert_array_equal(other.inputs[:, :, 0], response.inputs[:, :, 0])
    assert (np.asarray(other.outputs[:, 1:3, 0]) != np.asarray(response.outputs[:, 1:3, 0])).all()


def test_recorded_actions_are_unclipped(rollout):
    _, _, _, response, _ = rollout
    assert np.abs(response.outputs).max() > 1


@pytest.mark.parametrize("name", ["hopper", pytest.param("ant", marks=pytest.mark.slow)])
def test_a_step_is_that_of_the_brax_environment(name):
    """Observation, reward and termination are those of brax's own, along a random rollout."""
    task = envs.task(name)
    with foreign():  # brax warns when it is imported, made and traced
        from brax import envs as brax_envs

        theirs = brax_envs.get_environment(name, backend="spring")

    @quickly
    def step(state, action):
        ours = task.advance(state, action)
        with foreign():
            before = brax_envs.State(state, jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))
            after = theirs.step(before, action)
        return ours, task.observe(ours.state), after

    state = a_state(task)
    rng = np.random.default_rng(0)
    for _ in range(30):
        action = jnp.asarray(rng.uniform(-1, 1, task.policy.action_size), jnp.float32)
        (state, reward, healthy), observation, after = step(state, action)
        np.testing.assert_allclose(observation, after.obs, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(reward, after.reward, rtol=1e-4, atol=1e-4)
        assert bool(healthy) == (after.done == 0)


def test_brax_is_entered_by_one_thread_at_a_time():
    """What is printed and warned of is caught for the whole process, and must be set free."""
    inside, most = [], []

    def enter(_):
        with foreign(), foreign():
            inside.append(1)
            time.sleep(0.02)
            most.append(len(inside))
            inside.pop()

    before = sys.stdout, warnings.filters[:]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(8)))
    assert max(most) == 1
    assert (sys.stdout, warnings.filters[:]) == before


def test_actions_are_clipped_by_the_task(monkeypatch):
    task, applied = Ant(), []
    state = a_state(task)

    def step(_, state, action):
        applied.append(action)
        return state

    monkeypatch.setattr(type(task.simulator), "step", step)
    rewards = [task.advance(state, jnp.full(8, size)).reward for size in (50.0, 1.0)]
    np.testing.assert_array_equal(applied[0], jnp.ones(8))
    assert rewards[0] == rewards[1]


def test_the_fourth_leg_costs_and_nothing_else_differs():
    plain, legged = Ant(), ThreeLeggedAnt(leg_penalty=7.0)
    state = a_state(plain)
    action = jnp.linspace(-0.9, 0.8, 8)
    before, after = plain._judge(state, state, action), legged._judge(state, state, action)
    used = np.square(np.asarray(action)[list(FOURTH_LEG)]).sum()
    np.testing.assert_allclose(before.reward - after.reward, 7.0 * used, rtol=1e-5)
    idle = action.at[jnp.array(FOURTH_LEG)].set(0.0)
    assert legged._judge(state, state, idle).reward == plain._judge(state, state, idle).reward
    assert {f.name for f in dataclasses.fields(ThreeLeggedAnt)} - {
        f.name for f in dataclasses.fields(Ant)
    } == {"leg_penalty"}


def test_the_fourth_leg_is_the_one_named_so():
    names = [
        Ant().simulator.system.mj_model.joint(int(i)).name
        for i in Ant().simulator.system.mj_model.actuator_trnid[list(FOURTH_LEG), 0]
    ]
    assert names == ["hip_4", "ankle_4"]


@pytest.mark.parametrize("task", [Hopper(), Ant(), ThreeLeggedAnt()], ids=lambda t: t.name)
def test_a_diverged_simulation_is_an_unpaid_fall(task, monkeypatch):
    state = a_state(task)
    lost = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.dtype == float else x, state)
    lost = state.replace(q=jnp.full_like(state.q, jnp.nan), x=lost.x)
    monkeypatch.setattr(type(task.simulator), "step", lambda *_: lost)
    _, reward, healthy = task.advance(state, jnp.zeros(task.policy.action_size))
    assert reward == 0
    assert not healthy


@pytest.mark.parametrize(("name", "noise"), [("hopper", 5e-3), ("ant", 0.1)])
def test_starts_are_near_rest_and_differ(name, noise):
    task = envs.task(name)
    starts = quickly(jax.vmap(task.start))(jax.random.split(jax.random.key(0), 200))
    away = np.asarray(starts.q) - np.asarray(task.simulator.rest)
    assert noise * 0.95 < np.abs(away).max() <= noise * 1.001
    assert len(np.unique(np.asarray(starts.q), axis=0)) == 200


def test_an_unstable_backend_is_refused_with_its_reason():
    with pytest.raises(RequestError, match=r"'generalized' is refused for ant.*NaN.*mjx, pos"):
        Ant(backend="generalized")


def test_bad_settings_are_refused():
    with refusal(Meant("spring")):
        Hopper(backend="sprnig")
    with pytest.raises(RequestError, match=r"'horizon' .* ≥ 1"):
        Hopper(horizon=0)
    with pytest.raises(RequestError, match=r"'leg_penalty' .* ≥ 0"):
        ThreeLeggedAnt(leg_penalty=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [("hopper", "positional"), ("hopper", "generalized"), ("ant", "positional"), ("ant", "mjx")],
)
def test_other_backends_simulate(name, backend):
    task = envs.task(name, backend=backend, horizon=10)
    params = task.policy.init(jax.random.key(0))
    response = quickly(task.respond)(params, task.start(jax.random.key(1)), jax.random.key(2))
    assert np.isfinite(response.total)
    assert response.length > 5
