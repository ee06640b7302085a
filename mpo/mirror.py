"""The mirror map h_φ that a potential induces: its value, gradient and divergence.

A learned potential is completed by bisection and quadrature.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.potentials.base import OmegaPotential, Potential, Progress
from mpo.pytree import pytree

_LOWEST, _HIGHEST = -100.0, 10.0  # range of log x in which φ looks for its answer
_NEGLIGIBLE = -80.0  # below this log x, x · φ⁻¹(x) adds nothing to an area


@final
@pytree
@dataclass(frozen=True)
class Numeric(OmegaPotential):
    """A potential that knows only its values, completed by numerical inverse and area.

    Attributes:
      potential: φ⁻¹, any increasing potential.
      panels: into how many an area is cut, with eight Gauss-Legendre nodes each. It is
        taken over log x, where a logarithm at x = 0 is harmless; 64 panels reach 1e-10 for
        smooth potentials, and about 1e-4 across the kinks of a network.
    """

    potential: Potential
    panels: int = field(default=64, metadata={"static": True})

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return φ⁻¹(x) of the wrapped potential."""
        return self.potential(log_x, progress)

    @override
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return the x ∈ [e^-100, e^10] at which φ⁻¹ crosses y, by bisection to float precision.

        Its derivatives, in y and in the parameters, are those of the implicit function.
        """

        def excess(log_x: Array) -> Array:
            return self.potential(log_x, progress) - y

        def divided(linear: Callable[[Array], Array], change: Array) -> Array:
            return change / linear(jnp.ones_like(change))

        return jnp.exp(jax.lax.custom_root(excess, jnp.zeros_like(y), _bisected, divided))

    @override
    def area(
        self, log_a: Float[Array, ""], log_b: Float[Array, ""], progress: Progress = 0.0
    ) -> Float[Array, ""]:
        """Return ∫ φ⁻¹(e^s) e^s ds from max(log_a, -80) to max(log_b, -80)."""
        low, high = jnp.maximum(log_a, _NEGLIGIBLE), jnp.maximum(log_b, _NEGLIGIBLE)
        x, w = np.polynomial.legendre.leggauss(8)
        corners = np.arange(self.panels)[:, None]
        at = ((corners + (1 + x) / 2) / self.panels).ravel()  # nodes in (0, 1)
        weights = np.tile(w / (2 * self.panels), self.panels)
        s = low + (high - low) * jnp.asarray(at, low.dtype)
        heights = jax.vmap(self.potential, in_axes=(0, None))(s, progress)
        return (high - low) * jnp.sum(jnp.asarray(weights, low.dtype) * heights * jnp.exp(s))


def _bisected(excess: Callable[[Array], Array], like: Array) -> Array:
    """Return the root of an increasing function of log x; it has no derivative."""

    def halve(_: int | Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        below = excess(middle) < 0
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = (jnp.full_like(like, _LOWEST), jnp.full_like(like, _HIGHEST))
    low, high = jax.lax.fori_loop(0, 64, halve, ends)
    return (low + high) / 2


@final
@pytree
@dataclass(frozen=True)
class MirrorMap:
    """h_φ(π) = Σ_a ∫₁^{π_a} φ⁻¹(x) dx (Definition 2.1 of the mirror-preference paper).

    Distributions are given as log-probabilities, shape [A]. Build one with
    `mirror_map(potential)`, which completes a learned potential by quadrature.
    """

    potential: OmegaPotential

    def value(self, log_p: Float[Array, "a"], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return h_φ(π)."""
        area = jax.vmap(lambda log_x: self.potential.area(jnp.zeros_like(log_x), log_x, progress))
        return jnp.sum(area(log_p))

    def gradient(self, log_p: Float[Array, "a"], progress: Progress = 0.0) -> Float[Array, "a"]:
        """Return ∇h_φ(π) = φ⁻¹(π), entry by entry."""
        return jax.vmap(lambda log_x: self.potential(log_x, progress))(log_p)

    def divergence(
        self, log_p: Float[Array, "a"], log_q: Float[Array, "a"], progress: Progress = 0.0
    ) -> Float[Array, ""]:
        """Return the Bregman divergence D_h(p, q) = h(p) - h(q) - ⟨∇h(q), p - q⟩ ≥ 0.

        Taken as Σ_a ∫_{q_a}^{p_a} (φ⁻¹(x) - φ⁻¹(q_a)) dx, the same number with less
        cancellation.
        """

        def one(log_p: Array, log_q: Array) -> Array:
            area = self.potential.area(log_q, log_p, progress)
            return area - self.potential(log_q, progress) * (jnp.exp(log_p) - jnp.exp(log_q))

        return jnp.sum(jax.vmap(one)(log_p, log_q))


def mirror_map(potential: Potential) -> MirrorMap:
    """Return the mirror map of `potential`: in closed form where it has one, else numerically."""
    return MirrorMap(potential if isinstance(potential, OmegaPotential) else Numeric(potential))
