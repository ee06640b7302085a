"""Functions of a probability x = e^ℓ that are given its logarithm ℓ, and never form a dangerous x.

Two conventions make every function of this file, and every learned potential, finite,
with a finite gradient, from ℓ = -10,000 (a long response) to ℓ = +10 (a density). The
named potentials are what their formulas say; of them, only the logit has the headroom:

* **1 - x is never taken below `HEADROOM`.** Odds x / (1 - x) diverge as x → 1 and do
  not exist for a density x > 1. Past 1 - HEADROOM the denominator stays where it is,
  so log-odds go on with the slope of log x. (Clipping x itself, as clip(x) at 1 would,
  leaves a flat region in which nothing is learned.)
* **A density above one is read as 1 + ℓ** where x itself is asked for: the tangent of
  e^ℓ at ℓ = 0. Powers and exponentials of a density of e^6 would drown everything else.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from mpo.named import named

HEADROOM = 1e-3
_LOG_ALMOST_ONE = math.log1p(-HEADROOM)
LOWEST_INVERTED = -60.0
LARGEST = 60.0
"""Greatest exponent that is formed of a log-probability or of a margin."""


@named
def probability(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return x, continued by its tangent 1 + log x above x = 1."""
    # Not a minimum with zero, which at a tie has half of the slope.
    below = jnp.where(log_x > 0, 0, log_x)
    return jnp.where(log_x > 0, 1 + log_x, jnp.exp(below))


@named
def log_probability(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return the logarithm of `probability`."""
    return jnp.where(log_x > 0, jnp.log1p(jnp.maximum(log_x, 0)), log_x)


def log1mexp(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return log(1 - e^ℓ) for ℓ < 0; `expm1` keeps it accurate as ℓ → 0."""
    return jnp.log(-jnp.expm1(log_x))


@named
def log_odds(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return log(x / (1 - x)), with 1 - x never below HEADROOM."""
    return log_x - log1mexp(jnp.minimum(log_x, _LOG_ALMOST_ONE))


@named
def log_positive_part(
    slope: Float[Array, "*#n"], log_x: Float[Array, "*#n"], bias: Float[Array, "*#n"]
) -> Float[Array, "*n"]:
    """Return log(slope x + bias) for slope > 0, never below that of HEADROOM slope x.

    The floor keeps logarithm and roots of (s·x + b)₊ finite and increasing where a
    negative b makes it vanish. With b = 0 the result is log s + ℓ exactly, at any ℓ.
    """
    # log(s·x + b) = ℓ + log(s + b / x). Where 1 / x would overflow, b > 0 decides alone, and
    # the same formula gives log b at the lowest ℓ whose inverse is formed.
    lowest = jnp.maximum(log_x, LOWEST_INVERTED)
    total = jnp.maximum(slope + bias * jnp.exp(-lowest), HEADROOM * slope)
    return jnp.where(bias > 0, lowest, log_x) + jnp.log(total)
