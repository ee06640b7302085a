"""Comparisons of walkers in the plane, whose returns are known in closed form."""

import jax
import numpy as np
import pytest

import envs
from envs.data import from_arrays

REACH = envs.task("reach")


def responses(task, level, rows, key):
    """Let the agent `level` respond `rows` times."""
    agent = task.agent(level)

    def respond(key):
        start_key, key = jax.random.split(key)
        response = task.respond(agent, task.start(start_key), key)
        return response, response.length, response.total

    keys = jax.random.split(jax.random.key(key), rows)
    return jax.device_get(jax.jit(jax.vmap(respond))(keys))


def compared(task, better, worse, rows):
    """Return a dataset of `better` against `worse`, ranked without a mistake."""
    both = [responses(task, level, rows, key) for key, level in enumerate((better, worse))]
    response, length, reward = jax.tree.map(lambda *pair: np.stack(pair, 1), *both)
    return from_arrays(
        response.inputs, response.outputs, length=length.astype(np.int32), reward=reward
    )


@pytest.fixture(scope="session")
def reach():
    return REACH


@pytest.fixture(scope="session")
def walks():
    """An expert against a novice, 128 comparisons of 10 steps."""
    return compared(REACH, "expert", "novice", 128)


@pytest.fixture(scope="session")
def bandit():
    return envs.task("token_bandit", vocabulary=10)


@pytest.fixture(scope="session")
def sentences(bandit):
    return compared(bandit, "expert", "reference", 512)


@pytest.fixture(scope="session")
def ragged():
    """Comparisons of three responses of 1 to 6 steps each, with noise for padding."""
    rng = np.random.default_rng(0)
    return from_arrays(
        rng.standard_normal((8, 3, 6, 2), np.float32),
        rng.standard_normal((8, 3, 6, 2), np.float32),
        length=rng.integers(1, 7, (8, 3)).astype(np.int32),
    )
