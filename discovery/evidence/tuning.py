"""A fair chance: every objective gets its own settings, by as many trainings as any other.

Points of a Sobol sequence over the ranges that an objective declares (`tried=` on a setting) and
over the learning rate, however many numbers that are; the settings as they stand are the first of
them. Then as many around the best of these, which may lie beyond, and as many again, nearer. The
best few of all are measured again by agents of fresh keys, and of those the best is taken: the
best of many noisy means is not the best point, and its mean is too high. Every point is kept, so
that a tuning can be audited.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its statistics take a second, and come with their first use
from jaxtyping import Array, Float, Key, PRNGKeyArray

import mpo
from discovery.config import Config
from discovery.config.sections import SAMPLED
from discovery.evidence import statistics
from discovery.evidence.contest import measured
from discovery.evidence.returns import OF_ACTION
from discovery.evidence.statistics import Mean
from discovery.search.cohort import Cohort
from discovery.search.situation import Situation, algorithm
from mpo import paths
from mpo.log import numbers, strict
from mpo.settings import Range
from mpo.train import Algorithm, stacked

BOXES = (1.0, 1.0, 0.5)
"""Sides of the boxes that points are drawn from, one after another, in units of the ranges. The
first is the ranges themselves; the others are around the best point so far."""

EACH = 8
"""Points of each box, a power of two; they are trained side by side."""

KEPT = 4
"""Points that are measured again."""

RATES = (0.03, 10.0)
"""Least and greatest learning rate tried, as multiples of the situation's."""

BEYOND = math.sqrt(10.0)
"""How far beyond the values that a setting says to try a tuning goes, as a factor."""

SEEDS, EPISODES = 3, 32
"""Agents for each point, and episodes that measure each, where nothing else is asked; twice as
many agents for a point that is measured again."""

_RATE = "descent.learning_rate"
_RATE_SAID = "learning rate"
R = TypeVar("R")

Point = Mapping[str, float]
"""A value for each setting that is tuned, by its path."""


@dataclass(frozen=True)
class Trial:
    """A point that was tried.

    Attributes:
      settings: values of the objective's settings, by name.
      learning_rate: of the agents' optimizer.
      mean: true return of the agents, over the seeds that all points have.
      again: that of fresh agents, twice as many; `None` for a point that was not among the best.
    """

    settings: Mapping[str, float]
    learning_rate: float
    mean: Mean
    again: Mean | None = None


@dataclass(frozen=True)
class Tuned:
    """The best point that was tried.

    Attributes:
      objective: name of the objective.
      settings: values of the objective's settings that were tuned, by name.
      learning_rate: of the agents' optimizer.
      mean: true return of agents with these settings, over seeds that did not choose them for
        the last round.
      tried: how many points were measured.
      ends: names of the settings whose best value is the least or greatest that was tried, so
        that there may be better ones beyond.
      grid: what was to be tried, as `plan` returns it.
      trials: every point, in the order in which they were drawn; empty in a file from before
        they were kept.
    """

    objective: str
    settings: Mapping[str, float]
    learning_rate: float
    mean: Mean
    tried: int
    ends: tuple[str, ...]
    grid: Mapping[str, Any]
    trials: tuple[Trial, ...] = ()

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
        """Return the settings, and what all that were tried earned, as plain JSON values."""
        plain: dict[str, Any] = strict(dataclasses.asdict(self))
        if not self.trials:
            del plain["trials"]
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tuned":
        """Return the settings that `as_json` gave these values of."""
        if not 0 < values["learning_rate"] < math.inf:
            raise ValueError(f"a learning rate of {values['learning_rate']}")
        trials = tuple(
            Trial(**{**one, "mean": _mean(one["mean"]), "again": _mean(one["again"])})
            for one in values.get("trials", ())
        )
        read = {"mean": _mean(values["mean"]), "ends": tuple(map(str, values["ends"]))}
        return cls(**{**values, **read, "trials": trials})


def plan(base: Algorithm) -> dict[str, Any]:
    """Return what is to be tried of an algorithm as plain JSON values."""
    own = {_setting(path): [*_limits(extent)] for path, extent in paths.tried(base).items()}
    sizes = {"boxes": [*BOXES], "points of each": EACH, "again": KEPT}
    return {"settings": own, "learning rate factors": [*RATES], **sizes}


def explore(
    base: Algorithm,
    usual: float,
    earn: Callable[[Sequence[Point]], Sequence[R]],
    worths: Sequence[Callable[[R], float]],
    each: int = EACH,
) -> list[tuple[Point, R]]:
    """Try points of an algorithm's settings, and return them with what they earned.

    Args:
      base: the algorithm, whose own settings and rate are the first point.
      usual: learning rate of the situation, which rates are multiples of.
      earn: points to what each earned.
      worths: what is made of that, higher is better; boxes are around the best by each in turn.
      each: points of each box, a power of two.
    """
    axes = _axes(base, usual)
    found: list[tuple[Point, R]] = []
    for number, side in enumerate(BOXES):
        middle: Point = dict.fromkeys(axes, 0.5)
        centres = [_shares(axes, _best(found, one)) for one in worths] if found else [middle]
        sobol = scipy.stats.qmc.Sobol(len(axes), rng=np.random.default_rng(number))
        drawn = [
            {
                path: axis.value(centres[at % len(centres)][path] + side * (share - 0.5))
                for (path, axis), share in zip(axes.items(), row, strict=True)
            }
            for at, row in enumerate(sobol.random_base2(each.bit_length() - 1))
        ]
        if not found:
            own = {path: paths.get(base, path) for path in axes}
            drawn[0] = {path: float(value) for path, value in own.items()}
        found += zip(drawn, earn(drawn), strict=True)
    return found


def contestants(
    names: Iterable[str], config: Config, tuned: Mapping[str, Tuned]
) -> dict[str, Algorithm]:
    """Return algorithms by the names of their objectives: as `config` trains agents.

    With settings of their own where they were tuned, and those beside the objective that a
    search found with it.
    """
    found = {name: mpo.find(name) for name in names}
    plain = {
        name: paths.put_known(algorithm(config, one.objective), one.provenance.beside)
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
    action: str = SAMPLED,
) -> Tuned:
    """Try points of an objective's settings on `seeds` seeds each; return the best.

    Args:
      name: of the objective, or of an artifact.
      situation: what agents are trained on; of the purpose `TUNING`.
      key: what the seeds are drawn from, the same for all points.
      seeds: agents for each point.
      episodes: that measure each agent.
      told: is called with the points done and how many there are.
      action: what agents do when they are measured.
    """
    base, usual = situation.algorithm(mpo.objective(name)), float(situation.descent.learning_rate)
    cohort, measure = Cohort(situation, episodes, action), OF_ACTION[action]
    rounds = [jax.random.split(jax.random.fold_in(key, number), seeds) for number in (1, 2)]
    all_points, done = EACH * len(BOXES) + 2 * KEPT, 0

    def earned(some: Sequence[Point], keys: Any) -> list[Float[np.ndarray, "seeds"]]:
        nonlocal done
        told(done, all_points)
        done += len(some)
        return [one[measure].mean(axis=0) for one in tried(cohort, base, some, keys, (measure,))]

    def mean(returns: Float[np.ndarray, "seeds"]) -> float:
        return worth(statistics.mean(returns))

    found = explore(base, usual, lambda some: earned(some, jax.random.split(key, seeds)), [mean])
    best = sorted(range(len(found)), key=lambda at: -mean(found[at][1]))[:KEPT]
    fresh = [earned([found[at][0] for at in best], keys) for keys in rounds]
    again = {
        at: statistics.mean(np.concatenate(parts)) for at, *parts in zip(best, *fresh, strict=True)
    }
    chosen = max(best, key=lambda at: worth(again[at]))
    trials = tuple(
        Trial(*_split(point), statistics.mean(returns), again.get(at))
        for at, (point, returns) in enumerate(found)
    )
    settings, rate = _split(found[chosen][0])
    ends = tuple(
        _setting(path)
        for path, value in found[chosen][0].items()
        if value in _ends([point[path] for point, _ in found])
    )
    return Tuned(name, settings, rate, again[chosen], len(found), ends, plan(base), trials)


def tried(
    cohort: Cohort,
    base: Algorithm,
    some: Sequence[Point],
    keys: Key[Array, "seeds"],
    wanted: Iterable[str],
) -> list[dict[str, Float[np.ndarray, "datasets seeds"]]]:
    """Train an agent by every point from every key, and return what is measured of each point.

    All of them side by side, on every dataset of the situation.
    """
    algorithms = [paths.put_all(base, point) for point in some]
    agents = stacked(algorithms, each=len(keys))
    own = measured(cohort, agents, jnp.tile(keys, len(some)), wanted)
    datasets = len(cohort.situation.sources)
    split = {m: values.reshape(datasets, len(some), -1) for m, values in own.items()}
    return [{m: values[:, at] for m, values in split.items()} for at in range(len(some))]


def worth(mean: Mean) -> float:
    """Return a mean as something to be compared: where an agent failed, nothing is worse."""
    return -math.inf if mean.failed or not math.isfinite(mean.mean) else mean.mean


@dataclass(frozen=True)
class _Axis:
    """The values that are tried of a setting, between two ends in the chart of its range."""

    low: float
    high: float
    extent: Range

    def value(self, share: float) -> float:
        """Return the value at a share of the way from the low end to the high one, or beyond."""
        low, high = (float(self.extent.free(end)) for end in (self.low, self.high))
        return float(self.extent.value(jnp.asarray(low + share * (high - low))))

    def share(self, value: float) -> float:
        """Return how far on that way a value is."""
        low, high, here = (float(self.extent.free(v)) for v in (self.low, self.high, value))
        return (here - low) / (high - low)


def _axes(base: Algorithm, usual: float) -> dict[str, _Axis]:
    own = {path: _Axis(*_limits(extent), extent) for path, extent in paths.tried(base).items()}
    low, high = (factor * usual for factor in RATES)
    return own | {_RATE: _Axis(low, high, Range(above=0.0))}


def _limits(extent: Range) -> tuple[float, float]:
    """Return the least and the greatest value that are tried: beyond the values a setting names.

    Only where its chart is one of factors: a setting between two ends, or that nothing bounds,
    keeps to what it names.
    """
    low, high = min(extent.tried), max(extent.tried)
    bounded = extent.below is not None or extent.at_most is not None
    scale = extent.above == 0 or extent.at_least == 0
    return (low / BEYOND, high * BEYOND) if scale and not bounded else (low, high)


def _shares(axes: Mapping[str, _Axis], point: Point) -> Point:
    return {path: axis.share(point[path]) for path, axis in axes.items()}


def _best(found: Sequence[tuple[Point, R]], worth: Callable[[R], float]) -> Point:
    return max(found, key=lambda one: worth(one[1]))[0]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _split(point: Point) -> tuple[dict[str, float], float]:
    own = {_setting(path): value for path, value in point.items() if path != _RATE}
    return own, point[_RATE]


def _setting(path: str) -> str:
    """Return what a path is called in files and tables."""
    return _RATE_SAID if path == _RATE else path.removeprefix("objective.")


def _mean(values: Mapping[str, Any] | None) -> Any:
    return None if values is None else Mean(**numbers(values))
