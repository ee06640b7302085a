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

import importlib
from typing import Any, Final

_WHERE: Final = {
    "Config": "config:Config",
    "Grid": "evidence.landscape:Grid",
    "Table": "evidence.table:Table",
    "algorithm": "front:algorithm",
    "authors": "front:authors",
    "dataset": "front:dataset",
    "describe": "front:describe",
    "discover": "runs.discover:discover",
    "draw": "evidence.landscape:draw",
    "draw_front": "closed_form.figure:draw",
    "earn": "front:earn",
    "evaluate": "front:evaluate",
    "fit": "closed_form.fitting:fit",
    "landscape": "evidence.landscape:landscape",
    "load": "front:load",
    "markdown_table": "evidence.markdown:table",
    "mean": "evidence.statistics:mean",
    "prepare": "front:prepare",
    "presets": "config:presets",
    "record": "front:record",
    "search_curve": "evidence.figures:search_curve",
    "seeds_chart": "evidence.figures:seeds_chart",
    "start": "front:start",
    "train": "front:train",
    "tune": "front:tune",
    "verdict": "report:verdict",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _WHERE[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
