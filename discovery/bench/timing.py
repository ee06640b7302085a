"""Timing calls in turns, so that their ratios hold on a machine that is not quiet."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from mpo.train.population import Population

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
