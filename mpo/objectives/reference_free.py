"""Objectives that need no reference policy: SFT, SimPO and ORPO."""

from dataclasses import dataclass
from typing import ClassVar, final

from jax.nn import log_sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.logspace import log_odds
from mpo.objectives.base import Loss, Objective, margin
from mpo.pytree import pytree
from mpo.settings import Number, number, switch


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class SFT(Objective):
    """-log π(y_w): supervised fine-tuning on the best response."""

    name: ClassVar = "sft"
    least: ClassVar = 1

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -c.logp[0]


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class SimPO(Objective):
    """-log σ(β (log π(y_w) - log π(y_l)) - γ) of per-step log-probabilities (Meng et al., 2024).

    Attributes:
      beta: scale of the implicit reward.
      gamma: target margin of the rewards.
    """

    name: ClassVar = "simpo"

    beta: Number = number(2.0, above=0.0, tried=(0.3, 1.0, 2.0, 5.0, 10.0))
    gamma: Number = number(0.5, at_least=0.0)
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -log_sigmoid(self.beta * margin(c.logp) - self.gamma)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class ORPO(Objective):
    """-log π(y_w) - λ log σ(log odds π(y_w) - log odds π(y_l)) (Hong et al., 2024; Eq. 6).

    π is the geometric mean over the steps of a response, as its paper takes it: the
    product over a long response is so small that its odds are the probability itself.
    `mpo.logspace` says what the odds of a density ≥ 1 are.

    Attributes:
      lam: λ. Hong et al. use 0.1 to 1; the default is the coefficient-free form in which
        the mirror-preference paper contains it.
    """

    name: ClassVar = "orpo"

    lam: Number = number(1.0, at_least=0.0, tried=(0.03, 0.1, 0.3, 1.0, 3.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -c.logp[0] - self.lam * log_sigmoid(margin(log_odds(c.logp)))
