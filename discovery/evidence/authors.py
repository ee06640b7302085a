"""What the agents that made the data earn, to read a table against: as they act, and by the mean.

By the mean action they are measured anew, by the program that measures all agents of a situation.
"""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from discovery.config import Config
from discovery.config.sections import MEAN
from discovery.search.cohort import Cohort, Trained
from discovery.search.situation import Situation

_EPISODES = 2**31 + 1
"""Folded into the key of a purpose for the episodes of authors; seeds of agents are below."""
IN_THE_DATA = ", in the data"
"""After the name of an author, where what it earns is a level of a table."""


def levels(earned: dict[str, float]) -> dict[str, float]:
    """Return what authors earn as levels of a table, by name."""
    return {f"{name}{IN_THE_DATA}": value for name, value in earned.items()}


def by_mean_action(
    config: Config, ground: Situation, names: Iterable[str], episodes: int, side_by_side: int
) -> dict[str, float]:
    """Return the mean return of authors by their mean action alone, over the same episodes.

    Args:
      config: the description; who wrote a file of one's own may be anybody, and is not measured.
      ground: where, as it was prepared; its task has a mean action.
      names: of authors; those that are no agents of the task are left out.
      episodes: that measure each.
      side_by_side: agents that are measured at once elsewhere, so that no program is compiled anew.
    """
    task = ground.task
    able = ("expert", *task.agents())
    own = any(one.path for one in config.data)
    known = [] if own else [name for name in names if name in able]
    cohort, key = Cohort(ground, episodes), jax.random.fold_in(ground.key, jnp.uint32(_EPISODES))
    keys = jnp.tile(jax.random.key_data(key), (side_by_side, 1))
    found: dict[str, float] = {}
    for at in range(0, len(known), side_by_side):
        some = known[at : at + side_by_side]
        params = _stacked([task.agent(name) for name in some], side_by_side)
        agents = Trained(params, jnp.ones(side_by_side, bool), keys)
        found |= zip(some, map(float, cohort.score(agents, MEAN)), strict=False)
    return found


def _stacked(agents: Sequence[object], size: int) -> object:
    """Return the parameters of agents on a leading axis, which the last one fills up."""
    filled = [*agents, *[agents[-1]] * (size - len(agents))]
    return jax.tree.map(lambda *leaves: jnp.stack([np.asarray(leaf) for leaf in leaves]), *filled)
