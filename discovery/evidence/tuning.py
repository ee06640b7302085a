"""A fair chance: every objective gets its own settings, by the same stated rule.

A plain grid, because all its points are one compiled program: learning rates and the
numbers of an objective are traced, so agents of the whole grid train side by side. Where the
best point is at an end of the grid, the grid grows.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import mpo
from discovery.config import Config
from discovery.evidence import statistics
from discovery.evidence.statistics import Mean
from discovery.search.cohort import Cohort
from discovery.search.situation import Situation, algorithm
from mpo import paths
from mpo.log import numbers, strict
from mpo.train import Algorithm, stacked

FACTORS = (0.1, 0.3, 1.0, 3.0)
"""Learning rates tried, as multiples of the situation's."""

SEEDS, EPISODES = 3, 32
"""Agents for each point of a grid, and episodes that measure each, where nothing else is asked."""

GROWTHS = 8
"""How often a grid may grow, each time by the next value at every end where its best point is."""

_RATE = "descent.learning_rate"
_RATE_SAID = "learning rate"

Point = tuple[float, ...]
"""A value for each axis of the grid."""


@dataclass(frozen=True)
class Tuned:
    """The best point of a grid.

    Attributes:
      objective: name of the objective.
      settings: values of the objective's settings that were tuned, by name.
      learning_rate: of the agents' optimizer.
      mean: true return of the agents, over the seeds of the tuning.
      tried: how many points of the grid were measured.
      ends: names of the settings whose best value is the least or greatest that was tried, so
        that there may be better ones beyond.
      grid: where the grid began and how it grew, as `grid` returns it.
    """

    objective: str
    settings: Mapping[str, float]
    learning_rate: float
    mean: Mean
    tried: int
    ends: tuple[str, ...]
    grid: Mapping[str, Any]

    def algorithm(self, base: Algorithm) -> Algorithm:
        """Return an algorithm with the settings so tuned, all others as they are."""
        values = {f"objective.{name}": value for name, value in self.settings.items()}
        return paths.put_all(base, values | {_RATE: self.learning_rate})

    def said(self) -> str:
        """Return the settings in words."""
        settings = [f"{key} {value:g}" for key, value in self.settings.items()]
        rate = f"learning rate {self.learning_rate:g}"
        ends = f"; at an end: {', '.join(self.ends)}" if self.ends else ""
        return f"{', '.join([*settings, rate])} ({self.tried} tried{ends})"

    def as_json(self) -> dict[str, Any]:
        """Return the settings, and what they earned, as plain JSON values."""
        plain: dict[str, Any] = strict(dataclasses.asdict(self))
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tuned":
        """Return the settings that `as_json` gave these values of."""
        if not 0 < values["learning_rate"] < math.inf:
            raise ValueError(f"a learning rate of {values['learning_rate']}")
        ends = tuple(map(str, values["ends"]))
        return cls(**{**values, "mean": Mean(**numbers(values["mean"])), "ends": ends})


def grid(name: str) -> dict[str, Any]:
    """Return the grid of an objective as plain JSON values: where it begins, and how it grows."""
    own = {setting: [*extent.tried] for setting, extent in paths.tried(mpo.objective(name)).items()}
    return {"settings": own, "learning rate factors": [*FACTORS], "growths": GROWTHS}


def contestants(
    names: Iterable[str], config: Config, tuned: Mapping[str, Tuned]
) -> dict[str, Algorithm]:
    """Return algorithms by the names of their objectives: as `config` trains agents.

    With settings of their own where they were tuned, and those beside the objective that a
    search found with it.
    """
    found = {name: mpo.find(name) for name in names}
    plain = {
        name: paths.put_all(algorithm(config, one.objective), one.provenance.beside)
        for name, one in found.items()
    }
    return {n: tuned[n].algorithm(one) if n in tuned else one for n, one in plain.items()}


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
    base = situation.algorithm(mpo.objective(name))
    rates = [factor * float(situation.descent.learning_rate) for factor in FACTORS]
    axes = {path: [*extent.tried] for path, extent in paths.tried(base).items()} | {_RATE: rates}
    cohort, keys = Cohort(situation, episodes), jax.random.split(key, seeds)
    means: dict[Point, Mean] = {}
    best: Point = ()
    for growth in range(1 + GROWTHS):
        new = [point for point in itertools.product(*axes.values()) if point not in means]
        for at in range(0, len(new), len(FACTORS)):
            told(len(means), len(means) + len(new) - at)
            some = new[at : at + len(FACTORS)]
            means |= zip(some, _measured(cohort, base, axes, some, keys), strict=True)
        best = max(means, key=lambda point: _worth(means[point]))
        hopeless = math.isinf(_worth(means[best]))
        if growth < GROWTHS and (hopeless or not _grown(axes, best)):
            break
    point = dict(zip(axes, best, strict=True))
    ends = tuple(_setting(path) for path, value in point.items() if value in _ends(axes[path]))
    rate = point.pop(_RATE)
    settings = {_setting(path): value for path, value in point.items()}
    return Tuned(name, settings, rate, means[best], len(means), ends, grid(name))


def _setting(path: str) -> str:
    """Return what a path is called in files and tables."""
    return _RATE_SAID if path == _RATE else path.removeprefix("objective.")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _grown(axes: Mapping[str, list[float]], best: Point) -> bool:
    """Add a value to each axis where the best point is at an end; return whether any grew."""
    grown = False
    for values, value in zip(axes.values(), best, strict=True):
        around = sorted(values)
        if value == around[0]:
            values.append(_rounded(around[0] ** 2 / around[1]))
        elif value == around[-1]:
            values.append(_rounded(around[-1] ** 2 / around[-2]))
        grown |= len(values) > len(around)
    return grown


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def _measured(
    cohort: Cohort, base: Algorithm, axes: Iterable[str], points: Sequence[Point], keys: Any
) -> list[Mean]:
    """Return what agents earn at some points: as many as make a batch, so that one is compiled."""
    padded = [*points, *[points[-1]] * (len(FACTORS) - len(points))]
    algorithms = [paths.put_all(base, dict(zip(axes, point, strict=True))) for point in padded]
    earned = cohort.earn(stacked(algorithms, each=len(keys)), jnp.tile(keys, len(padded)))
    return [statistics.mean(own) for own in earned.reshape(len(padded), -1)[: len(points)]]


def _worth(mean: Mean) -> float:
    return -np.inf if mean.failed or not np.isfinite(mean.mean) else mean.mean
