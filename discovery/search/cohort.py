"""A cohort: agents trained by algorithms of one structure, and measured, side by side."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Key, UInt32

import envs
from discovery.config.sections import ACTIONS, MEAN, SAMPLED
from discovery.host.processes import gathered
from discovery.search.situation import Situation, begin
from envs.base import Measuring, Spreading
from mpo.errors import RequestError, unknown
from mpo.pytree import pytree
from mpo.train import Algorithm, Source, population, train
from mpo.train.population import Population

BOTH = "both"
"""Of the actions that agents are measured by: all that their task has."""

Algorithms = Any
"""An `Algorithm` whose arrays have the agents on their leading axis (`mpo.train.stacked`)."""


@pytree
@dataclass(frozen=True)
class Trained:
    """Agents after their training, on the devices that trained them.

    Attributes:
      params: of their policies; a pytree of arrays with the agents on the leading axis.
      finite: whether every update was; the parameters are finite in any case.
      key: what the episodes that measure them are drawn from, as raw data.
    """

    params: Any
    finite: Bool[Array, "*agents"]
    key: UInt32[Array, "*agents 2"]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Trains and measures any number of agents in a situation; two compilations for each size.

    An agent's numbers depend on its algorithm and its key alone: not on the other agents,
    nor on how many devices share them. Programs are kept for the whole process, so that all
    cohorts of a task, and all its datasets, share them.

    Attributes:
      situation: what they are trained on.
      episodes: that each agent's return is the mean of.
      action: what agents do in them: "sampled" from their policy, or the "mean" of it.
    """

    situation: Situation
    episodes: int
    action: str = SAMPLED

    def earn(
        self, algorithms: Algorithms, keys: Key[Array, "agents"]
    ) -> Float[np.ndarray, "agents"]:
        """Train an agent by each algorithm, from its key; return what each earns.

        That is its mean true return, and the mean of it over the datasets of the situation, on
        each of which it is trained anew; NaN where a training was not finite.
        """
        return np.asarray(np.mean(self.measure(self.trained(algorithms, keys)), axis=0))

    def trained(self, algorithms: Algorithms, keys: Key[Array, "agents"]) -> list[Trained]:
        """Train an agent by each algorithm, on each dataset of the situation."""
        datasets = range(len(self.situation.sources))
        return [self.train(algorithms, keys, number) for number in datasets]

    def measure(
        self, trained: Sequence[Trained], action: str | None = None
    ) -> Float[np.ndarray, "datasets agents"]:
        """Return the mean true return of each agent that was trained on each dataset."""
        return np.stack([self.score(agents, action) for agents in trained])

    def log_std(self, trained: Sequence[Trained]) -> Float[np.ndarray, "datasets agents"]:
        """Return the log-std of each agent's actions, the mean over their entries."""
        policy = self.situation.task.policy
        assert isinstance(policy, Spreading)
        found = [gathered(jnp.mean(policy.log_std(one.params), axis=-1)) for one in trained]
        whole = [gathered(one.finite) for one in trained]
        return np.where(np.stack(whole), np.stack(found), np.nan)

    def beside(self, trained: Sequence[Trained]) -> dict[str, Float[np.ndarray, "datasets agents"]]:
        """Return what the task measures of agents beside their return, in the same episodes."""
        found = [{n: gathered(v) for n, v in self._measuring(one).items()} for one in trained]
        return {name: np.stack([one[name] for one in found]) for name in found[0]}

    def train(
        self, algorithms: Algorithms, keys: Key[Array, "agents"], dataset: int = 0
    ) -> Trained:
        """Train an agent by each algorithm, from its key, on a dataset of the situation."""
        s = self.situation
        members = (algorithms, jax.random.key_data(keys))
        start = s.begins(algorithms.objective, dataset)
        result: Trained = self._training(members, s.sources[dataset], s.moments[dataset], start)
        return result

    def score(self, trained: Trained, action: str | None = None) -> Float[np.ndarray, "agents"]:
        """Return the mean true return of each agent; NaN where a training was not finite.

        Args:
          trained: the agents.
          action: what they do, if it is not the cohort's `action`. Both are one program.
        """
        by_mean = (action or self.action) == MEAN
        return gathered(self._scoring(still(trained, self.situation.task) if by_mean else trained))

    def compilations(self) -> dict[str, int]:
        """Return how often training and measuring were compiled, in this process."""
        return {"train": self._training.compilations, "score": self._scoring.compilations}

    @property
    def _training(self) -> Population:
        s = self.situation
        return _training(s.task, s.training.way, s.training.chunk, s.devices)

    @property
    def _scoring(self) -> Population:
        s = self.situation
        return _scoring(s.task, self.episodes, s.training.way, s.training.chunk, s.devices)

    @property
    def _measuring(self) -> Population:
        s = self.situation
        return _measuring(s.task, self.episodes, s.training.way, s.training.chunk, s.devices)


def actions(task: envs.Task, asked: str = BOTH) -> tuple[str, ...]:
    """Return by which actions agents of a task are measured, if `asked` is asked for.

    Raises:
      RequestError: there is no such way to act, or agents of this task have no mean action.
    """
    able = isinstance(task.policy, Spreading)
    if asked not in (*ACTIONS, BOTH):
        raise unknown("action to measure by", asked, (*ACTIONS, BOTH))
    if asked == MEAN and not able:
        raise RequestError(
            f"agents of {task.name} have no mean action: leave it out, or say {SAMPLED}"
        )
    if asked == BOTH:
        return ACTIONS if able else (SAMPLED,)
    return (asked,)


def still(trained: Trained, task: envs.Task) -> Trained:
    """Return the agents without the spread of their actions: what they draw is the mean."""
    policy = task.policy
    assert isinstance(policy, Spreading)
    return replace(trained, params=policy.spread(trained.params, -math.inf))


# Programs depend on no more than their arguments here, so every situation of a task has the same.
@lru_cache(maxsize=32)
def _training(task: envs.Task, way: str, chunk: int, devices: Mesh) -> Population:
    return population(partial(_trained, task=task), way, chunk=chunk, devices=devices)


@lru_cache(maxsize=32)
def _scoring(task: envs.Task, episodes: int, way: str, chunk: int, devices: Mesh) -> Population:
    one = partial(_scored, task=task, episodes=episodes)
    return population(one, way, chunk=chunk, devices=devices)


@lru_cache(maxsize=32)
def _measuring(task: envs.Task, episodes: int, way: str, chunk: int, devices: Mesh) -> Population:
    one = partial(_measured, task=task, episodes=episodes)
    return population(one, way, chunk=chunk, devices=devices)


def _trained(
    member: tuple[Algorithm, Array],
    source: Source | None,
    moments: Any,
    start: Any,
    *,
    task: envs.Task,
) -> Trained:
    algorithm, raw = member
    first, order, episodes = jax.random.split(jax.random.wrap_key_data(raw), 3)
    params = begin(task, first, moments, start)
    params, metrics = train(algorithm, source, task.policy, order, start=params)
    return Trained(params, metrics.finite, jax.random.key_data(episodes))


def _scored(agent: Trained, *, task: envs.Task, episodes: int) -> Float[Array, ""]:
    starts, keys = _episodes(agent, task, episodes)
    returns = jax.vmap(partial(task.score, agent.params))(starts, keys)
    return jnp.where(agent.finite, jnp.mean(returns), jnp.nan)


def _measured(agent: Trained, *, task: envs.Task, episodes: int) -> dict[str, Float[Array, ""]]:
    assert isinstance(task, Measuring)
    found = task.measured(agent.params, *_episodes(agent, task, episodes))
    return {name: jnp.where(agent.finite, value, jnp.nan) for name, value in found.items()}


def _episodes(agent: Trained, task: envs.Task, episodes: int) -> tuple[Any, Array]:
    """Return where the episodes that measure an agent start, and what they are drawn from."""
    where, how = jax.random.split(jax.random.wrap_key_data(agent.key))
    starts = jax.vmap(task.start)(jax.random.split(where, episodes))
    return starts, jax.random.split(how, episodes)
