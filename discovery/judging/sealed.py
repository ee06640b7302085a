"""Sealed situations: what no search, tuning or evaluation here has used, from a seed of their own.

How much is wrong with the data and every draw of them come from the number of the set; agents and
data from the streams of a purpose of its own. Settings are tuned on the leaderboard's faults, and
never see those that a loss is judged by.
"""

import dataclasses
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from discovery import config
from discovery.config import Config
from discovery.config.sections import FRESH, SEEDS, SFT, STANDARD, Section, Settings
from discovery.leaderboard.board import board
from mpo import treefile
from mpo.errors import unknown
from mpo.settings import count

VERSION: Final = 1
"""Of the set; raised when any situation, size or way to train changes."""

TASKS: Final = ("token_bandit", "hopper")

PUBLIC: Final = ("shuffled", "scarce", "noisy 0.2", "poor judge")
"""Faults of the leaderboard that settings are tuned on, all of them together."""

DRAWS, AGENTS, TRIED = 8, 4, 2
"""Draws of the data of a sealed situation, agents on each of them, and agents of each point of a
tuning on each public fault."""


@dataclass(frozen=True, kw_only=True)
class SealedSet(Section):
    """A task, what settings are tuned on, and what a loss is judged by.

    Attributes:
      version: number of the set.
      task: name of the task.
      preset: that says how its agents are trained, or the path of such a file.
      public: settings of the data that settings are tuned on, by the name of the fault.
      situations: settings of the data that losses are judged by, by name; `seeds` are its draws.
      agents: trained on each draw.
      tried: agents of each point of a tuning, on each public fault.
      episodes: that measure each agent.
    """

    version: int = count(VERSION)
    task: str
    preset: str
    public: Settings
    situations: Settings
    agents: int = count(AGENTS)
    tried: int = count(TRIED)
    episodes: int = count(32)

    def tuning(self) -> Config:
        """Return what settings are tuned on: the public faults, a dataset each."""
        return self._config(self.public.values())

    def situation(self, name: str) -> Config:
        """Return a sealed situation, with all draws of its data."""
        settings = dict(self.situations[name])
        seeds = settings.pop("seeds")
        return self._config([{**settings, "seed": seed} for seed in seeds])

    def as_json(self) -> dict[str, Any]:
        """Return the set as plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @property
    def digest(self) -> str:
        """The hash that two sets share only if they are equal."""
        return treefile.digest([json.dumps(self.as_json(), sort_keys=True)])

    def _config(self, data: Iterable[Mapping[str, Any]]) -> Config:
        base = config.named(self.preset)
        start = base.training.start
        staged = SFT if start == FRESH else f"{SFT}:{start}"
        return dataclasses.replace(
            base,
            data=tuple(dataclasses.replace(base.data[0], **one) for one in data),
            training=dataclasses.replace(base.training, start=staged, rewards=STANDARD),
            seed=self.version,
        )


def sealed(task: str) -> SealedSet:
    """Return the sealed set of a task.

    Raises:
      RequestError: the task has none.
    """
    grounds = {ground.name: ground for ground in board().grounds if ground.name in TASKS}
    if task not in grounds:
        raise unknown("task to be judged on", task, grounds)
    ground = grounds[task]
    faults = {fault.name: dict(fault.data) for fault in board().of(ground)[1]}
    return SealedSet(
        task=task,
        preset=ground.preset,
        public={name: faults[name] for name in PUBLIC},
        situations=_situations(),
        episodes=ground.episodes,
    )


def _situations() -> dict[str, dict[str, Any]]:
    drawn = random.Random(f"sealed set {VERSION}")

    def share(low: float, high: float) -> float:
        return round(low + (high - low) * drawn.random(), 3)

    def flipped(low: float, high: float) -> dict[str, Any]:
        return {"exact": True, "flip": share(low, high)}

    found: list[dict[str, Any]] = [
        {"kind": "noisy", **flipped(0.05, 0.2)},
        {"kind": "noisy", **flipped(0.2, 0.4)},
        {"kind": "scarce", "share": share(0.15, 0.6)},
        {"kind": "noisy+shuffled", **flipped(0.05, 0.3)},
        {"kind": "noisy+scarce", "share": share(0.3, 0.7), **flipped(0.05, 0.3)},
        {"kind": "noisy+poor_judge", **flipped(0.05, 0.3)},
    ]
    return {_named(one): {**one, "seeds": drawn.sample(range(SEEDS), DRAWS)} for one in found}


def _named(settings: Mapping[str, Any]) -> str:
    """Return what a situation is called: "noisy+scarce, flip 0.119, share 0.52"."""
    numbers = [f"{name} {settings[name]:g}" for name in ("flip", "share") if name in settings]
    return ", ".join([settings["kind"].replace("_", " "), *numbers])
