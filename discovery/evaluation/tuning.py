"""A fair chance: every objective gets its own settings, under the same stated budget.

A plain grid, because all its points are one compiled program: learning rates and the
numbers of an objective are traced, so agents of the whole grid train side by side.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import mpo
from discovery import statistics
from discovery.cohort import Cohort
from discovery.evaluation.contest import Contestant
from discovery.situation import Situation
from discovery.statistics import Mean
from discovery.strict_json import numbers, strict

FACTORS = (0.1, 0.3, 1.0, 3.0)
"""Learning rates tried, as multiples of the situation's."""

GRIDS: Mapping[str, Mapping[str, Sequence[float]]] = MappingProxyType(
    {
        "orpo": {"lam": (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)},
        "dpo": {"beta": (0.003, 0.01, 0.03, 0.1, 0.3)},
        "cdpo": {"beta": (0.003, 0.01, 0.03, 0.1, 0.3)},
        "ipo": {"beta": (0.01, 0.03, 0.1, 0.3, 1.0)},
        "simpo": {"beta": (0.3, 1.0, 2.0, 5.0, 10.0)},
        "closed_form": {"alpha": (0.03, 0.1, 0.3, 1.0, 3.0)},
    }
)
"""Settings tried for each objective; others have only their learning rate tuned."""


@dataclass(frozen=True)
class Tuned:
    """The best point of a grid.

    Attributes:
      objective: name of the objective.
      settings: its own settings.
      learning_rate: of its agents.
      mean: what they earned, over the seeds of the tuning.
      tried: points of the grid.
      ends: what is best at an end of its grid, so that there may be better ones beyond.
    """

    objective: str
    settings: Mapping[str, float]
    learning_rate: float
    mean: Mean
    tried: int
    ends: tuple[str, ...] = ()

    def contestant(self) -> Contestant:
        """Return the objective so tuned."""
        made = mpo.objective(self.objective, **self.settings)
        return Contestant(made, self.learning_rate, tuned=True)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        plain: dict[str, Any] = strict(dataclasses.asdict(self))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tuned":
        """Return what `as_json` wrote."""
        if not 0 < values["learning_rate"] < math.inf:
            raise ValueError(f"a learning rate of {values['learning_rate']}")
        ends = tuple(map(str, values.get("ends", ())))
        return cls(**{**values, "mean": Mean(**numbers(values["mean"])), "ends": ends})


def tune(
    name: str,
    situation: Situation,
    key: PRNGKeyArray,
    seeds: int,
    episodes: int,
    told: Callable[[int, int], None] = lambda done, points: None,
) -> Tuned:
    """Try every point of an objective's grid on `seeds` seeds, and return the best mean.

    Args:
      name: of the objective, or of an artifact.
      situation: what agents are trained on; of the purpose `TUNING`.
      key: what the seeds are drawn from, the same for all points.
      seeds: agents for each point.
      episodes: that measure each agent.
      told: is called with the points done and how many there are.
    """
    grid = GRIDS.get(name, {})
    rates = [factor * float(situation.hyper.learning_rate) for factor in FACTORS]
    points = [
        (dict(zip(grid, values, strict=True)), rate)
        for values in itertools.product(*grid.values())
        for rate in rates
    ]
    cohort, keys = Cohort(situation, episodes), jax.random.split(key, seeds)
    means = []
    for at in range(0, len(points), len(rates)):
        told(at, len(points))
        means += _measured(cohort, name, points[at : at + len(rates)], keys)
    best = max(range(len(points)), key=lambda i: _worth(means[i]))
    settings, rate = points[best]
    ends = [key for key, value in settings.items() if value in (grid[key][0], grid[key][-1])]
    ends += ["learning rate"] if rate in (rates[0], rates[-1]) else []
    return Tuned(name, settings, rate, means[best], len(points), tuple(ends))


def _measured(
    cohort: Cohort, name: str, points: Sequence[tuple[Mapping[str, float], float]], keys: Any
) -> list[Mean]:
    made = [mpo.objective(name, **settings) for settings, _ in points]
    seeds = len(keys)
    objectives = jax.tree.map(lambda *leaves: _each(leaves, seeds), *made)
    rates = jnp.repeat(jnp.asarray([rate for _, rate in points], jnp.float32), seeds)
    again = jnp.tile(keys, len(points))
    each = [
        cohort.score(cohort.train(objectives, again, number, rates))
        for number in range(len(cohort.situation.sources))
    ]
    returns = np.mean(each, axis=0).reshape(len(points), seeds)
    return [statistics.mean(own) for own in returns]


def _each(leaves: Sequence[Any], seeds: int) -> jax.Array:
    stacked = jnp.stack([jnp.asarray(leaf, jnp.result_type(float)) for leaf in leaves])
    return jnp.repeat(stacked, seeds, axis=0)


def _worth(mean: Mean) -> float:
    return -np.inf if mean.failed or not np.isfinite(mean.mean) else mean.mean
