"""What was asked, in a table: a line for each section of a description."""

from collections.abc import Iterator, Mapping
from typing import Any

from discovery import markdown

SECTIONS = {
    "task": "task",
    "data": "data",
    "training": "agents",
    "family": "searched",
    "search": "search",
    "evaluation": "evaluation",
}
"""Sections of a description, and what the table calls them."""


def asked(description: Mapping[str, Any]) -> str:
    """Return the sections that a description has, as plain JSON values, in a Markdown table."""
    return markdown.table(("part", "as asked"), list(_rows(description)))


def _rows(description: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for section, name in SECTIONS.items():
        values = description.get(section)
        tables = values if isinstance(values, list) else [values]
        for number, table in enumerate(tables, 1):
            if isinstance(table, Mapping):
                yield name if len(tables) == 1 else f"{name} {number}", _words(table)


def _words(values: Mapping[str, Any]) -> str:
    """Return settings as a list of words, without those that were left out."""
    said = {name: value for name, value in values.items() if value is not None and value != {}}
    return ", ".join(f"{markdown.escaped(name)} {_word(value)}" for name, value in said.items())


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_words(value)})"
    if isinstance(value, list):
        return " ".join(map(_word, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return markdown.escaped(f"{value:g}" if isinstance(value, float) else str(value))
