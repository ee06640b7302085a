"""Discover a loss, train agents under it, and say what it is worth.

    import discovery

    discovery.start()                                             # a device for each core
    described = discovery.describe("quick", {"data.kind": "noisy"})
    result = discovery.discover(described, "runs/mine")           # or load("runs/mine")

    ground = discovery.prepare(described)                         # the data, on the devices
    params, metrics = discovery.train("dpo", ground)
    returns = discovery.evaluate(["orpo", "runs/mine"], ground, seeds=8)
    print(discovery.Table.of(returns).markdown())

Nothing is imported before it is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from discovery.config import Config, presets
    from discovery.evidence.figures import search_curve, seeds_chart
    from discovery.evidence.landscape import Grid, draw, landscape
    from discovery.evidence.statistics import mean
    from discovery.evidence.table import Table
    from discovery.front import (
        algorithm,
        authors,
        dataset,
        describe,
        earn,
        evaluate,
        load,
        prepare,
        record,
        start,
        train,
        tune,
    )
    from discovery.report import verdict
    from discovery.runs.discover import discover

_WHERE: Final = {
    "Config": "config",
    "presets": "config",
    "describe": "front",
    "start": "front",
    "prepare": "front",
    "dataset": "front",
    "authors": "front",
    "algorithm": "front",
    "train": "front",
    "earn": "front",
    "tune": "front",
    "evaluate": "front",
    "record": "front",
    "load": "front",
    "discover": "runs.discover",
    "verdict": "report",
    "Table": "evidence.table",
    "mean": "evidence.statistics",
    "Grid": "evidence.landscape",
    "draw": "evidence.landscape",
    "landscape": "evidence.landscape",
    "search_curve": "evidence.figures",
    "seeds_chart": "evidence.figures",
}

__all__ = [
    "Config",
    "Grid",
    "Table",
    "algorithm",
    "authors",
    "dataset",
    "describe",
    "discover",
    "draw",
    "earn",
    "evaluate",
    "landscape",
    "load",
    "mean",
    "prepare",
    "presets",
    "record",
    "search_curve",
    "seeds_chart",
    "start",
    "train",
    "tune",
    "verdict",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
