"""What was measured: situations of the leaderboard, described, and what every loss earned in each.

The table ships with the package, `measured.json`; `python docs/recommend.py` makes it from the
results of the leaderboard and the recipes of its data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
from jaxtyping import Float

from discovery.evidence import statistics
from discovery.evidence.statistics import Estimate
from discovery.recommend.descriptors import DESCRIPTORS, Described

READS_REWARDS = "reward"
"""The group of losses that read true rewards, which data may not have."""


@dataclass(frozen=True, eq=False)
class Earned:
    """What a loss, or another way to train, earned in a situation.

    Attributes:
      group: what it reads: "likelihood", "pairs", "pairs and reference", "reward" or "found"; or
        "regime", where it is an algorithm by name.
      shares: of the expert's return by the same action, a mean over agents of each draw of the
        data; an agent that failed has earned nothing.
      agents: trained on each draw.
      searches: that it was found by; 0 where it was made by hand.
      point: the settings it was measured with, by their paths.
    """

    group: str
    shares: Float[np.ndarray, "draws"]
    agents: int
    searches: int = 0
    point: Mapping[str, float] = field(default_factory=dict)

    @property
    def estimate(self) -> Estimate:
        """The mean share, with an interval over draws."""
        return statistics.estimate(self.shares, ("datasets",))

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**vars(self), "shares": self.shares.tolist(), "point": dict(self.point)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Earned":
        """Return what `as_json` wrote."""
        return cls(**{**values, "shares": np.array(values["shares"], np.float64)})


@dataclass(frozen=True, eq=False)
class Measured:
    """A situation in which losses were measured.

    Attributes:
      task, fault: of the leaderboard, by name.
      about: what is wrong with the data.
      kind: of actions, "tokens" or "continuous".
      rows: comparisons of a draw.
      log_std: how actions of an imitator spread; `None` for tokens.
      draws: descriptors of each draw that was described, shape [draws, descriptors], by what
        responses were scored by.
      expert: what the expert earns, by action.
      earned: by action, then by loss.
    """

    task: str
    fault: str
    about: str
    kind: str
    rows: int
    log_std: float | None
    draws: Mapping[str, Float[np.ndarray, "draws descriptors"]]
    expert: Mapping[str, float]
    earned: Mapping[str, Mapping[str, Earned]]

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.task}: {self.fault}"

    def described(self, by: str) -> Described:
        """Return its mean over draws, as if it were somebody's dataset."""
        draws = self.draws[by]
        return Described(self.kind, self.rows, by, draws.mean(axis=0), draws, self.log_std)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            **vars(self),
            "draws": {
                by: [
                    {n: round(float(v), 4) for n, v in zip(DESCRIPTORS, one, strict=True)}
                    for one in own
                ]
                for by, own in self.draws.items()
            },
            "earned": {
                action: {name: one.as_json() for name, one in own.items()}
                for action, own in self.earned.items()
            },
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Measured":
        """Return what `as_json` wrote."""
        draws = {
            by: np.array([[one[name] for name in DESCRIPTORS] for one in own], np.float64)
            for by, own in values["draws"].items()
        }
        earned = {
            action: {name: Earned.from_json(one) for name, one in own.items()}
            for action, own in values["earned"].items()
        }
        return cls(**{**values, "draws": draws, "earned": earned})


def situations() -> tuple[Measured, ...]:
    """Return the measured situations that ship."""
    text = resources.files("discovery.recommend").joinpath("measured.json").read_text()
    return tuple(map(Measured.from_json, json.loads(text)))


def written(table: tuple[Measured, ...]) -> str:
    """Return the text of the table, a situation a line."""
    return "[\n" + ",\n".join(json.dumps(one.as_json()) for one in table) + "\n]\n"
