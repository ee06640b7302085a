"""How much is measured: enough to trust the figures, a glance, or what an accelerator is for."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The sizes of all parts, small enough for a machine with two cores.

    Attributes:
      task: where agents act.
      horizon: steps of a response; `None` for the task's own.
      synthetic: whether random arrays stand for a dataset of trajectories: what they hold
        changes no time. Token sequences are made in no time.
      rows: comparisons in it.
      segment: steps that a comparison is cut into, if it is longer.
      batch: pairs of segments in an update.
      updates: of an agent, where training alone is measured.
      agents: trained side by side there,
      objectives: under each of these names of `training.OBJECTIVES`.
      rollouts: lengths of the leading axes (agents, episodes) or (episodes,) where acting is
        measured.
      measured: agents, and episodes of each, where measuring them is compared.
      steps: of the episodes in both.
      population: members of a generation, which two probes join.
      generations: measured whole.
      training: updates of an agent in them.
      episodes: that measure an agent in them.
      populations: of which growth is measured.
      row_counts: likewise.
      processes: populations and rows of those whose memory is measured.
      rounds: in which candidates take turns.
    """

    task: str = "hopper"
    horizon: int | None = None
    synthetic: bool = False
    rows: int = 256
    segment: int = 50
    batch: int = 32
    updates: int = 100
    agents: int = 16
    objectives: tuple[str, ...] = ("orpo", "mpo of basis potentials", "mpo of 126 units")
    rollouts: tuple[tuple[int, ...], ...] = ((1024,), (16, 64))
    measured: tuple[int, int] = (16, 64)
    steps: int = 100
    population: int = 8
    generations: int = 3
    training: int = 500
    episodes: int = 8
    populations: tuple[int, ...] = (1, 4, 16, 64, 256)
    row_counts: tuple[int, ...] = (64, 256, 1024)
    processes: tuple[tuple[int, int], ...] = ((4, 64), (64, 64), (4, 1024))
    rounds: int = 5

    def on(self, platform: str) -> "Setting":
        """Return the sizes that fill a device of this platform."""
        return dataclasses.replace(self, **FILLING) if platform in ACCELERATORS else self

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Setting":
        """Return what `as_json` wrote."""
        fixed: dict[str, Any] = {name: _fixed(value) for name, value in values.items()}
        return cls(**fixed)


ACCELERATORS = ("gpu", "tpu")

FILLING: Mapping[str, Any] = MappingProxyType(
    {
        "agents": 256,
        "rollouts": ((16_384,), (256, 64)),
        "measured": (256, 64),
        "population": 256,
        "row_counts": (256, 1024, 5120),
        "processes": ((4, 256), (256, 256), (4, 5120)),
    }
)
"""Sizes at which an accelerator has enough to do."""

QUICK: Mapping[str, Any] = MappingProxyType(
    {
        "synthetic": True,
        "rows": 64,
        "updates": 20,
        "agents": 8,
        "objectives": ("orpo",),
        "rollouts": ((256,),),
        "measured": (4, 16),
        "population": 4,
        "generations": 2,
        "training": 100,
        "episodes": 4,
        "populations": (1, 16, 256),
        "row_counts": (64, 256),
        "processes": ((4, 64), (16, 64), (4, 256)),
        "rounds": 3,
    }
)
"""Sizes for a glance."""


def _fixed(value: Any) -> Any:
    """Return the tuples that JSON made lists of."""
    return tuple(map(_fixed, value)) if isinstance(value, list) else value
