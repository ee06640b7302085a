"""DPO and its kin: objectives of the log-ratio margin δ = log π/π_ref(y_w) - log π/π_ref(y_l)."""

from dataclasses import dataclass
from typing import ClassVar, final

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, given, log_ratio, margin, per_step_loss
from mpo.potentials import links
from mpo.pytree import pytree
from mpo.settings import Number, number, switch


@dataclass(frozen=True, kw_only=True)
class Referring(Objective):
    """What objectives of the log-ratio share.

    Attributes:
      beta: strength of the regularisation towards the reference.
    """

    needs: ClassVar = ("ref_logp",)

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))

    def implied(self, c: Comparison) -> Float[Array, "k"]:
        """Return β log π/π_ref of every response."""
        return self.beta * log_ratio(c)

    def pulled(self, c: Comparison) -> Float[Array, ""]:
        """Return β δ."""
        return self.beta * margin(log_ratio(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DPO(Referring):
    """-log σ(β δ): direct preference optimization (Rafailov et al., 2023)."""

    name: ClassVar = "dpo"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -log_sigmoid(self.pulled(c))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class CDPO(Referring):
    """-(1 - ε) log σ(β δ) - ε log σ(-β δ): conservative DPO (Mitchell, 2023).

    Attributes:
      label_smoothing: ε, the assumed probability that a label is flipped.
    """

    name: ClassVar = "cdpo"

    label_smoothing: Number = number(
        0.1, at_least=0.0, at_most=0.5, tried=(0.02, 0.05, 0.1, 0.2, 0.4)
    )

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.pulled(c)
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

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))
    reward_beta: Number = number(1.0, at_least=0.0, tried=(0.1, 0.3, 1.0, 3.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        weight = sigmoid(self.reward_beta * margin(given(c.reward)))
        return -weight * log_sigmoid(self.beta * margin(log_ratio(c)))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DPONormalised(Objective):
    """-log σ(β δ) of per-step log-probabilities: length-normalised DPO (as Tülu 3 trains).

    Attributes:
      beta: strength of the regularisation towards the reference.
    """

    name: ClassVar = "dpo_norm"
    needs: ClassVar = ("ref_logp",)

    beta: Number = number(5.0, above=0.0, tried=(0.3, 1.0, 3.0, 10.0, 30.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -log_sigmoid(self.beta * margin(log_ratio(c)))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RobustDPO(Referring):
    """(-(1 - ε) log σ(β δ) + ε log σ(-β δ)) / (1 - 2ε): robust DPO (Chowdhury et al., 2024).

    Its mean over labels that are flipped with probability ε is DPO's on those that are not.

    Attributes:
      label_smoothing: ε, the assumed probability that a label is flipped.
    """

    name: ClassVar = "robust_dpo"

    label_smoothing: Number = number(
        0.1, at_least=0.0, below=0.5, tried=(0.02, 0.05, 0.1, 0.2, 0.4)
    )

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied, flipped = self.pulled(c), self.label_smoothing
        right = (1 - flipped) * log_sigmoid(implied)
        return (flipped * log_sigmoid(-implied) - right) / (1 - 2 * flipped)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Hinge(Referring):
    """max(0, 1 - β δ): the hinge of SLiC-HF (Zhao et al., 2023) on DPO's margin."""

    name: ClassVar = "hinge"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return jnp.maximum(1 - self.pulled(c), 0)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class EXO(Referring):
    """KL(σ(β δ) ‖ 1 - ε): efficient exact optimization (Ji et al., 2024, Eq. 16).

    The KL divergence that DPO takes, the other way around.

    Attributes:
      label_smoothing: ε, the probability that the rejected response is the better one.
    """

    name: ClassVar = "exo"

    label_smoothing: Number = number(1e-3, above=0.0, below=0.5, tried=(1e-3, 0.01, 0.1, 0.3))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return links.exo(self.pulled(c), self.label_smoothing)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DiscoPOP(Referring):
    """(1 - σ(z/τ)) (-log σ(z)) + σ(z/τ) e^-z, z = β δ: DiscoPOP (Lu et al., 2024, Eq. 5).

    Logistic where the margin is negative, exponential where it is positive; found by a language
    model.

    Attributes:
      tau: τ, how sharply it changes from one to the other.
    """

    name: ClassVar = "discopop"

    tau: Number = number(0.05, above=0.0, below=1.0, tried=(0.02, 0.05, 0.2, 0.5))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return links.discopop(self.pulled(c), self.tau)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class ROPO(Referring):
    """4α/(1+α)² (-log σ(z) + α σ(-z)), z = β δ: ROPO (Liang et al., 2024).

    Pairs that contradict the agent pull less: the weight is greatest, 1, where σ(-z) is
    (1 + α)/(2α).

    Attributes:
      alpha: α, how much of the loss is the bounded part.
    """

    name: ClassVar = "ropo"

    alpha: Number = number(14.0, above=1.0, tried=(2.0, 5.0, 14.0, 30.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return links.ropo(self.pulled(c), self.alpha)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class DPOP(Referring):
    """-log σ(β (δ - λ max(0, log π_ref/π(y_w)))): DPO-positive (Pal et al., 2024, Smaug).

    The chosen response may not become less likely than it is for the reference.

    Attributes:
      lam: λ, the weight of that.
    """

    name: ClassVar = "dpop"

    lam: Number = number(5.0, at_least=0.0, tried=(0.5, 1.0, 5.0, 50.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        ratio = log_ratio(c)
        lost = jnp.maximum(-ratio[0], 0)
        return -log_sigmoid(self.beta * (margin(ratio) - self.lam * lost))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class RPO(Referring):
    """-log σ(β δ) - α log π(y_w)/|y_w|: DPO and likelihood (Pang et al., 2024), TRL's "RPO".

    Not reward-aware preference optimization, whose objectives are `rpo_sq` and its kin.

    Attributes:
      alpha: α, the weight of the likelihood of a step.
    """

    name: ClassVar = "rpo"

    alpha: Number = number(1.0, at_least=0.0, tried=(0.03, 0.1, 0.3, 1.0, 3.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return self.alpha * per_step_loss(self, c) - log_sigmoid(self.pulled(c))
