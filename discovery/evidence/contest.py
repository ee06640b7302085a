"""Agents trained by several algorithms, over the same seeds: what an algorithm is worth."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

import envs
from discovery.config.sections import MEAN
from discovery.evidence.returns import LOG_STD, OF_ACTION, Returns, Store
from discovery.search.cohort import BOTH, Algorithms, Cohort, actions
from discovery.search.situation import Situation
from envs.base import Measuring
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
    action: str = BOTH,
) -> Returns:
    """Train an agent by each algorithm and seed, and return the mean true return of each.

    Where agents are measured by sampled actions and by their mean, the return is that of sampled
    ones; `store` has everything (`all_measures`).

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
      action: what agents do when they are measured: "sampled", "mean" or "both", which is all
        that their task has.
    """
    cohort, store = Cohort(situation, episodes), store or Store()
    wanted = all_measures(situation.task, action)
    chunk = min(CHUNK, len(seeds))
    for name, one in algorithms.items():
        missing = [seed for seed in seeds if not store.has(name, seed, wanted)]
        for at in range(0, len(missing), chunk):
            told(name, len(seeds) - len(missing) + at, len(seeds))
            some = missing[at : at + chunk]
            filled = some + some[-1:] * (chunk - len(some))  # one shape, one compilation
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.asarray(filled, jnp.uint32))
            agents = stacked([situation.algorithm(one)], each=chunk)
            found = measured(cohort, agents, keys, wanted)
            store.add(name, some, {m: own.mean(axis=0)[: len(some)] for m, own in found.items()})
    return store.returns(algorithms, seeds, wanted[0])


def measures(task: envs.Task, action: str = BOTH) -> tuple[str, ...]:
    """Return what is measured of agents of a task: returns by action, and with that by the mean
    how actions spread.
    """
    found = actions(task, action)
    return (*(OF_ACTION[one] for one in found), *((LOG_STD,) if MEAN in found else ()))


def all_measures(task: envs.Task, action: str = BOTH) -> tuple[str, ...]:
    """Return `measures`, and what the task measures beside where nothing less is asked for."""
    more = task.measures if isinstance(task, Measuring) and action == BOTH else ()
    return (*measures(task, action), *more)


def measured(
    cohort: Cohort, algorithms: Algorithms, keys: Key[Array, "agents"], wanted: Iterable[str]
) -> dict[str, Float[np.ndarray, "datasets agents"]]:
    """Train an agent by each algorithm, from its key, on each dataset; measure what is wanted.

    Returns:
      Every measure of the agents that were trained on each dataset, by its name.
    """
    trained = cohort.trained(algorithms, keys)
    found = {
        measure: cohort.measure(trained, action)
        for action, measure in OF_ACTION.items()
        if measure in {*wanted}
    }
    if LOG_STD in {*wanted}:
        found[LOG_STD] = cohort.log_std(trained)
    task = cohort.situation.task
    if isinstance(task, Measuring) and {*task.measures} & {*wanted}:
        found |= cohort.beside(trained)
    return found
