"""`discovery list`: everything that has a name."""

import inspect
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from discovery.cli.output import JSON, show_json, show_table
from discovery.host.remembered import remembered

if TYPE_CHECKING:
    import mpo

Names = Mapping[str, Mapping[str, str]]
"""A line about everything that has a name, by name, under titles."""


def show(
    family: bool = typer.Option(
        False, "--family", help="List which point of the wide family each loss is, alone."
    ),
    as_json: bool = JSON,
) -> None:
    """List presets, tasks, kinds of data, algorithms, objectives, potentials and strategies."""
    found = _points if family else _names
    # A registry that is loaded may hold what is not this package's.
    loaded = "mpo.registering" in sys.modules
    _show(found() if loaded else remembered(found.__name__.strip("_"), found), as_json)


def _points() -> Names:
    """Return which point of the family each loss is."""
    from discovery.cli.family import said

    return {"points of the wide family": said()}


def _names() -> Names:
    """Return everything else."""
    import envs
    import mpo
    from discovery import algorithms, config
    from discovery.search.strategies import STRATEGIES
    from envs.data import KINDS

    return {
        "presets": config.presets(),
        "tasks": dict(envs.tasks()),
        "dataset kinds": {name: kind.summary for name, kind in KINDS.items()},
        "algorithms": algorithms.names(),
        "objectives": {name: _first_line(kind) for name, kind in mpo.OBJECTIVES.items()},
        "objectives found": {name: _origin(about) for name, about in mpo.shipped().items()},
        "potentials": {name: _first_line(kind) for name, kind in mpo.POTENTIALS.items()},
        "strategies": {name: entry.about for name, entry in STRATEGIES.items()},
    }


def _show(found: Names, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    for title, entries in found.items():
        if not entries:
            continue
        show_table(title, ("name", "what it is"), list(entries.items()))
        print()


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]


def _origin(about: "mpo.Provenance") -> str:
    """Say where a shipped objective was found, and what it is worth there."""
    where = f"{about.task}, {', '.join(str(recipe['kind']) for recipe in about.data)} data"
    if "worth" not in about.extra:
        return where
    from discovery.evidence import Table

    other, own = Table.from_json(about.extra["worth"]).rows
    return (
        f"{where}: {own.mean}, where {other.name} {other.note} earned {other.mean} "
        f"({own.mean.seeds} seeds)"
    )
