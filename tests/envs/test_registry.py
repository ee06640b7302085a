"""Every registered task keeps the promises of `envs.Task`; registering one tests it."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.registry import TASKS
from mpo.errors import RequestError
from tests.refusals import Meant, refusal

PHYSICS = {name for name, entry in TASKS.items() if entry.target.startswith("envs.physics")}
SHORT = {name: {"horizon": 40} if name in PHYSICS else {"horizon": 5} for name in TASKS}
AGENTS, RESPONSES = 2, 3


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.slow] if n in PHYSICS else []) for n in TASKS],
)
def task(request) -> envs.Task:
    return envs.task(request.param, **SHORT[request.param])


@pytest.fixture(scope="module")
def population(task):
    """Return stacked agents that differ, and the starts and keys of their responses."""
    params = jax.vmap(task.policy.init)(jax.random.split(jax.random.key(0), AGENTS))
    starts = jax.vmap(task.start)(jax.random.split(jax.random.key(1), RESPONSES))
    return params, starts, jax.random.split(jax.random.key(2), RESPONSES)


@pytest.fixture(scope="module")
def respond(task):
    """Return the compiled responses of a population, with leading axes [agents, responses]."""
    many = jax.vmap(task.respond, in_axes=(None, 0, 0))
    return jax.jit(jax.vmap(many, in_axes=(0, None, None)))


@pytest.fixture(scope="module")
def responses(respond, population):
    return respond(*population)


def test_it_is_what_it_says(task):
    assert isinstance(task, envs.Task)
    assert task.name in TASKS
    assert task.horizon >= 1
    assert hash(task) == hash(envs.task(task.name, **SHORT[task.name]))


@pytest.mark.sweep
def test_shapes(task, responses):
    lead = (AGENTS, RESPONSES)
    assert responses.reward.shape == responses.mask.shape == (*lead, task.horizon)
    assert responses.mask.dtype == bool
    assert responses.outputs.shape[:3] == (*lead, task.horizon)
    assert responses.total.shape == responses.length.shape == lead


def test_masked_steps_come_last_and_pay_nothing(responses):
    mask = np.asarray(responses.mask)
    assert mask[..., 0].all()
    assert not np.any(~mask[..., :-1] & mask[..., 1:])
    assert not np.any(np.asarray(responses.reward)[~mask])
    np.testing.assert_array_equal(responses.length, mask.sum(-1))


def test_everything_is_finite(responses):
    for leaf in jax.tree.leaves(responses):
        assert np.all(np.isfinite(leaf))


@pytest.mark.sweep
def test_score_is_the_total_of_the_response(task, population, responses):
    many = jax.vmap(task.score, in_axes=(None, 0, 0))
    scores = jax.jit(jax.vmap(many, in_axes=(0, None, None)))(*population)
    np.testing.assert_allclose(scores, responses.total, rtol=1e-4, atol=1e-4)


@pytest.mark.sweep
def test_an_agent_answers_the_same_alone_as_in_a_population(task, population, responses):
    params, starts, keys = population
    alone = jax.jit(task.respond)(*jax.tree.map(lambda leaf: leaf[1], (params, starts, keys)))
    together = jax.tree.map(lambda leaf: leaf[1, 1], responses)
    for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)


def test_the_same_keys_give_the_same_responses_and_others_do_not(respond, population, responses):
    params, starts, keys = population
    again = respond(params, starts, keys)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(responses), strict=True):
        np.testing.assert_array_equal(one, other)
    changed = respond(params, starts, keys[::-1])
    assert np.any(changed.outputs != responses.outputs)


@pytest.mark.sweep
def test_log_prob_of_a_response_has_a_gradient(task, population, responses):
    params = jax.tree.map(lambda leaf: leaf[0], population[0])
    response = jax.tree.map(lambda leaf: leaf[0, 0], responses)

    def total(params):
        steps = task.policy.log_prob(params, response.inputs, response.outputs)
        assert steps.shape == (task.horizon,)
        return jnp.sum(jnp.where(response.mask, steps, 0.0))

    value, gradient = jax.jit(jax.value_and_grad(total))(params)
    assert np.isfinite(value)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_reference_agents_have_the_structure_of_the_policy(task):
    fresh = jax.jit(task.policy.init)(jax.random.key(0))
    for level in (*task.agents(), "expert"):
        agent = task.agent(level)
        assert str(jax.tree.structure(agent)) == str(jax.tree.structure(fresh))
        for leaf, like in zip(jax.tree.leaves(agent), jax.tree.leaves(fresh), strict=True):
            assert (leaf.shape, leaf.dtype) == (like.shape, like.dtype)
    with pytest.raises(RequestError, match="unknown agent"):
        task.agent("no such agent")


@pytest.mark.parametrize("name", TASKS)
def test_settings_are_checked(name):
    with refusal(Meant("horizon")):
        envs.task(name, horizonn=3)
    with pytest.raises(RequestError, match=r"'horizon' .* must be a whole number .*, not '3'"):
        envs.task(name, horizon="3")
    with pytest.raises(RequestError, match=r"whole number .*, not True"):
        envs.task(name, horizon=True)
    with pytest.raises(RequestError, match="not 0"):
        envs.task(name, horizon=0)


def test_an_unknown_name_is_answered_with_a_suggestion():
    with refusal(Meant("hopper")):
        envs.task("hoper")


def test_the_list_says_a_line_about_each():
    lines = envs.tasks()
    assert list(lines) == list(TASKS)
    assert all(line and "\n" not in line and len(line) < 90 for line in lines.values())


@pytest.mark.sweep
def test_bandits_and_lists_need_no_simulator():
    """Neither listing nor a task without physics imports brax."""
    program = (
        "import sys, envs; envs.tasks(); envs.task('token_bandit'); envs.task('reach')\n"
        "sys.exit(any(name.split('.')[0] in ('brax', 'mujoco') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
