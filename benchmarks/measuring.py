"""Calls timed in turns, tables of what they took, and the machine that took it."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from mpo.train.population import Population
from mpo.versions import versions

Call = Callable[[], float]
"""Does something once, and returns the seconds that it took."""


@dataclass(frozen=True)
class Timing:
    """Seconds of a call.

    Attributes:
      compile: how much longer than the fastest the first call took, which compiled it.
      best: of the fastest round.
      median: of the median round.
    """

    compile: float
    best: float
    median: float


def timed(function: Callable[..., Any], *arguments: Any) -> Call:
    """Return the call of `function` that waits for its results, on whatever device they are."""

    def call() -> float:
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        return time.perf_counter() - start

    return call


def turns(calls: Mapping[str, Call], rounds: int) -> dict[str, Timing]:
    """Time every call in turn, round by round, after one call of each that does not count.

    Taking turns lets all of them see the same disturbances; the fastest round of each is
    what it costs where nothing disturbs it.
    """
    first = {name: call() for name, call in calls.items()}
    seconds = [{name: call() for name, call in calls.items()} for _ in range(rounds)]
    timings = {}
    for name in calls:
        taken = [one[name] for one in seconds]
        best = float(np.min(taken))
        timings[name] = Timing(max(first[name] - best, 0.0), best, float(np.median(taken)))
    return timings


def compare(
    candidates: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], rounds: int = 40
) -> dict[str, Timing]:
    """Compile every candidate `(function, arguments)`, and time them in turns.

    A `Population` is there already, a program for each device.
    """
    calls = {
        name: timed(one if isinstance(one, Population) else jax.jit(one), *arguments)
        for name, (one, arguments) in candidates.items()
    }
    return turns(calls, rounds)


Row = Mapping[str, float]


class Skipped(Exception):
    """This part cannot be measured here; the message is the reason, in a line."""


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
      about: what the rows are, in a line.
      rows: numbers by column, by name; not every row has every column.
      notes: what is to be known beside them.
    """

    about: str
    rows: Mapping[str, Row]
    notes: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Return the names of all columns, in the order in which they first appear."""
        return tuple(dict.fromkeys(name for row in self.rows.values() for name in row))

    def cells(self) -> list[tuple[str, ...]]:
        """Return the rows as text, the name first."""
        columns = self.columns()
        return [
            (name, *(number(row[column]) if column in row else "" for column in columns))
            for name, row in self.rows.items()
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self) | {"notes": list(self.notes)}


def number(value: float) -> str:
    """Return a measured number with three digits that count, and no exponent."""
    digits = max(0, 2 - _magnitude(value))
    return f"{value:,.{digits}f}"


def _magnitude(value: float) -> int:
    """Return the exponent of the leading digit, after rounding; 0 for 0."""
    return int(f"{abs(value):.2e}".partition("e")[2]) if value else 0


def child(on_top: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the environment of a process that imports what this one does, with `on_top` in it."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **on_top}


PACKAGES = ("jax", "jaxlib", "brax", "evosax", "optax", "numpy", "torch")


@dataclass(frozen=True)
class Machine:
    """A machine, and how busy it was before the measurements began.

    Attributes:
      platform: that JAX computes on, such as cpu or gpu.
      kind: of its devices.
      devices: how many of them JAX sees.
      cores: of the CPU, that this process may use.
      load: processes that were running or waiting to, on average over the minute before.
      versions: of the packages that decide figures.
    """

    platform: str
    kind: str
    devices: int
    cores: int
    load: float
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.devices} x {self.kind} ({self.platform}), {self.cores} cores, "
            f"load {self.load:.1f} before, jax {self.versions['jax']}"
        )


def machine() -> Machine:
    """Return what this process runs on."""
    devices = jax.devices()
    return Machine(
        platform=jax.default_backend(),
        kind=devices[0].device_kind,
        devices=len(devices),
        cores=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
        versions=versions(*PACKAGES),
    )


def peak_memory() -> float | None:
    """Return the most memory that this process has had on the host, in bytes, if that is known.

    Not `resource.getrusage`: what that says begins at the size of the process that started this.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # another system than Linux
        return None
    return next((1024.0 * int(line.split()[1]) for line in lines if "VmHWM" in line), None)


def forget_peak() -> None:
    """Let `peak_memory` begin anew, at what the process has in use, where that is possible."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # the compiler leaves hundreds of MB of free heap
        Path("/proc/self/clear_refs").write_text("5")


def peak_device_memory() -> float | None:
    """Return the most memory that was in use on the first device, in bytes, if that is known."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")
