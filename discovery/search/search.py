"""The outer loop, a generation at a time: ask for objectives, train agents under them, tell."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

import mpo
from discovery.config import Config, Family
from discovery.search import strategies, streams
from discovery.search.cohort import Cohort
from discovery.search.situation import Situation
from discovery.search.strategies import Strategy
from discovery.search.streams import Purpose
from mpo.errors import RequestError
from mpo.objectives import Objective
from mpo.pytree import pytree
from mpo.settings import Leaf

PROBES = 2
"""Agents' worth of members that ride along in a generation: the middle of the search, and where
it began. They see the same data and episodes as the members, and take no part in the search."""


@pytree
@dataclass(frozen=True)
class State:
    """All that the search knows between two generations; keys follow from the seed.

    Attributes:
      strategy: evosax's state: mean, deviations, moments of the optimizer.
      generation: how many were told.
      best: ζ of the member that was furthest above the mean of its generation.
      advantage: how far.
      tail: sum of the means after each generation of the second half.
    """

    strategy: Leaf
    generation: Leaf
    best: Leaf
    advantage: Leaf
    tail: Leaf


@dataclass(frozen=True)
class Measured:
    """The fitness of a generation: that of the members, of their middle, and of the start."""

    members: Float[np.ndarray, "members"]
    middle: float
    start: float


def searched(family: Family) -> Objective:
    """Return the objective that a search of the family starts from: ORPO, by learned potentials.

    Raises:
      RequestError: the potential is unknown, cannot be searched or has no such settings.
    """
    parts = {
        role: mpo.potential(
            family.potential, role=role, temporal=family.temporal, **dict(family.settings)
        )
        for role in ("psi", "phi_inv")
    }
    return mpo.objective("mpo", **parts, lam=float(family.lam))


@dataclass(frozen=True, eq=False)
class Search:
    """A search of `config` in its situation.

    Attributes:
      config: the run's description.
      situation: where agents are trained.
    """

    config: Config
    situation: Situation

    @cached_property
    def _start(self) -> tuple[Array, Any]:
        return mpo.ravel(searched(self.config.family))

    @cached_property
    def cohort(self) -> Cohort:
        """The agents of a generation."""
        return Cohort(self.situation, self.config.search.episodes)

    @cached_property
    def strategy(self) -> Strategy:
        """The strategy that moves ζ."""
        return built(self.config)

    def objective(self, zeta: Float[Array, "parameters"]) -> Objective:
        """Return the objective with these parameters."""
        rebuilt: Objective = self._start[1](jnp.asarray(zeta))
        return rebuilt

    def init(self) -> State:
        """Return the state before the first generation."""
        zeta, _ = self._start
        return State(
            strategy=self.strategy.init(self._key(0, "init"), zeta),
            generation=jnp.zeros((), jnp.int32),
            best=zeta,
            advantage=jnp.zeros((), zeta.dtype),
            tail=jnp.zeros_like(zeta),
        )

    def ask(self, state: State) -> tuple[Float[Array, "members parameters"], State]:
        """Return the members of the next generation."""
        members, asked = self._ask(self._key(state.generation, "ask"), state.strategy)
        return members, State(asked, state.generation, state.best, state.advantage, state.tail)

    def train(self, members: Float[Array, "members parameters"], state: State) -> list[Any]:
        """Train the agents of all members and probes, on each dataset."""
        zetas = jnp.concatenate(
            [members, self.strategy.mean(state.strategy)[None], self._start[0][None]]
        )
        seeds = self.config.search.seeds
        objectives = self._objectives(jnp.repeat(zetas, seeds, axis=0))
        keys = self._agents(self._key(state.generation, "agents"))
        return [
            self.cohort.train(objectives, keys, number)
            for number in range(len(self.situation.sources))
        ]

    def score(self, trained: list[Any]) -> Measured:
        """Measure them: a member's fitness is the mean over its agents, all datasets alike."""
        returns = np.stack([self.cohort.score(agents) for agents in trained])
        fitness = returns.reshape(len(trained), -1, self.config.search.seeds).mean(axis=(0, 2))
        return Measured(fitness[:-PROBES], float(fitness[-2]), float(fitness[-1]))

    def tell(
        self, state: State, members: Float[Array, "members parameters"], measured: Measured
    ) -> State:
        """Return the state after a generation."""
        fitness = jnp.asarray(measured.members, members.dtype)
        return self._tell(self._key(state.generation, "tell"), state, members, fitness)

    def candidates(self, state: State) -> dict[str, Array]:
        """Return what the run may end with, by name: ζ of each."""
        half = self.config.search.generations - self.config.search.generations // 2
        return {
            "start": self._start[0],
            "mean": self.strategy.mean(state.strategy),
            "average of the second half": state.tail / half,
            "best member": state.best,
        }

    def compilations(self) -> dict[str, int]:
        """Return how often each part of a generation was compiled."""
        parts = {"ask": self._ask, "objectives": self._objectives, "tell": self._tell}
        own = {name: part._cache_size() for name, part in parts.items()}
        return own | self.cohort.compilations()

    def _key(self, generation: Any, use: str) -> PRNGKeyArray:
        root = streams.key(Purpose.DISCOVERY, self.config.seed)
        uses = ("init", "ask", "agents", "tell")
        return jax.random.fold_in(jax.random.fold_in(root, uses.index(use)), generation)

    @cached_property
    def _ask(self) -> Any:
        return jax.jit(self.strategy.ask)

    @cached_property
    def _objectives(self) -> Any:
        return jax.jit(jax.vmap(self._start[1]))

    @cached_property
    def _agents(self) -> Any:
        sharing = shared(self.config.search.share, self.config.search.population)
        seeds = jnp.arange(self.config.search.seeds)

        def agent(key: PRNGKeyArray, who: Int[Array, ""], seed: Int[Array, ""]) -> PRNGKeyArray:
            return jax.random.fold_in(jax.random.fold_in(key, who), seed)

        over = jax.vmap(jax.vmap(agent, (None, None, 0)), (None, 0, None))
        return jax.jit(lambda key: over(key, sharing, seeds).reshape(-1))

    @cached_property
    def _tell(self) -> Any:
        return jax.jit(self._told)

    def _told(
        self, key: PRNGKeyArray, state: State, members: Array, fitness: Float[Array, "members"]
    ) -> State:
        told = self.strategy.tell(key, members, fitness, state.strategy)
        finite = strategies.finite_or_worst(fitness)
        top = jnp.argmax(finite)
        advantage = finite[top] - jnp.mean(finite)
        better = advantage > state.advantage
        generation = state.generation + 1
        late = generation > self.config.search.generations // 2
        mean = self.strategy.mean(told)
        return State(
            strategy=told,
            generation=generation,
            best=jnp.where(better, members[top], state.best),
            advantage=jnp.where(better, advantage, state.advantage),
            tail=state.tail + jnp.where(late, mean, jnp.zeros_like(mean)),
        )


def built(config: Config) -> Strategy:
    """Return the strategy of a run, or say what is wrong with it; nothing is computed."""
    zeta, _ = mpo.ravel(searched(config.family))
    asked = config.search
    final = (asked.final_sigma, asked.final_learning_rate)
    strategy = strategies.strategy(
        asked.strategy,
        strategies.Settings(
            population=asked.population,
            generations=asked.generations,
            sigma=asked.sigma,
            final_sigma=asked.sigma if final[0] is None else final[0],
            learning_rate=asked.learning_rate,
            final_learning_rate=asked.learning_rate if final[1] is None else final[1],
            shaping=asked.shaping,
        ),
        zeta,
    )
    if asked.share == "pairs" and not strategy.antithetic:
        raise RequestError(
            f"strategy {asked.strategy!r} has no antithetic pairs that could share randomness: "
            "let the whole generation share it"
        )
    return strategy


def shared(share: str, population: int) -> Int[Array, "agents"]:
    """Return who has the same randomness, by number; the probes have that of the first member."""
    members = jnp.arange(population)
    who = {
        "generation": jnp.zeros_like(members),
        "pairs": members % (population // 2),
        "nothing": members,
    }[share]
    return jnp.concatenate([who, jnp.zeros(PROBES, who.dtype)])
