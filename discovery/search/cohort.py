"""A cohort: agents trained by algorithms of one structure, and measured, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Key, UInt32

import envs
from discovery.host.processes import gathered
from discovery.search.situation import Situation, begin
from mpo.pytree import pytree
from mpo.train import Algorithm, Source, population, train
from mpo.train.population import Population

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
    """

    situation: Situation
    episodes: int

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

    def measure(self, trained: Sequence[Trained]) -> Float[np.ndarray, "datasets agents"]:
        """Return the mean true return of each agent that was trained on each dataset."""
        return np.stack([self.score(agents) for agents in trained])

    def train(
        self, algorithms: Algorithms, keys: Key[Array, "agents"], dataset: int = 0
    ) -> Trained:
        """Train an agent by each algorithm, from its key, on a dataset of the situation."""
        s = self.situation
        members = (algorithms, jax.random.key_data(keys))
        result: Trained = self._training(members, s.sources[dataset], s.moments[dataset], s.start)
        return result

    def score(self, trained: Trained) -> Float[np.ndarray, "agents"]:
        """Return the mean true return of each agent; NaN where a training was not finite."""
        return gathered(self._scoring(trained))

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


# Programs depend on no more than their arguments here, so every situation of a task has the same.
@lru_cache(maxsize=32)
def _training(task: envs.Task, way: str, chunk: int, devices: Mesh) -> Population:
    return population(partial(_trained, task=task), way, chunk=chunk, devices=devices)


@lru_cache(maxsize=32)
def _scoring(task: envs.Task, episodes: int, way: str, chunk: int, devices: Mesh) -> Population:
    one = partial(_scored, task=task, episodes=episodes)
    return population(one, way, chunk=chunk, devices=devices)


def _trained(
    member: tuple[Algorithm, Array], source: Source, moments: Any, start: Any, *, task: envs.Task
) -> Trained:
    algorithm, raw = member
    first, order, episodes = jax.random.split(jax.random.wrap_key_data(raw), 3)
    params = begin(task, first, moments, start)
    params, metrics = train(algorithm, source, task.policy, order, start=params)
    return Trained(params, metrics.finite, jax.random.key_data(episodes))


def _scored(agent: Trained, *, task: envs.Task, episodes: int) -> Float[Array, ""]:
    where, how = jax.random.split(jax.random.wrap_key_data(agent.key))
    starts = jax.vmap(task.start)(jax.random.split(where, episodes))
    score = jax.vmap(partial(task.score, agent.params))
    returns = score(starts, jax.random.split(how, episodes))
    return jnp.where(agent.finite, jnp.mean(returns), jnp.nan)
