"""What is asked of a table or figure: its rows, at which scale, over how many seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.config import Config
from discovery.config.scales import Scale, scale
from discovery.evidence import Tuned, contestants
from discovery.evidence.evaluation import Evaluation
from discovery.paper.exhibit import Exhibit, Row
from discovery.report import Page
from discovery.search import situation
from mpo.errors import RequestError
from mpo.log import Say


@dataclass(frozen=True)
class Request:
    """A table or figure to make.

    Attributes:
      exhibit: the table or figure.
      scale: a name of `discovery.config.scales.SCALES`.
      seeds: agents for each objective; as many as in the row's preset, if `None`.
      episodes: that measure each agent; as many as in the row's preset, if `None`.
      only: names of rows; all of them, if there are none.
      changes: settings on top of every row's, such as `{"data.rows": 64}`.
      tune: whether to tune the hand-made objectives of every row of a table on its own data.
      command: the command line that asked, for the record.
    """

    exhibit: Exhibit
    scale: str = "small"
    seeds: int | None = None
    episodes: int | None = None
    only: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    tune: bool = False
    command: str | None = None

    @property
    def size(self) -> Scale:
        """The size of evaluations that the name `scale` stands for."""
        return scale(self.scale)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows that are to be made."""
        return self.exhibit.chosen(self.only)

    def config(self, row: Row) -> Config:
        """Return the situation of a row."""
        return row.config(self.size, self.changes)

    def evaluation(self, row: Row, tuned: Mapping[str, Tuned] | None = None) -> Evaluation | None:
        """Return what is to be evaluated for a row; `None`, if none of its objectives ships.

        Args:
          row: of the table.
          tuned: settings of its objectives that were tuned on its data, by name.
        """
        names = [name for name in row.objectives.values() if name not in row.missing]
        if not names:
            return None
        described = self.config(row)
        return Evaluation(
            config=described,
            contestants=contestants(names, described, tuned or {}),
            notes={name: "tuned" for name in tuned or {} if name in names},
            seeds=described.evaluation.seeds if self.seeds is None else self.seeds,
            episodes=described.evaluation.episodes if self.episodes is None else self.episodes,
            command=self.command,
        )

    def check(self, least_seeds: int, say: Say = lambda text: None) -> None:
        """Refuse what cannot be made, before anything is; of many rows that takes seconds."""
        if self.seeds is not None and self.seeds < least_seeds:
            raise RequestError(f"seeds is {self.seeds}: it must be at least {least_seeds}")
        if self.episodes is not None and self.episodes < 1:
            raise RequestError(f"episodes is {self.episodes}: it must be at least 1")
        for number, row in enumerate(self.rows):
            if number == 1:
                say(f"{self.exhibit.about}; {len(self.rows)} rows")
            situation.check(self.config(row))


@dataclass(frozen=True)
class Made:
    """What came of a request.

    Attributes:
      page: the table or figure as far as it is known.
      rows: its rows as plain JSON values.
    """

    page: Page
    rows: Sequence[Mapping[str, Any]]


def check_place(out: Path) -> None:
    """Refuse a folder that is a run's, a training's or an evaluation's: their results are there."""
    for name in ("config.json", "request.json", "evaluation.json"):
        if (out / name).exists():
            raise RequestError(f"{out / name} is no table's or figure's: choose another folder")
