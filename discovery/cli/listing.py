"""`discovery list`: everything that has a name."""

import inspect
from collections.abc import Mapping

import typer

import mpo
from discovery.cli.output import JSON, show_json, show_table
from mpo.objectives import OBJECTIVES
from mpo.potentials import POTENTIALS


def show(
    family: bool = typer.Option(
        False, "--family", help="List which point of the wide family each loss is, alone."
    ),
    as_json: bool = JSON,
) -> None:
    """List presets, tasks, kinds of data, algorithms, objectives, potentials and strategies."""
    if family:
        from discovery.cli.family import said

        _show({"points of the wide family": said()}, as_json)
        return
    import envs
    from discovery import algorithms, config
    from discovery.search.strategies import STRATEGIES
    from envs.data import KINDS

    found = {
        "presets": config.presets(),
        "tasks": dict(envs.tasks()),
        "dataset kinds": {name: kind.summary for name, kind in KINDS.items()},
        "algorithms": algorithms.names(),
        "objectives": {name: _first_line(kind) for name, kind in OBJECTIVES.items()},
        "objectives found": {name: _origin(about) for name, about in mpo.shipped().items()},
        "potentials": {name: _first_line(kind) for name, kind in POTENTIALS.items()},
        "strategies": {name: entry.about for name, entry in STRATEGIES.items()},
    }
    _show(found, as_json)


def _show(found: Mapping[str, Mapping[str, str]], as_json: bool) -> None:
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


def _origin(about: mpo.Provenance) -> str:
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
