"""What a line of a search's log is, told from what damage made of it."""

from typing import Final

from mpo.log import Line

NUMBERS: Final = (
    "mean", "best", "worst", "spread", "middle", "start", "not_finite", "distance",
)  # fmt: skip
"""Of a generation; null where one is not finite."""


def of_a_generation(line: Line) -> bool:
    """Return whether a line of the log is one of a generation."""
    return (
        type(line.get("generation")) is int
        and _number(line.get("seconds"))
        and all(name in line and (line[name] is None or _number(line[name])) for name in NUMBERS)
        and isinstance(line.get("split"), dict)
        and all(_number(seconds) for seconds in line["split"].values())
    )


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
