"""Judges: who wins, given the true returns. With a temperature, and with flips."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.errors import RequestError, unknown
from mpo.settings import Checked, number

LEVELS: Mapping[str, float | None] = MappingProxyType(
    {"perfect": None, "low": 0.95, "medium": 0.85, "high": 0.75}
)
"""Temperature levels by how often two reference returns are ranked right; never wrong is `None`."""


def calibrated(a: float = 2100.0, b: float = 1800.0, p: float = 0.95) -> float:
    """Return the temperature at which return `a` is ranked above `b` with probability `p`.

    σ((a − b)/η) = p, so η = (a − b) / logit(p): 101.9, 173.0 and 273.1 for the
    95, 85 and 75 % of the mirror-preference paper (table 1), at its Hopper returns.
    """
    if not a > b:
        raise RequestError(f"a judge is calibrated at returns a > b, not a = {a} and b = {b}")
    if not 0.5 < p < 1.0:
        raise RequestError(f"a judge is calibrated at a probability in (0.5, 1), not {p}")
    return (a - b) / math.log(p / (1.0 - p))


def temperature(level: str, a: float = 2100.0, b: float = 1800.0) -> float | None:
    """Return the temperature of a named level, calibrated at returns `a` and `b`."""
    if level not in LEVELS:
        raise unknown("judge", level, LEVELS)
    p = LEVELS[level]
    return None if p is None else calibrated(a, b, p)


@dataclass(frozen=True)
class Judge(Checked):
    """Ranks responses by true return R: a Bradley–Terry judge that may flip its ranking.

    P(a before b) = (1 − ε) σ((R_a − R_b)/η) + ε σ((R_b − R_a)/η).

    K responses are ranked by the Plackett–Luce model, of which Bradley–Terry is
    K = 2 and the law of every pair: the best is drawn with probability
    ∝ exp(R/η), then the best of the rest, and so on.

    Attributes:
      temperature: η > 0, in units of return; `None` is the limit η → 0, a judge
        that is never wrong and decides ties at random.
      flip: ε, the probability that a ranking is reversed after it was made.
    """

    what: ClassVar[str] = "the judge"

    temperature: float | None = number(calibrated(), above=0.0)
    flip: float = number(0.0, at_least=0.0, at_most=1.0)

    def rank(self, key: PRNGKeyArray, returns: Float[Array, " K"]) -> Int[Array, " K"]:
        """Return the responses' indices, best first."""
        return rank(key, returns, self.temperature, self.flip)

    def prefers(self, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        """Return P(a before b) for true returns `a` and `b`, flips included."""
        gap = np.asarray(a, np.float64) - np.asarray(b, np.float64)
        if self.temperature is None:
            right = 0.5 * (1.0 + np.sign(gap))
        else:
            right = 0.5 * (1.0 + np.tanh(0.5 * gap / self.temperature))  # σ, without overflow
        return np.asarray((1.0 - self.flip) * right + self.flip * (1.0 - right))


@dataclass(frozen=True)
class Grading:
    """A function that a judge goes by, in place of the truth: which it was when it was asked.

    Attributes:
      place: its file, or module, and its name: "mine.py:grade".
      sha256: of the file.
    """

    place: str
    sha256: str


def rank(
    key: PRNGKeyArray,
    returns: Float[Array, " K"],
    temperature: float | Float[Array, ""] | None,
    flip: float | Float[Array, ""],
) -> Int[Array, " K"]:
    """Return what `Judge(temperature, flip).rank` does; here both may be traced.

    Plackett–Luce by the Gumbel trick: sorting R/η + G, G standard Gumbel, draws
    from it exactly.
    """
    noise_key, flip_key = jax.random.split(key)
    noise = jax.random.gumbel(noise_key, returns.shape, returns.dtype)
    if temperature is None:
        order = jnp.lexsort((noise, -returns))
    else:
        # Differences to the best stay finite where R/η would overflow; those that
        # underflow to −∞ together are ordered by return.
        scaled = (returns - jnp.max(returns)) / temperature
        order = jnp.lexsort((-returns, -(scaled + noise)))
    return jnp.where(jax.random.bernoulli(flip_key, flip), order[::-1], order)
