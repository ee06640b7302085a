"""What a part of the benchmark hands back: rows of numbers by name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Row = Mapping[str, float]


class Skipped(Exception):
    """This part cannot be measured here; the message is the reason, in a line."""


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
      about: what the rows are, in a line.
      rows: numbers by column, by name; not every row has every column.
      notes: what is to be known beside them.
    """

    about: str
    rows: Mapping[str, Row]
    notes: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for row in self.rows.values() for name in row))

    def cells(self) -> list[tuple[str, ...]]:
        """Return the rows as text, the name first."""
        columns = self.columns()
        return [
            (name, *(number(row[column]) if column in row else "" for column in columns))
            for name, row in self.rows.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self) | {"notes": list(self.notes)}


def number(value: float) -> str:
    """Return a measured number with three digits that count, and no exponent."""
    digits = max(0, 2 - _magnitude(value))
    return f"{value:,.{digits}f}"


def _magnitude(value: float) -> int:
    """Return the exponent of the leading digit, after rounding; 0 for 0."""
    return int(f"{abs(value):.2e}".partition("e")[2]) if value else 0
