"""Potentials with a name and a closed form: value, inverse and area."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.logspace import HEADROOM, LARGEST, log1mexp, log_odds, log_probability
from mpo.potentials.base import OmegaPotential, Potential, Progress
from mpo.pytree import pytree
from mpo.settings import Number, number, switch

_EDGE = math.log1p(-HEADROOM)  # from this log x on, the odds have another form
_ODDS_AT_EDGE = _EDGE - math.log(HEADROOM)


class ClosedFormPotential(OmegaPotential):
    """A potential whose antiderivative is known: the area is a difference of two of its values."""

    @abstractmethod
    def antiderivative(self, log_x: Float[Array, ""]) -> Float[Array, ""]:
        """Return an H(x) with H' = φ⁻¹."""

    @final
    @override
    def area(
        self,
        log_a: Float[Array, ""],
        log_b: Float[Array, ""],
        progress: Progress = 0.0,
    ) -> Float[Array, ""]:
        """Return H(b) - H(a)."""
        return self.antiderivative(log_b) - self.antiderivative(log_a)


@final
@pytree
@dataclass(frozen=True)
class Log(ClosedFormPotential):
    """φ(y) = e^{y - shift}, φ⁻¹(x) = log x + shift: DPO for shift 0, negative entropy for shift 1.

    h_φ is the negative entropy Σ x log x (up to a linear term, which no divergence
    sees), and D_h the Kullback-Leibler divergence.
    """

    shift: Number = number(0.0)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return log x + shift."""
        return log_x + self.shift

    @override
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return e^{y - shift}."""
        return jnp.exp(y - self.shift)

    @override
    def antiderivative(self, log_x: Float[Array, ""]) -> Float[Array, ""]:
        """Return x log x + (shift - 1)(x - 1)."""
        return _x_times(log_x, log_x) + (self.shift - 1) * jnp.expm1(log_x)


@final
@pytree
@dataclass(frozen=True)
class Logit(ClosedFormPotential):
    """φ(y) = σ(y), φ⁻¹(x) = log(x / (1 - x)): the odds of ORPO.

    h_φ(x) = Σ x log x + (1 - x) log(1 - x), up to a constant; D_h is the sum of the KL
    divergences between Bernoulli(x_a) and Bernoulli(y_a). So it is up to 1 - HEADROOM, from
    where on the potential is log x - log HEADROOM (see `mpo.logspace`), and h_φ its area.
    """

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return log(x / (1 - x))."""
        return log_odds(log_x)

    @override
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return σ(y), up to 1 - HEADROOM, and HEADROOM · e^y above."""
        return jnp.where(y > _ODDS_AT_EDGE, HEADROOM * jnp.exp(y), jax.nn.sigmoid(y))

    @override
    def antiderivative(self, log_x: Float[Array, ""]) -> Float[Array, ""]:
        """Return x log x + (1 - x) log(1 - x), and what continues it above 1 - HEADROOM."""
        inside = log_x < _EDGE
        log_rest = log1mexp(jnp.where(inside, log_x, -1))
        beyond = (1 + math.log(HEADROOM)) * jnp.expm1(log_x) + HEADROOM
        return _x_times(log_x, log_x) + jnp.where(inside, _x_times(log_rest, log_rest), -beyond)


@final
@pytree
@dataclass(frozen=True)
class Euclidean(ClosedFormPotential):
    """φ(y) = slope · y, φ⁻¹(x) = x / slope: D_h(x, y) = |x - y|² / (2 slope).

    The paper names φ(y) = 2y for the squared distance; its own derivation (appendix C)
    uses φ⁻¹(x) = 2x. With φ = 2y, the default, D_h is a quarter of |x - y|²; the squared
    distance itself is slope ½. A density overflows where log x > 88 in float32.
    """

    slope: Number = number(2.0, above=0.0)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return x / slope."""
        return jnp.exp(log_x) / self.slope

    @override
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return slope · y."""
        return self.slope * y

    @override
    def antiderivative(self, log_x: Float[Array, ""]) -> Float[Array, ""]:
        """Return (x² - 1) / (2 slope)."""
        return jnp.expm1(2 * log_x) / (2 * self.slope)


@final
@pytree
@dataclass(frozen=True)
class Tsallis(ClosedFormPotential):
    """φ⁻¹(x) = (x^{α-1} - 1) / (α - 1), the α-logarithm; log x as α → 1, x - 1 at α = 2.

    h_φ is the Tsallis entropy of order α (up to sign and a linear term). For α < 1,
    x^{α-1} overflows where log x < -88 / (1 - α) in float32; for α > 1, where
    log x > 88 / (α - 1).
    """

    alpha: Number = number(0.5, above=0.0, other_than=1.0)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return (x^{α-1} - 1) / (α - 1)."""
        power = self.alpha - 1
        return jnp.expm1(power * log_x) / power

    @override
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return (1 + (α - 1) y)^{1 / (α - 1)}."""
        power = self.alpha - 1
        return jnp.exp(jnp.log1p(power * y) / power)

    @override
    def antiderivative(self, log_x: Float[Array, ""]) -> Float[Array, ""]:
        """Return (x^α - 1) / (α (α - 1)) - (x - 1) / (α - 1)."""
        power = self.alpha - 1
        return (jnp.expm1(self.alpha * log_x) / self.alpha - jnp.expm1(log_x)) / power


@final
@pytree
@dataclass(frozen=True)
class Power(Potential):
    """(x^p - 1)/p: the ψ of generalised cross-entropy, the φ⁻¹ of AlphaPO; log x as p → 0.

    The Tsallis potential of α = 1 + p, finite everywhere.

    Attributes:
      exponent: p.
      tangent: whether a density above one is read by its tangent (`mpo.logspace`); if not, only
        exponents that would overflow are cut.
    """

    exponent: Number = number(0.5, other_than=0.0)
    tangent: bool = switch(True)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return (x^p - 1)/p."""
        if self.tangent:
            return jnp.expm1(self.exponent * log_probability(log_x)) / self.exponent
        return jnp.expm1(jnp.minimum(self.exponent * log_x, LARGEST)) / self.exponent


def _x_times(log_x: Float[Array, ""], value: Float[Array, ""]) -> Float[Array, ""]:
    """Return x · value with 0 · (-inf) = 0, the limit of x log x."""
    finite = jnp.where(jnp.isneginf(log_x), 0, value)
    return jnp.exp(log_x) * finite
