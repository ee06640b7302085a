"""From what a dataset is like to what to train with, and how far the evidence reaches.

Situations are compared by descriptors in units of their spread over all measured situations of the
same kind of action. A dataset is near what its resamples are nearest to. What is recommended are
the losses whose intervals overlap that of the best in all situations it is near; and where it is
further from every one than any of these is from its neighbour, nothing like it was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from discovery.config.sections import SAMPLED
from discovery.evidence import statistics
from discovery.evidence.statistics import Estimate
from discovery.recommend.descriptors import Described
from discovery.recommend.situations import READS_REWARDS, Earned, Measured
from mpo.errors import RequestError

REGIME = "regime"
"""The group of what is not a loss alone but a way to train, an algorithm by name."""
_RARE, _MOST = 0.05, 0.95
_LEAST_SPREAD = 0.02


@dataclass(frozen=True, eq=False)
class Near:
    """A measured situation beside a dataset.

    Attributes:
      situation: it.
      distance: root mean square of the differences of descriptors, each in units of its spread
        over situations.
      often: share of the dataset's resamples that are nearest to it.
    """

    situation: Measured
    distance: float
    often: float


@dataclass(frozen=True, eq=False)
class Choice:
    """A loss in the situations that a dataset is near.

    Attributes:
      name: of the loss.
      share: of the expert's return, a mean over these situations by how often each is nearest.
      earned: what it earned in the nearest.
      recommended: whether its interval overlaps that of the best in all of them; where no loss
        does, the one with the best mean is.
    """

    name: str
    share: float
    earned: Earned
    recommended: bool


@dataclass(frozen=True, eq=False)
class Advice:
    """What to train with.

    Attributes:
      near: all measured situations of the kind, the nearest first.
      reach: the distance beyond which nothing like the data was measured: the furthest that one
        of these situations is from its own neighbour.
      within: the distance that the luck of which rows there are explains, here and there: √2
        times that of 95 % of resamples from the data. What models are fitted anew adds to it.
      action: by which agents were measured, "sampled" or "mean".
      choices: losses that were measured in all situations the data are near, the best first.
      margin: how much more of the expert's return the best earns than the first that is not
        recommended, in the nearest situation, paired by draw; `None` if all are recommended.
      over: the name of that loss.
      regimes: other ways to train that were measured in the nearest situation.
    """

    near: tuple[Near, ...]
    reach: float
    within: float
    action: str
    choices: tuple[Choice, ...]
    margin: Estimate | None
    over: str | None
    regimes: Mapping[str, Earned]

    @property
    def nearest(self) -> Near:
        """The nearest situation."""
        return self.near[0]

    @property
    def like_any(self) -> bool:
        """Whether anything like the data was measured."""
        return self.nearest.distance <= self.reach

    @property
    def considered(self) -> tuple[Near, ...]:
        """The situations that the data are near."""
        return tuple(one for one in self.near if one is self.near[0] or one.often >= _RARE)

    @property
    def recommended(self) -> tuple[Choice, ...]:
        """The losses that are recommended, the best first."""
        return tuple(one for one in self.choices if one.recommended)

    @property
    def better_regimes(self) -> tuple[str, ...]:
        """Names of the regimes that earn more than the best loss, by an interval above nothing."""
        best = self.choices[0].earned
        gaps = {name: _gap(own, best) for name, own in self.regimes.items()}
        return tuple(name for name, gap in gaps.items() if gap.low > 0)


def advise(
    described: Described,
    table: Sequence[Measured],
    action: str = SAMPLED,
    *,
    rewards: bool = False,
) -> Advice:
    """Return what to train with on data that are like this.

    Args:
      described: the data.
      table: measured situations.
      action: by which agents are to be good, "sampled" or "mean".
      rewards: whether losses may be recommended that read true rewards.

    Raises:
      RequestError: nothing was measured with actions of this kind, measured so.
    """
    known = [one for one in table if one.kind == described.kind and one.earned.get(action)]
    if len(known) < 2:
        raise RequestError(
            f"too little was measured with {described.kind} by the action {action!r} to compare "
            "with: tokens have the action 'sampled' alone; docs/recommend.md has what was measured"
        )
    near = _near(described, known)
    considered = [one for one in near if one is near[0] or one.often >= _RARE]
    choices = _choices(considered, action, rewards)
    nearest = near[0].situation.earned[action]
    worse = next((one for one in choices if not one.recommended), None)
    return Advice(
        near=near,
        reach=max(_apart(known, described.scored_by)),
        within=_within(described, known),
        action=action,
        choices=choices,
        margin=None if worse is None else _gap(choices[0].earned, worse.earned),
        over=None if worse is None else worse.name,
        regimes={name: own for name, own in nearest.items() if own.group == REGIME},
    )


def _near(described: Described, known: Sequence[Measured]) -> tuple[Near, ...]:
    by = described.scored_by
    means = _means(known, by)
    spread = _spread(known, by)
    distances = _distances(described.numbers, means, spread)
    nearest = np.argmin(_distances(described.resamples, means, spread), axis=-1)
    often = np.bincount(nearest, minlength=len(known)) / len(nearest)
    order = np.argsort(distances, kind="stable")
    return tuple(Near(known[at], float(distances[at]), float(often[at])) for at in order)


def _choices(near: Sequence[Near], action: str, rewards: bool) -> tuple[Choice, ...]:
    earned = [one.situation.earned[action] for one in near]
    weights = np.array([max(one.often, _RARE) for one in near])
    names = [
        name
        for name, own in earned[0].items()
        if own.group != REGIME
        and (rewards or own.group != READS_REWARDS)
        and all(name in other for other in earned)
    ]
    shares = {
        name: float(np.average([own[name].shares.mean() for own in earned], weights=weights))
        for name in names
    }
    kept = set(names)
    for own in earned:
        best = max((own[name] for name in names), key=lambda one: float(one.shares.mean()))
        kept &= {name for name in names if own[name].estimate.high >= best.estimate.low}
    order = sorted(names, key=lambda name: (name not in kept, -shares[name]))
    kept = kept or {order[0]}
    return tuple(Choice(name, shares[name], earned[0][name], name in kept) for name in order)


def _means(known: Sequence[Measured], by: str) -> Float[np.ndarray, "situations descriptors"]:
    return np.stack([one.draws[by].mean(axis=0) for one in known])


def _spread(known: Sequence[Measured], by: str) -> Float[np.ndarray, "descriptors"]:
    return np.maximum(np.std(_means(known, by), axis=0), _LEAST_SPREAD)


def _distances(
    numbers: Float[np.ndarray, "*some descriptors"],
    means: Float[np.ndarray, "situations descriptors"],
    spread: Float[np.ndarray, "descriptors"],
) -> Float[np.ndarray, "*some situations"]:
    gaps = (numbers[..., None, :] - means) / spread
    return np.sqrt(np.mean(np.square(gaps), axis=-1))


def _apart(known: Sequence[Measured], by: str) -> list[float]:
    """Return how far each situation is from its nearest neighbour."""
    means = _means(known, by)
    between = _distances(means, means, _spread(known, by))
    np.fill_diagonal(between, np.inf)
    return between.min(axis=-1).tolist()


def _within(described: Described, known: Sequence[Measured]) -> float:
    spread = _spread(known, described.scored_by)
    moved = _distances(described.resamples, described.numbers[None], spread)
    return float(np.sqrt(2) * np.quantile(moved, _MOST))


def _gap(one: Earned, other: Earned) -> Estimate:
    return statistics.estimate(one.shares - other.shares, ("datasets",))
