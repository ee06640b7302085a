"""The outer loop, a generation at a time: ask for objectives, train agents under them, tell."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

import mpo
from discovery.config import Config, Family
from discovery.config.sections import MPO, TUNED, WIDE
from discovery.search import situation, strategies, streams
from discovery.search.cohort import Algorithms, Cohort, Trained, actions
from discovery.search.situation import Situation
from discovery.search.strategies import Strategy
from discovery.search.streams import Purpose
from mpo import paths
from mpo.errors import RequestError
from mpo.objectives import Objective, Wide
from mpo.objectives.points import point
from mpo.pytree import pytree
from mpo.settings import build
from mpo.train import Algorithm

ORPO = "orpo"
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
      advantage: by how much the fitness of `best` was above that mean.
      tail: sum of the means after each generation of the second half.
    """

    strategy: Any
    generation: Int[Array, ""]
    best: Float[Array, "*parameters"]
    advantage: Float[Array, ""]
    tail: Float[Array, "*parameters"]


@dataclass(frozen=True)
class Measured:
    """The fitness of a generation: that of the members, of their middle, and of the start."""

    members: Float[np.ndarray, "members"]
    middle: float
    start: float


def searched(family: Family, begun: Objective | None = None) -> Objective:
    """Return the objective that a search of the family starts from.

    ORPO by learned potentials, a loss made by hand as it stands, or the point of the wide family
    that a loss is.

    Args:
      family: that is searched.
      begun: the loss of that point, where it is not the one that the family names.

    Raises:
      RequestError: the loss or the potential is unknown, cannot be searched or has no such
        settings.
    """
    if family.objective == WIDE:
        named = mpo.objective(ORPO if family.start in (None, TUNED) else str(family.start))
        wide = point(begun or named, free=family.free, temporal=family.temporal)
        return build(Wide, "objective 'wide'", {**vars(wide), **family.settings})
    if family.objective != MPO:
        return mpo.objective(family.objective)
    parts = {
        role: mpo.potential(
            family.potential, role=role, temporal=family.temporal, **dict(family.settings)
        )
        for role in ("psi", "phi_inv")
    }
    return mpo.objective("mpo", **parts, lam=float(family.lam))


class Moved(NamedTuple):
    """What a search moves.

    Attributes:
      zeta: ζ at its start, one flat vector of free numbers.
      rebuild: ζ to the algorithm with it.
    """

    zeta: Float[Array, "parameters"]
    rebuild: Callable[[Array], Algorithm]


def moved(start: Algorithm, family: Family) -> Moved:
    """Return what a search moves of an algorithm: `family.over`, or what it has by default.

    Raises:
      RequestError: there is no such setting, or it is nothing that can be moved.
    """
    over = family.paths
    if over is None and family.objective != MPO:
        over = tuple(paths.tried(start))
    zeta, rebuild = mpo.ravel(start, over=over)
    return Moved(zeta, rebuild)


@dataclass(frozen=True, eq=False)
class Search:
    """A search of `config` in its situation.

    Attributes:
      config: the run's description.
      situation: where agents are trained.
      begun: what the search starts from, where the description does not say it alone.
    """

    config: Config
    situation: Situation
    begun: Algorithm | None = None

    @cached_property
    def plan(self) -> "Moved":
        """What is moved, and from where."""
        start = self.begun or self.situation.algorithm(searched(self.config.family))
        return moved(start, self.config.family)

    @cached_property
    def cohort(self) -> Cohort:
        """The agents of a generation."""
        search = self.config.search
        return Cohort(self.situation, search.episodes, search.action)

    @cached_property
    def strategy(self) -> Strategy:
        """The strategy that moves ζ."""
        return built(self.config, self.plan.zeta)

    def algorithm(self, zeta: Float[Array, "parameters"]) -> Algorithm:
        """Return the algorithm with these parameters."""
        return self.plan.rebuild(jnp.asarray(zeta))

    def algorithms(self, zetas: Float[Array, "agents parameters"]) -> Algorithms:
        """Return the algorithms of several agents, as `Cohort.earn` takes them."""
        return self._algorithms(zetas)

    def objective(self, zeta: Float[Array, "parameters"]) -> Objective:
        """Return the objective with these parameters."""
        return self.algorithm(zeta).objective

    def init(self) -> State:
        """Return the state before the first generation."""
        zeta = self.plan.zeta
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

    def train(self, members: Float[Array, "members parameters"], state: State) -> list[Trained]:
        """Train the agents of all members and probes, on each dataset."""
        zetas = jnp.concatenate(
            [members, self.strategy.mean(state.strategy)[None], self.plan.zeta[None]]
        )
        algorithms = self.algorithms(jnp.repeat(zetas, self.config.search.seeds, axis=0))
        keys = self._agents(self._key(state.generation, "agents"))
        return self.cohort.trained(algorithms, keys)

    def score(self, trained: list[Trained]) -> Measured:
        """Measure them: a member's fitness is the mean over its agents, all datasets alike."""
        returns = self.cohort.measure(trained)
        fitness = returns.reshape(len(trained), -1, self.config.search.seeds).mean(axis=(0, 2))
        members, (middle, start) = fitness[:-PROBES], fitness[-PROBES:]
        return Measured(members, float(middle), float(start))

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
            "start": self.plan.zeta,
            "mean": self.strategy.mean(state.strategy),
            "average of the second half": state.tail / half,
            "best member": state.best,
        }

    def compilations(self) -> dict[str, int]:
        """Return how often each part of a generation was compiled."""
        parts = {"ask": self._ask, "algorithms": self._algorithms, "tell": self._tell}
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
    def _algorithms(self) -> Any:
        def strong(zeta: Array) -> Algorithm:
            """Without weak types, which would be another program."""
            made = self.plan.rebuild(zeta)
            return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), made)

        return jax.jit(jax.vmap(strong))

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


def built(config: Config, zeta: Float[Array, "parameters"] | None = None) -> Strategy:
    """Return the strategy of a run, or say what is wrong with it; nothing is computed.

    Args:
      config: the run's description.
      zeta: what is moved, at its start, where the description does not say it alone.
    """
    if zeta is None:
        zeta = moved(situation.algorithm(config, searched(config.family)), config.family).zeta
    asked = config.search
    actions(situation.task_of(config), asked.action)
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
