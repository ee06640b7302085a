"""Discover a loss, train agents under it, and say what it is worth.

    import discovery

    discovery.start()                                             # a device for each core
    described = discovery.describe("quick", {"data.kind": "noisy"})
    result = discovery.discover(described, "runs/mine")           # or load("runs/mine")

    ground = discovery.prepare(described)                         # the data, on the devices
    params, metrics = discovery.train("dpo", ground)
    returns = discovery.evaluate(["orpo", "runs/mine"], ground, seeds=8)
    print(discovery.Table.of(returns).markdown())

Nothing is imported before it is asked for; `discovery.__all__` has the names.
"""

from typing import Any, Final

from mpo import lazy

_WHERE: Final = {
    "Config": "discovery.config",
    "Grid": "discovery.evidence.landscape",
    "Table": "discovery.evidence.table",
    "algorithm": "discovery.front",
    "authors": "discovery.front",
    "dataset": "discovery.front",
    "describe": "discovery.front",
    "discover": "discovery.runs.discover",
    "draw": "discovery.evidence.landscape",
    "draw_front": "discovery.closed_form.figure:draw",
    "earn": "discovery.front",
    "evaluate": "discovery.front",
    "fit": "discovery.closed_form.fitting",
    "landscape": "discovery.evidence.landscape",
    "load": "discovery.front",
    "markdown_table": "discovery.evidence.markdown:table",
    "mean": "discovery.evidence.statistics",
    "prepare": "discovery.front",
    "presets": "discovery.config",
    "record": "discovery.front",
    "search_curve": "discovery.evidence.figures",
    "seeds_chart": "discovery.evidence.figures",
    "start": "discovery.front",
    "train": "discovery.front",
    "tune": "discovery.front",
    "verdict": "discovery.report",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, _WHERE, name)
