"""`discovery list`: everything that has a name."""

import inspect

import mpo
from discovery.cli.output import JSON, show_json, show_table
from mpo.objectives import OBJECTIVES
from mpo.potentials import POTENTIALS


def show(as_json: bool = JSON) -> None:
    """List presets, tasks, dataset kinds, objectives, potentials and strategies, a line each."""
    import envs
    from discovery import config
    from discovery.strategies import STRATEGIES
    from envs.data import KINDS

    found = {
        "presets": config.presets(),
        "tasks": dict(envs.tasks()),
        "dataset kinds": {name: kind.summary for name, kind in KINDS.items()},
        "objectives": {name: _first_line(kind) for name, kind in OBJECTIVES.items()},
        "objectives found": {
            name: f"{about.task}: {about.results.get('about', '')}".rstrip(": ")
            for name, about in mpo.shipped().items()
        },
        "potentials": {name: _first_line(kind) for name, kind in POTENTIALS.items()},
        "strategies": {name: entry.about for name, entry in STRATEGIES.items()},
    }
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
