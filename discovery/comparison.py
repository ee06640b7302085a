"""Agents under several objectives, over the same seeds: what an objective is worth."""

from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from discovery.cohort import Cohort, repeated
from discovery.situation import Situation
from mpo.objectives import Objective

Returns = Mapping[str, Float[np.ndarray, "seeds"]]
Told = Callable[[str], None]


def compare(
    situation: Situation,
    objectives: Mapping[str, Objective],
    key: PRNGKeyArray,
    seeds: int,
    episodes: int,
    told: Told = lambda name: None,
) -> dict[str, Float[np.ndarray, "seeds"]]:
    """Train an agent for each objective and seed, and return the mean return of each.

    Seed s has the same initialisation, minibatches and episodes under every objective, so
    that differences are paired. With several datasets a return is the mean over them.

    Args:
      situation: what agents are trained on.
      objectives: by name.
      key: what the seeds are drawn from.
      seeds: how many.
      episodes: that measure each agent.
      told: is called with the name of each objective before it is trained under.
    """
    cohort, keys = Cohort(situation, episodes), jax.random.split(key, seeds)
    returns = {}
    for name, objective in objectives.items():
        told(name)
        each = [
            cohort.score(cohort.train(repeated(objective, seeds), keys, number))
            for number in range(len(situation.sources))
        ]
        returns[name] = np.mean(each, axis=0)
    return returns
