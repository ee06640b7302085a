"""The benchmark as a whole: its parts by name, measured one after another.

    report = measure(["train", "generation"], Setting(task="hopper"))

A part is a function of a `Workload` to a `Table`, and a line in `PARTS`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks import (
    acting,
    chunked,
    forward_only,
    generations,
    processes,
    pytorch,
    regimes,
    slopes,
    training,
)
from benchmarks.measuring import Machine, Skipped, Table, machine
from benchmarks.workload import ACCELERATORS, Setting, Workload
from mpo.errors import unknown

SCHEMA = 1

Say = Callable[[str], None]


class Part(NamedTuple):
    """A part of the benchmark.

    Attributes:
      measure: the function that measures it.
      quick: whether it belongs to a glance.
      always: whether it is measured on any platform, unless parts are named.
    """

    measure: Callable[[Workload], Table]
    quick: bool = True
    always: bool = True


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "train": Part(training.rates),
        "ways": Part(training.ways, quick=False),
        "rollouts": Part(acting.rollouts, quick=False),
        "regimes": Part(regimes.rates, quick=False),
        "slopes": Part(slopes.memory, quick=False),
        "generation": Part(generations.split),
        "growth": Part(training.growth, quick=False),
        "torch": Part(pytorch.beside),
        "forward_only": Part(forward_only.memory, quick=False, always=False),
        "chunked": Part(chunked.memory, quick=False, always=False),
        "evosax": Part(acting.beside_evosax, quick=False),
        "compile": Part(processes.start_up, quick=False),
        "memory": Part(processes.memory, quick=False),
        "paper": Part(generations.paper, quick=False, always=False),
    }
)


@dataclass(frozen=True)
class Report:
    """All that was measured in one run.

    Attributes:
      machine: what it was measured on.
      setting: the sizes.
      tables: what was measured, by part.
      skipped: why parts could not be measured here.
      seconds: that the benchmark took.
    """

    machine: Machine
    setting: Setting
    tables: Mapping[str, Table]
    skipped: Mapping[str, str]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "schema": SCHEMA,
            "machine": {"line": str(self.machine), **self.machine.as_json()},
            "setting": self.setting.as_json(),
            "parts": {name: table.as_json() for name, table in self.tables.items()},
            "skipped": dict(self.skipped),
            "seconds": self.seconds,
        }


def chosen(names: Sequence[str], platform: str, *, quick: bool, paper: bool) -> tuple[str, ...]:
    """Return the parts to measure, in their order: those named, or those that fit.

    Raises:
      RequestError: there is no part of a name.
    """
    for name in names:
        if name not in PARTS:
            raise unknown("part of the benchmark", name, PARTS)
    if not names:
        names = [n for n, p in PARTS.items() if p.always and (p.quick or not quick)]
        paper = paper or (platform in ACCELERATORS and not quick)
    wanted = {*names, "paper"} if paper else set(names)
    return tuple(name for name in PARTS if name in wanted)


def measure(parts: Sequence[str], setting: Setting, say: Say = lambda line: None) -> Report:
    """Measure these parts; one that cannot be measured here is skipped with its reason."""
    where, work = machine(), Workload(setting)
    tables, skipped = {}, {}
    begin = time.perf_counter()
    for name in parts:
        say(f"{time.perf_counter() - begin:4.0f} s: {name}")
        try:
            tables[name] = PARTS[name].measure(work)
        except Skipped as reason:
            skipped[name] = str(reason)
    return Report(where, setting, tables, skipped, time.perf_counter() - begin)
