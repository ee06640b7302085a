"""DPO and its kin: objectives of the log-ratio margin δ = log π/π_ref(y_w) - log π/π_ref(y_l)."""

from dataclasses import dataclass
from typing import ClassVar, final

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, given, log_ratio, margin
from mpo.pytree import pytree
from mpo.settings import Number, number


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DPO(Objective):
    """-log σ(β δ): direct preference optimization (Rafailov et al., 2023).

    Attributes:
      beta: strength of the regularisation towards the reference.
    """

    name: ClassVar = "dpo"
    needs: ClassVar = ("ref_logp",)

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -log_sigmoid(self.beta * margin(log_ratio(c)))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class CDPO(Objective):
    """-(1 - ε) log σ(β δ) - ε log σ(-β δ): conservative DPO (Mitchell, 2023).

    Attributes:
      beta: strength of the regularisation towards the reference.
      label_smoothing: ε, the assumed probability that a label is flipped.
    """

    name: ClassVar = "cdpo"
    needs: ClassVar = ("ref_logp",)

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))
    label_smoothing: Number = number(0.1, at_least=0.0, at_most=0.5)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.beta * margin(log_ratio(c))
        flipped = self.label_smoothing
        return -(1 - flipped) * log_sigmoid(implied) - flipped * log_sigmoid(-implied)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class IPO(Objective):
    """(δ - 1/(2β))²: identity preference optimization (Azar et al., 2024).

    The paper sums log-probabilities, the default here; TRL divides them by length.

    Attributes:
      beta: strength of the regularisation; the margin aims at 1/(2β).
    """

    name: ClassVar = "ipo"
    needs: ClassVar = ("ref_logp",)

    beta: Number = number(0.1, above=0.0, tried=(0.01, 0.03, 0.1, 0.3, 1.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return jnp.square(margin(log_ratio(c)) - 1 / (2 * self.beta))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class WDPO(Objective):
    """-σ(β₂ (r_w - r_l)) log σ(β₁ δ): reward-weighted DPO (OPTune, Eq. 6).

    Attributes:
      beta: β₁, as in DPO.
      reward_beta: β₂, how fast the weight rises with the reward gap.
    """

    name: ClassVar = "wdpo"
    needs: ClassVar = ("ref_logp", "reward")

    beta: Number = number(0.1, above=0.0)
    reward_beta: Number = number(1.0, at_least=0.0)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        weight = sigmoid(self.reward_beta * margin(given(c.reward)))
        return -weight * log_sigmoid(self.beta * margin(log_ratio(c)))
