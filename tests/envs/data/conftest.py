"""A task small enough to see through, whose responses end early, and its agents."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import pytest

from envs.base import Response, Task
from envs.data import Author, Plan, Recipe
from envs.data.recipe import settings_of
from envs.judge import Judge
from mpo.policies import GaussianPolicy


@dataclass(frozen=True)
class Ledge(Task):
    """Push a point along a ledge: r = 1 + x, and it falls off where |x| > 1."""

    horizon: int = 7

    name: ClassVar = "ledge"

    @property
    def policy(self):
        return GaussianPolicy(observation_size=2, action_size=1, hidden=(), initial_log_std=-1.0)

    def initial(self, key):
        return self.policy.init(key)

    def start(self, key):
        return jax.random.uniform(key, (2,), jnp.float32, -0.3, 0.3)

    def respond(self, params, start, key):
        def step(carry, key):
            state, alive = carry
            action = self.policy.sample(params, key, state)
            after = state.at[1].add(0.3 * action[0]).at[0].add(state[1])
            taken = (
                jnp.where(alive, state, 0.0),
                jnp.where(alive, action, 0.0),
                jnp.where(alive, 1.0 + after[0], 0.0),
                alive,
            )
            return (after, alive & (jnp.abs(after[0]) <= 1.0)), taken

        carry = (start, jnp.ones((), bool))
        return Response(*jax.lax.scan(step, carry, jax.random.split(key, self.horizon))[1])

    def score(self, params, start, key):
        return self.respond(params, start, key).total


@pytest.fixture(scope="session")
def ledge():
    return Ledge()


@pytest.fixture(scope="session")
def planned(ledge):
    """Return a function that plans a dataset of the ledge."""
    agents = tuple(ledge.initial(key) for key in jax.random.split(jax.random.key(5)))

    def planned(kind="base", rows=40, responses=2, judge=None, seed=0, task=ledge):
        expert, reference = (Author.of(n, a) for n, a in zip(("good", "poor"), agents, strict=True))
        recipe = Recipe(
            task=task.name,
            settings=settings_of(task),
            kind=kind,
            expert=expert,
            reference=reference,
            rows=rows,
            responses=responses,
            judge=judge or Judge(1.0),
            seed=seed,
        )
        return Plan(recipe, task, agents)

    return planned
