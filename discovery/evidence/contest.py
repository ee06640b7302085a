"""Agents trained by several algorithms, over the same seeds: what an algorithm is worth."""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from discovery.evidence.returns import Returns, Store
from discovery.search.cohort import Cohort
from discovery.search.situation import Situation
from mpo.objectives import Objective
from mpo.train import Algorithm, stacked

CHUNK = 8
"""Seeds that are trained side by side, and saved together."""

Told = Callable[[str, int, int], None]
"""Called with the name of an algorithm, the seeds of it that are done, and how many there are."""


def evaluate(
    algorithms: Mapping[str, Algorithm | Objective],
    situation: Situation,
    key: PRNGKeyArray,
    seeds: Sequence[int],
    episodes: int,
    store: Store | None = None,
    told: Told = lambda name, done, seeds: None,
) -> Returns:
    """Train an agent by each algorithm and seed, and return the mean true return of each.

    Seed s has the same initialisation, minibatches and episodes under every algorithm, so
    that differences are paired. With several datasets a return is the mean over them. All
    agents of an algorithm are one compiled program; `store` keeps every few seeds as they
    are done, and what it has already is not trained again.

    Args:
      algorithms: by name; an objective alone is trained as the situation says.
      situation: what agents are trained on.
      key: what the seeds are drawn from.
      seeds: numbers of the seeds, each an agent.
      episodes: that measure each agent.
      store: has returns that are known, and is given those that are new.
      told: is called before each chunk of seeds: with the name, seeds done, and all seeds.
    """
    cohort, store = Cohort(situation, episodes), store or Store()
    chunk = min(CHUNK, len(seeds))
    for name, one in algorithms.items():
        missing = [seed for seed in seeds if (name, seed) not in store]
        for at in range(0, len(missing), chunk):
            told(name, len(seeds) - len(missing) + at, len(seeds))
            some = missing[at : at + chunk]
            filled = some + some[-1:] * (chunk - len(some))  # one shape, one compilation
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(filled, jnp.uint32))
            earned = cohort.earn(stacked([situation.algorithm(one)], each=chunk), keys)
            store.add(name, some, earned[: len(some)])
    return store.returns(algorithms, seeds)
