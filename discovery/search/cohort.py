"""A cohort: agents trained under objectives of one structure, and measured, side by side."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from discovery.host.processes import gathered
from discovery.search.situation import Situation
from mpo.objectives import Objective
from mpo.pytree import pytree
from mpo.settings import Leaf
from mpo.train import Hyper, population, train
from mpo.train.population import Population

Objectives = Any  # an `Objective` whose arrays have the agents on their leading axis


@pytree
@dataclass(frozen=True)
class Trained:
    """Agents after their training, on the devices that trained them.

    Attributes:
      params: of their policies.
      finite: whether every update was; the parameters are finite in any case.
      key: what the episodes that measure them are drawn from.
    """

    params: Leaf
    finite: Leaf
    key: Leaf


@dataclass(frozen=True, eq=False)
class Cohort:
    """Trains and measures any number of agents in a situation; two compilations for each size.

    An agent's numbers depend on its objective and its key alone: not on the other agents,
    nor on how many devices share them.

    Attributes:
      situation: what they are trained on.
      episodes: that measure each.
    """

    situation: Situation
    episodes: int

    def train(
        self,
        objectives: Objectives,
        keys: Key[Array, "agents"],
        dataset: int = 0,
        learning_rates: Float[Array, "agents"] | None = None,
    ) -> Trained:
        """Train an agent under each objective, from its key, on a dataset of the situation.

        Learning rates are the situation's, unless each agent is given its own.
        """
        s = self.situation
        if learning_rates is None:
            learning_rates = jnp.full(keys.shape, s.hyper.learning_rate)
        members = (objectives, jax.random.key_data(keys), learning_rates)
        return self._train(members, s.sources[dataset], s.moments[dataset], s.start, s.hyper)

    def score(self, trained: Trained) -> Float[np.ndarray, "agents"]:
        """Return the mean true return of each agent; NaN where a training was not finite."""
        return gathered(self._score(trained))

    @cached_property
    def _train(self) -> Population:
        training = self.situation.training
        return population(
            self._train_one, training.way, chunk=training.chunk, devices=self.situation.devices
        )

    @cached_property
    def _score(self) -> Population:
        training = self.situation.training
        return population(
            self._score_one, training.way, chunk=training.chunk, devices=self.situation.devices
        )

    def _train_one(
        self,
        member: tuple[Objective, Array, Array],
        source: Any,
        moments: Any,
        start: Any,
        hyper: Hyper,
    ) -> Trained:
        objective, raw, learning_rate = member
        hyper = dataclasses.replace(hyper, learning_rate=learning_rate)
        first, order, episodes = jax.random.split(jax.random.wrap_key_data(raw), 3)
        policy = self.situation.task.policy
        params = self.situation.begin(first, moments, start)
        params, metrics = train(objective, source, policy, order, hyper, start=params)
        return Trained(params, metrics.finite, jax.random.key_data(episodes))

    def _score_one(self, agent: Trained) -> Float[Array, ""]:
        task = self.situation.task
        where, how = jax.random.split(jax.random.wrap_key_data(agent.key))
        starts = jax.vmap(task.start)(jax.random.split(where, self.episodes))
        score = jax.vmap(partial(task.score, agent.params))
        returns = score(starts, jax.random.split(how, self.episodes))
        return jnp.where(agent.finite, jnp.mean(returns), jnp.nan)

    def compilations(self) -> dict[str, int]:
        """Return how often training and measuring were compiled."""
        return {"train": self._train.compilations, "score": self._score.compilations}


def repeated(objective: Objective, agents: int) -> Objectives:
    """Return the same objective for so many agents."""

    def stacked(leaf: Any) -> Array:
        array = jnp.asarray(leaf, jnp.asarray(leaf).dtype)  # no weak type, which would recompile
        return jnp.broadcast_to(array, (agents, *array.shape))

    return jax.tree.map(stacked, objective)
