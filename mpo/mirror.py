"""The mirror map h_φ that a potential induces on distributions, its gradient and its divergence."""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mpo.potentials.base import OmegaPotential, Potential, Progress
from mpo.potentials.numeric import Numeric
from mpo.pytree import pytree


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
