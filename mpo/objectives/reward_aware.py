"""Reward-aware preference optimization: bring implied rewards close to explicit ones.

The implied reward of a response is a_k = β log π/π_ref(y_k), the explicit one b_k = η r(y_k);
an objective is a distance between the two that the partition function drops out of
(RPO, Eqs. 4-7). Explicit rewards need not agree with the ranking.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, final

import jax.numpy as jnp
from jax.lax import stop_gradient
from jax.nn import log_softmax
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, given, log_ratio, margin
from mpo.pytree import pytree
from mpo.settings import Number, number

Rewards = Float[Array, "k"]


def backward(implied: Rewards, explicit: Rewards) -> Loss:
    """Return KL(softmax(b) ‖ softmax(a))."""
    log_q_a, log_q_b = log_softmax(implied), log_softmax(explicit)
    q_b = jnp.exp(log_q_b)
    # Rewards far apart give q = 0 with log q = -inf at most in the limit: 0 · log 0 = 0.
    entropy = jnp.sum(jnp.where(q_b > 0, q_b * log_q_b, 0))
    return entropy - jnp.sum(jnp.where(q_b > 0, q_b * log_q_a, 0))


def forward(implied: Rewards, explicit: Rewards) -> Loss:
    """Return KL(softmax(a) ‖ softmax(b))."""
    log_q_a, log_q_b = log_softmax(implied), log_softmax(explicit)
    return jnp.sum(jnp.exp(log_q_a) * (log_q_a - log_q_b))


def left_out(implied: Rewards, explicit: Rewards) -> Loss:
    """Return ½ Σ_k (â_k - b̂_k)²."""
    gap = implied - explicit
    others = (jnp.sum(gap) - gap) / (gap.shape[0] - 1)
    return jnp.sum(jnp.square(gap - others)) / 2


def mirrored(implied: Rewards, explicit: Rewards, saturation: Number) -> Loss:
    """Return ½ Σ_k S_k², with the slope of Σ_k S_k (a_k - ā)."""

    def potential(values: Rewards) -> Rewards:
        apart = (values - jnp.mean(values)) * (values.size / (values.size - 1))
        return saturation * jnp.tanh(apart / saturation)

    score = stop_gradient(potential(implied) - potential(explicit))
    apart = implied - jnp.mean(implied)
    return jnp.sum(jnp.square(score)) / 2 + jnp.sum(score * (apart - stop_gradient(apart)))


DISTANCES: Final[Mapping[str, Callable[[Rewards, Rewards, Number], Loss]]] = MappingProxyType(
    {
        "backward": lambda a, b, s: backward(a, b),
        "forward": lambda a, b, s: forward(a, b),
        "left_out": lambda a, b, s: left_out(a, b),
        "mirror": mirrored,
    }
)
"""Distances between all K implied and explicit rewards, by name; of a saturation, where one has it.
"""


@dataclass(frozen=True, kw_only=True)
class RewardAware(Objective):
    """The two rewards that a reward-aware objective brings together.

    Attributes:
      beta: scale of the implied reward β log π/π_ref.
      eta: η, scale of the explicit reward.
    """

    needs: ClassVar = ("ref_logp", "reward")

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))
    eta: Number = number(1.0, above=0.0, tried=(0.1, 0.3, 1.0, 3.0))

    def implied(self, c: Comparison) -> Float[Array, "k"]:
        """Return a = β log π/π_ref of every response."""
        return self.beta * log_ratio(c)

    def explicit(self, c: Comparison) -> Float[Array, "k"]:
        """Return b = η r of every response."""
        return self.eta * given(c.reward)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPOSquared(RewardAware):
    """½ (β δ - η (r_w - r_l))²: squared distance between the margins (RPO, D^sq)."""

    name: ClassVar = "rpo_sq"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return jnp.square(margin(self.implied(c)) - margin(self.explicit(c))) / 2


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DistillDPO(RewardAware):
    """(β δ - η (r_w - r_l))²: distilled DPO (Fisch et al., 2024), twice `rpo_sq`."""

    name: ClassVar = "distill_dpo"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return jnp.square(margin(self.implied(c)) - margin(self.explicit(c)))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPOBackward(RewardAware):
    """KL(softmax(b) ‖ softmax(a)) over all K responses: backward KL distance (RPO, Eq. 7).

    Its gradient in a_k is softmax(a)_k - softmax(b)_k (Eq. 9).
    """

    name: ClassVar = "rpo_bwd"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return backward(self.implied(c), self.explicit(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPOLeaveOneOut(RewardAware):
    """½ Σ_k (â_k - b̂_k)², with the mean of the others taken off each reward (RPO, Eq. 6).

    Its gradient in a_k is K/(K-1) (â_k - b̂_k), the leave-one-out score of RLOO
    (Ahmadian et al., 2024) for the reward b - a.
    """

    name: ClassVar = "rpo_sqloo"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return left_out(self.implied(c), self.explicit(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPOForward(RewardAware):
    """KL(softmax(a) ‖ softmax(b)) over all K responses: forward KL distance.

    As in NeMo-Aligner for K = 2 (RPO's Eq. 10 prints the backward one). It stays finite where an
    explicit reward says that a response is impossible, and pushes hard there.
    """

    name: ClassVar = "rpo_fwd"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return forward(self.implied(c), self.explicit(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPOMirror(RewardAware):
    """½ Σ_k S_k² with the slope S_k - mean S; S_k = g(a_k - ā) - g(b_k - b̄), g = s tanh(·/s).

    ā is the mean of the others. As s → ∞, g is the identity and the slope that of `rpo_sqloo`; a
    small s saturates, as the softmax of `rpo_bwd` does. The score is taken as a constant, as
    policy gradients have it, so the slope is not that of the value.

    Attributes:
      saturation: s, the greatest score of a reward.
    """

    name: ClassVar = "rpo_mirror"

    saturation: Number = number(1.0, above=0.0, tried=(0.1, 0.3, 1.0, 3.0, 10.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return mirrored(self.implied(c), self.explicit(c), self.saturation)
