"""Markdown that says what it is given: text from files and users is escaped."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*\[\]<>|&~#]|(?<!\w)_|_(?!\w))")


def escaped(text: str) -> str:
    """Return the text as Markdown that is shown as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return the text as code on a line; it may stand in a table."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence, edge = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{edge}{' '.join(text.split())}{edge}{fence}".replace("|", "\\|")


def figure(caption: str, path: str) -> str:
    """Return a picture; `path` is from where the text is."""
    return f"![{escaped(caption)}](<{path}>)"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns and cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def fenced(text: str, language: str = "") -> str:
    """Return a block of code, with a fence that is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
