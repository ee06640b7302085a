"""Closed forms in a report: those that were found for a run's objective, if any were."""

from collections.abc import Iterator
from pathlib import Path


def parts(folder: Path) -> Iterator[str]:
    """Return blocks of Markdown; none, if no closed form is in the folder."""
    yield from ()
