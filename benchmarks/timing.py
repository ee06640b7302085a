"""Timing compiled functions so that ratios hold on a machine that is not quiet."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np


@dataclass(frozen=True)
class Timing:
    """Seconds to compile, and seconds of one call: the fastest round and the median one."""

    compile: float
    best: float
    median: float


def compiled(function: Callable[..., Any], *arguments: Any) -> tuple[Callable[..., Any], float]:
    """Compile `function` for `arguments`; return it with the seconds that took."""
    start = time.perf_counter()
    ready = jax.jit(function).lower(*arguments).compile()
    return ready, time.perf_counter() - start


def compare(
    candidates: Mapping[str, tuple[Callable[..., Any], tuple[Any, ...]]], rounds: int = 40
) -> dict[str, Timing]:
    """Time every candidate `(function, arguments)` in turn, round by round.

    Taking turns lets all candidates see the same disturbances; the fastest round of each
    is what it costs where nothing disturbs it.
    """
    ready = {
        name: (*compiled(function, *arguments), arguments)
        for name, (function, arguments) in candidates.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, (call, _, arguments) in ready.items():
            start = time.perf_counter()
            jax.block_until_ready(call(*arguments))
            seconds[name].append(time.perf_counter() - start)
    return {
        name: Timing(ready[name][1], float(np.min(taken)), float(np.median(taken)))
        for name, taken in seconds.items()
    }


def machine() -> str:
    """Return what the figures were measured on, in a line."""
    devices = jax.devices()
    kind = f"{len(devices)} x {devices[0].device_kind} ({jax.default_backend()})"
    return f"{kind}, jax {jax.__version__}"
