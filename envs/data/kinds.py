"""Kinds of datasets: who produces each response, and how it is judged by default.

A new kind is one line of `KINDS` (and a function, if it mixes agents in a new way).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import jax
import numpy as np
from jaxtyping import Int, PRNGKeyArray

from mpo.errors import unknown

EXPERT, REFERENCE = 0, 1
Cast = Int[np.ndarray, "rows K"]


def against(key: PRNGKeyArray, rows: int, responses: int) -> Cast:
    """Cast the expert against the reference; with K > 2 they alternate."""
    return np.tile(np.arange(responses) % 2, (rows, 1))


def mixed(key: PRNGKeyArray, rows: int, responses: int) -> Cast:
    """Cast a quarter of the rows with the expert alone, a quarter with the reference alone.

    The other half is `against`. The counts are exact, rounded down to whole
    rows for the quarters, and the order is random.
    """
    quarter = rows // 4
    cast = against(key, rows, responses)
    cast[:quarter] = EXPERT
    cast[rows - quarter :] = REFERENCE
    return cast[np.asarray(jax.random.permutation(key, rows))]


@dataclass(frozen=True)
class Kind:
    """A way to compose and label comparisons.

    Attributes:
      summary: a line for lists.
      cast: (key, rows, K) to who produces each response, EXPERT or REFERENCE.
      judge: the default temperature level (`envs.judge.LEVELS`).
      flip: the default share of flipped rankings.
      close: whether the default reference is the one nearest to the expert.
    """

    summary: str
    cast: Callable[[PRNGKeyArray, int, int], Cast] = against
    judge: str = "low"
    flip: float = 0.0
    close: bool = False


KINDS: Final[dict[str, Kind]] = {
    "base": Kind("expert against a reference agent"),
    "noisy": Kind("base, with a share of the rankings flipped (10 % by default)", flip=0.1),
    "shuffled": Kind(
        "25 % expert-expert, 50 % expert-reference, 25 % reference-reference", cast=mixed
    ),
    "poor_judge": Kind(
        "expert against a close reference, judged at a high temperature",
        judge="high",
        close=True,
    ),
}


def kind(name: str) -> Kind:
    """Return a kind by name, or say which there are."""
    if name not in KINDS:
        raise unknown("dataset kind", name, KINDS)
    return KINDS[name]
