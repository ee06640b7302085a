"""Likelihood with weights: of what the agent believes, of ranks, or of rewards.

None of them compares: what they imitate, and how much, is all they say. Those that read rewards
are ceilings, for data whose returns are known.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, final

import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.logspace import log_probability
from mpo.objectives.base import Loss, Objective, given
from mpo.pytree import pytree
from mpo.settings import Number, number, switch

LOG_GREATEST = math.log(20.0)
"""Logarithm of the greatest weight of a response, as Peng et al. clip it."""


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class GCE(Objective):
    """(1 - π(y_w)^q)/q: generalised cross-entropy (Zhang & Sabuncu, 2018), of the per-step π.

    For labels with noise: what the agent holds to be unlikely pulls less. q → 0 is SFT; q = 1 the
    mean absolute error, MPO with ψ(x) = x and no preference. A density above one is read as
    `mpo.logspace` says.

    Attributes:
      q: how little the unlikely pulls.
    """

    name: ClassVar = "gce"
    least: ClassVar = 1

    q: Number = number(0.7, above=0.0, tried=(0.1, 0.3, 1.0, 2.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -jnp.expm1(self.q * log_probability(c.logp[0])) / self.q


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class WeightedSFT(Objective):
    """-(log π(y_w) + ρ log π(y_l)) / (1 + ρ): imitation of both, the rejected at a discount.

    ρ = 0 is SFT, ρ = 1 behaviour cloning of all that is in the data.

    Attributes:
      rho: ρ, the weight of the rejected response.
    """

    name: ClassVar = "weighted_sft"

    rho: Number = number(0.1, at_least=0.0, at_most=1.0, tried=(0.01, 0.1, 0.3, 0.9))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -(c.logp[0] + self.rho * c.logp[-1]) / (1 + self.rho)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class FilteredSFT(Objective):
    """-mean of [r_k > τ] log π(y_k) over all K responses: imitation of what is good enough.

    Filtered behaviour cloning, whatever the ranking says. A threshold is in units of the reward:
    `training.rewards = "standard"` makes those the same for all data.

    Attributes:
      threshold: τ, the least reward of what is imitated.
    """

    name: ClassVar = "filtered_sft"
    needs: ClassVar = ("reward",)
    least: ClassVar = 1

    threshold: Number = number(0.5, tried=(-1.0, -0.5, 0.0, 0.5, 1.0, 1.5))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        weight = jnp.where(given(c.reward) > self.threshold, 1 / c.logp.size, 0)
        return -jnp.sum(weight * c.logp)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class AWR(Objective):
    """-mean of min(e^(r_k/τ), 20) log π(y_k) over all K: advantage-weighted regression.

    (Peng et al., 2019; also reward-weighted regression, as the baseline is a constant factor.)

    Attributes:
      temperature: τ, in units of the reward; ∞ is behaviour cloning of all.
    """

    name: ClassVar = "awr"
    needs: ClassVar = ("reward",)
    least: ClassVar = 1

    temperature: Number = number(0.3, above=0.0, tried=(0.1, 0.3, 1.0, 3.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        weight = jnp.exp(jnp.minimum(given(c.reward) / self.temperature, LOG_GREATEST))
        return -jnp.mean(weight * c.logp)
