"""Agents under several objectives, over the same seeds: what an objective is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from discovery.evidence.returns import Returns, Store
from discovery.search.cohort import Cohort, repeated
from discovery.search.situation import Situation
from mpo.objectives import Objective

CHUNK = 8
"""Seeds that are trained side by side, and saved together."""

Told = Callable[[str, int, int], None]
"""Called with the name of an objective, the seeds of it that are done, and how many there are."""


@dataclass(frozen=True)
class Contestant:
    """An objective, and how agents are trained under it.

    Attributes:
      objective: the loss.
      learning_rate: its own; the situation's, if `None`.
      settings: where its settings are from, such as "tuned"; the default ones, if empty.
    """

    objective: Objective
    learning_rate: float | None = None
    settings: str = ""


def evaluate(
    contestants: Mapping[str, Contestant],
    situation: Situation,
    key: PRNGKeyArray,
    seeds: Sequence[int],
    episodes: int,
    store: Store | None = None,
    told: Told = lambda name, done, seeds: None,
) -> Returns:
    """Train an agent for each objective and seed, and return the mean true return of each.

    Seed s has the same initialisation, minibatches and episodes under every objective, so
    that differences are paired. With several datasets a return is the mean over them. All
    agents of an objective are one compiled program; `store` keeps every few seeds as they
    are done, and what it has already is not trained again.

    Args:
      contestants: by name.
      situation: what agents are trained on.
      key: what the seeds are drawn from.
      seeds: by number.
      episodes: that measure each agent.
      store: where returns are kept.
      told: is called before each chunk of seeds.
    """
    cohort, store = Cohort(situation, episodes), store or Store()
    chunk = min(CHUNK, len(seeds))
    for name, contestant in contestants.items():
        missing = [seed for seed in seeds if (name, seed) not in store]
        for at in range(0, len(missing), chunk):
            told(name, len(seeds) - len(missing) + at, len(seeds))
            some = missing[at : at + chunk]
            filled = some + some[-1:] * (chunk - len(some))  # one shape, one compilation
            store.add(name, some, _returns(cohort, contestant, key, filled)[: len(some)])
    return store.returns(contestants, seeds)


def _returns(
    cohort: Cohort, contestant: Contestant, key: PRNGKeyArray, seeds: Sequence[int]
) -> Float[np.ndarray, "agents"]:
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(seeds, jnp.uint32))
    own, count = contestant.learning_rate, len(seeds)
    rates = None if own is None else jnp.full(count, own, jnp.float32)
    objectives = repeated(contestant.objective, count)
    each = [
        cohort.score(cohort.train(objectives, keys, number, rates))
        for number in range(len(cohort.situation.sources))
    ]
    return np.asarray(np.mean(each, axis=0))
