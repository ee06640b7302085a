"""Policy gradients: log-probabilities weighted by credit, as losses of one comparison.

What a response is credited with is made of rewards before the objective sees it
(`mpo.train.credit`), so REINFORCE, RLOO and reward-weighted regression are one loss here.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, given, log_ratio
from mpo.pytree import pytree
from mpo.settings import Number, number

_GREATEST = 20.0
"""Greatest log-ratio whose exponential is taken."""


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Reinforce(Objective):
    """-mean over k of A_k log π(y_k): REINFORCE (Williams, 1992), A the credit of a response.

    With the credit left out of K it is RLOO (Ahmadian et al., 2024), with weights e^(r/β)
    reward-weighted regression. It has no ratio: a response is to be used once.
    """

    name: ClassVar = "reinforce"
    needs: ClassVar = ("credit",)
    least: ClassVar = 1

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -jnp.mean(given(c.credit) * c.logp)


@dataclass(frozen=True, kw_only=True)
class Clipped(Objective):
    """The clipped surrogate of PPO, for objectives that use a response several times.

    Attributes:
      clip: ε, how far the ratio to the writer may go before a response pulls no further.
    """

    needs: ClassVar[tuple[str, ...]] = ("credit", "sampled_logp")
    least: ClassVar = 1

    clip: Number = number(0.2, above=0.0, tried=(0.1, 0.2, 0.4))

    def surrogate(self, c: Comparison) -> Float[Array, "k"]:
        """Return min(ρ A, clip(ρ, 1 ± ε) A) of every response, ρ = π(y)/π_writer(y)."""
        ratio = jnp.exp(jnp.minimum(c.logp - given(c.sampled_logp), _GREATEST))
        credit = given(c.credit)
        return jnp.minimum(ratio * credit, jnp.clip(ratio, 1 - self.clip, 1 + self.clip) * credit)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class PPO(Clipped):
    """-mean over k of min(ρ A, clip(ρ, 1 ± ε) A): PPO (Schulman et al., 2017) of whole responses.

    ρ = π/π_writer of a response, or of a step of it if lengths are normalised; there is no critic.
    """

    name: ClassVar = "ppo"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -jnp.mean(self.surrogate(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class GRPO(Clipped):
    """PPO's loss, and β times an estimate of KL(π ‖ π_ref): GRPO (Shao et al., 2024).

    The estimate is "k3", e^(-d) - 1 + d with d = log π/π_ref, whose gradient is that of the KL on
    the agent's own responses; a bare log-ratio would have none.

    Attributes:
      beta: β, the weight of the KL.
    """

    name: ClassVar = "grpo"
    needs: ClassVar = ("credit", "sampled_logp", "ref_logp")

    beta: Number = number(0.01, at_least=0.0, tried=(0.0, 0.003, 0.01, 0.03, 0.1))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        ratio = log_ratio(c)
        divergence = jnp.expm1(jnp.minimum(-ratio, _GREATEST)) + ratio
        return jnp.mean(self.beta * divergence - self.surrogate(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Unlikelihood(Objective):
    """-log π(y_w) + β Σ over the others of log π(y_j), while π(y_j) > τ π(y_w).

    Best-of-N with a negative gradient (Tajwar et al., 2024): the others are pushed down until they
    are rare beside the best.

    Attributes:
      beta: β, the weight of the push.
      threshold: τ, how rare a response must be beside the best for the push to end.
    """

    name: ClassVar = "unlikelihood"

    beta: Number = number(1.0, at_least=0.0, tried=(0.03, 0.1, 0.3, 1.0))
    threshold: Number = number(0.01, above=0.0, tried=(0.001, 0.01, 0.1))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        rare = c.logp[1:] - c.logp[0] <= jnp.log(self.threshold)
        return -c.logp[0] + self.beta * jnp.sum(jnp.where(rare, 0, c.logp[1:]))
