"""A table over seeds: means, and paired differences to the first objective."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from discovery.evidence import markdown, statistics
from discovery.evidence.returns import Returns
from discovery.evidence.statistics import Difference, Mean, number, signed
from mpo.log import numbers, strict


@dataclass(frozen=True)
class Row:
    """An objective of the table.

    Attributes:
      name: of the objective.
      mean: of the returns over the seeds of the objective.
      gap: how much more it earns than the first; `None` for the first.
      note: what is to be known of it, such as "tuned".
    """

    name: str
    mean: Mean
    gap: Difference | None
    note: str = ""

    def whole(self, first: "Row") -> bool:
        """Return whether no agent failed: if one did, the pairs left are no fair sample."""
        return self.gap is not None and not self.mean.failed and not first.mean.failed


@dataclass(frozen=True)
class Table:
    """Objectives over the same seeds, and levels to read them against.

    Attributes:
      rows: the objectives; differences are to the first.
      levels: returns by name, such as those of the agents that made the data.
    """

    rows: tuple[Row, ...]
    levels: Mapping[str, float]

    @classmethod
    def of(
        cls,
        returns: Returns,
        levels: Mapping[str, float] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> "Table":
        """Return the table of these returns."""
        first, *_ = returns
        rows = tuple(
            Row(
                name,
                statistics.mean(own),
                None if name == first else statistics.difference(own, returns[first]),
                (notes or {}).get(name, ""),
            )
            for name, own in returns.items()
        )
        return cls(rows, dict(levels or {}))

    def columns(self) -> tuple[str, ...]:
        """Return the titles of the columns."""
        first = self.rows[0].name
        return ("objective", "settings", "mean return", f"more than {first}", "95 %", "p")

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Return the texts of each row, the levels last."""
        for row in self.rows:
            gap = row.gap
            texts = ("", "", "")
            if gap is not None and row.whole(self.rows[0]):
                interval = f"{number(gap.low)} to {number(gap.high)}"
                texts = (signed(gap.mean), interval, f"{gap.p:.1e}")
            elif gap is not None and math.isfinite(gap.mean):
                texts = (f"{signed(gap.mean)} where both did not fail", "", "")
            yield (row.name, row.note, str(row.mean), *texts)
        for name, value in self.levels.items():
            yield (name, "", number(value), "", "", "")

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = (map(markdown.escaped, line) for line in self.cells())
        return markdown.table([*map(markdown.escaped, self.columns())], [[*row] for row in rows])

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain JSON values; a number that is not finite is null."""
        rows = [asdict(row) for row in self.rows]
        return {"rows": strict(rows), "levels": dict(self.levels)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Table":
        """Return the table that `as_json` gave these values of."""
        rows = tuple(
            Row(
                name=held["name"],
                mean=Mean(**numbers(held["mean"])),
                gap=None if held["gap"] is None else Difference(**numbers(held["gap"])),
                note=held["note"],
            )
            for held in values["rows"]
        )
        return cls(rows, dict(values["levels"]))
