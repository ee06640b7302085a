"""What a dataset is like: counts, returns of winners and losers, and how right the labels are."""

import itertools
from dataclasses import dataclass

import numpy as np

from envs.data.dataset import Dataset
from envs.data.recipe import Recipe


@dataclass(frozen=True)
class Returns:
    """How some true returns are distributed."""

    mean: float
    std: float
    least: float
    most: float

    @classmethod
    def of(cls, returns: np.ndarray) -> "Returns":
        """Summarise these returns."""
        values = np.asarray(returns, np.float64)
        return cls(*(float(f(values)) for f in (np.mean, np.std, np.min, np.max)))


@dataclass(frozen=True)
class Meeting:
    """How often one agent was ranked above another, and how often rightly (ties count half)."""

    better: str
    worse: str
    pairs: int
    right: float | None


@dataclass(frozen=True)
class Statistics:
    """What `discovery data show` says. `None` where the true returns are not known.

    Attributes:
      rows: comparisons.
      responses: K.
      steps: T.
      mean_length: steps or tokens in a response, on average.
      winners: returns of the first of each row.
      losers: returns of the last.
      right: share of all pairs (two responses of one row) that are ranked by their true
        returns; ties count half.
      expected_right: what `right` should be on average, from the recipe's judge.
      meetings: who was ranked above whom.
    """

    rows: int
    responses: int
    steps: int
    mean_length: float
    winners: Returns | None
    losers: Returns | None
    right: float | None
    expected_right: float | None
    meetings: tuple[Meeting, ...]


def statistics(dataset: Dataset) -> Statistics:
    """Return what a dataset is like; reads no steps, only what is known of each response."""
    reward, recipe = dataset.reward, dataset.about.recipe
    return Statistics(
        rows=len(dataset),
        responses=dataset.responses,
        steps=dataset.steps,
        mean_length=float(np.mean(dataset.length)),
        winners=None if reward is None else Returns.of(reward[:, 0]),
        losers=None if reward is None else Returns.of(reward[:, -1]),
        right=None if reward is None else float(np.mean(rightness(*pairs(reward)))),
        expected_right=None if reward is None or recipe is None else _expected(recipe, reward),
        meetings=tuple(_meetings(dataset)),
    )


def pairs(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values [N, K] of all pairs, those ranked better and those ranked worse."""
    places = np.array(list(itertools.combinations(range(values.shape[1]), 2)))
    return values[:, places[:, 0]].reshape(-1), values[:, places[:, 1]].reshape(-1)


def rightness(better: np.ndarray, worse: np.ndarray) -> np.ndarray:
    """Return 1 where the true returns agree with the ranking, 0 where not, ½ for ties."""
    return 0.5 * (1.0 + np.sign(np.asarray(better, np.float64) - np.asarray(worse, np.float64)))


def _expected(recipe: Recipe, reward: np.ndarray) -> float:
    a, b = pairs(reward)
    return float(np.mean(recipe.judge.prefers(np.maximum(a, b), np.minimum(a, b))))


def _meetings(dataset: Dataset) -> list[Meeting]:
    if dataset.agent is None:
        return []
    names = dataset.about.agents
    better, worse = pairs(np.asarray(dataset.agent))
    right = None if dataset.reward is None else rightness(*pairs(dataset.reward))
    found = []
    for a, b in itertools.product(range(len(names)), repeat=2):
        met = (better == a) & (worse == b)
        if met.any():
            share = None if right is None else float(np.mean(right[met]))
            found.append(Meeting(names[a], names[b], int(met.sum()), share))
    return found
