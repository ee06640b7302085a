"""What a line of a search's log is, told from what damage made of it."""

from typing import Final

from mpo.log import Line, is_number

NUMBERS: Final = (
    "mean", "best", "worst", "spread", "middle", "start", "not_finite", "distance",
)  # fmt: skip
"""Of a generation; null where one is not finite."""


def of_a_generation(line: Line) -> bool:
    """Return whether a line of the log is one of a generation."""
    return (
        type(line.get("generation")) is int
        and is_number(line.get("seconds"))
        and all(name in line and (line[name] is None or is_number(line[name])) for name in NUMBERS)
        and isinstance(line.get("split"), dict)
        and all(is_number(seconds) for seconds in line["split"].values())
    )
