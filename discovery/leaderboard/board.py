"""What is on the board: losses, what is wrong with the data, tasks and their sizes.

It is in `board.toml`, beside this file.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, TypeVar

from discovery import config
from discovery.config import Config
from discovery.config.sections import Section, Settings
from mpo.errors import RequestError, unknown
from mpo.settings import count


@dataclass(frozen=True, kw_only=True)
class Loss(Section):
    """A row of the board.

    Attributes:
      name: of the row.
      group: what it reads: "likelihood", "pairs", "pairs and reference", "reward" or "found".
      objective: the loss, a name that `mpo.objective` takes; `name`, if left out.
      settings: of the loss, that are not tuned.
      after_sft: whether it begins after an SFT of the same data, as losses with a reference do.
      tasks: names of the tasks that it is measured on; all of them, if there are none.
    """

    name: str
    group: str
    objective: str = ""
    settings: Settings = field(default_factory=dict)
    after_sft: bool = False
    tasks: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The name of the loss, as `mpo.objective` takes it."""
        return self.objective or self.name


@dataclass(frozen=True, kw_only=True)
class Fault(Section):
    """A column of the board: what is wrong with the data.

    Attributes:
      name: of the column.
      about: a line about it.
      data: settings of the data, on top of the preset's.
      quiet: whether every author acts with as little noise as the task's expert.
      tasks: names of the tasks that have it; all of them, if there are none.
    """

    name: str
    about: str
    data: Settings
    quiet: bool = False
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ground(Section):
    """A task, and how much is spent on a cell of it.

    Attributes:
      name: of the task.
      about: a line about it.
      preset: that says how its agents are trained, or the path of such a file.
      spread: log-std of all authors of quiet data; `None` where actions do not spread.
      points: settings of a loss that are tried in each of three boxes, a power of two.
      fresh: agents of each point that is measured again.
      draws: datasets that the best are trained on, none of which chose them.
      agents: trained on each dataset by each.
      episodes: that measure each agent.
    """

    name: str
    about: str
    preset: str
    spread: float | None = None
    points: int = count(8)
    fresh: int = count(2)
    draws: int = count(4)
    agents: int = count(4)
    episodes: int = count(16)

    def config(self, fault: Fault, seeds: range) -> Config:
        """Return the situation of a column, with a draw of its data for each seed."""
        base = config.named(self.preset)
        settings = dict(fault.data)
        if fault.quiet:
            settings["spread"] = self.spread
        data = tuple(dataclasses.replace(base.data[0], **settings, seed=seed) for seed in seeds)
        return dataclasses.replace(base, data=data)


T = TypeVar("T", Loss, Fault, Ground)


@dataclass(frozen=True, kw_only=True)
class Board:
    """The whole of it.

    Attributes:
      losses: the rows.
      faults: the columns.
      grounds: the tasks, a board each.
    """

    losses: tuple[Loss, ...]
    faults: tuple[Fault, ...]
    grounds: tuple[Ground, ...]

    def of(self, ground: Ground) -> tuple[tuple[Loss, ...], tuple[Fault, ...]]:
        """Return the rows and columns of a task."""
        losses = tuple(one for one in self.losses if not one.tasks or ground.name in one.tasks)
        faults = tuple(
            one
            for one in self.faults
            if (not one.tasks or ground.name in one.tasks)
            and (not one.quiet or ground.spread is not None)
        )
        return losses, faults

    def chosen(
        self, tasks: tuple[str, ...], losses: tuple[str, ...], faults: tuple[str, ...]
    ) -> "Board":
        """Return the board with these tasks, rows and columns; with all, where none are named."""
        return Board(
            losses=_named(self.losses, losses, "loss"),
            faults=_named(self.faults, faults, "fault"),
            grounds=_named(self.grounds, tasks, "task"),
        )


def board() -> Board:
    """Return the board that ships."""
    text = resources.files("discovery.leaderboard").joinpath("board.toml").read_text()
    return from_values(tomllib.loads(text))


def from_values(values: Mapping[str, Any]) -> Board:
    """Return the board that these plain values are."""
    return Board(
        losses=tuple(map(Loss.of, values["losses"])),
        faults=tuple(map(Fault.of, values["faults"])),
        grounds=tuple(map(Ground.of, values["grounds"])),
    )


def _named(known: tuple[T, ...], names: tuple[str, ...], what: str) -> tuple[T, ...]:
    by_name = {one.name: one for one in known}
    if len(by_name) != len(known):
        raise RequestError(f"two of the leaderboard have one name: a {what}")
    for name in names:
        if name not in by_name:
            raise unknown(f"{what} of the leaderboard", name, by_name)
    return tuple(one for name, one in by_name.items() if not names or name in names)
