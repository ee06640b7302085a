"""Objectives that need no reference policy: of the likelihood, or of the pair."""

from dataclasses import dataclass
from typing import ClassVar, final

import jax.numpy as jnp
from jax.nn import log_sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.logspace import LARGEST, log_odds
from mpo.objectives.base import Loss, Objective, margin, per_step_loss
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
    gamma: Number = number(0.5, at_least=0.0, tried=(0.1, 0.3, 1.0, 3.0))
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

    lam: Number = number(1.0, at_least=0.0, tried=(0.03, 0.3, 1.0, 3.0, 30.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return -c.logp[0] - self.lam * log_sigmoid(margin(log_odds(c.logp)))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class BetaORPO(Objective):
    """-log π(y_w) - λ log σ(β (log odds π(y_w) - log odds π(y_l))): ORPO with a scale.

    β = 1 is ORPO; a larger one lets pairs go that are told apart already.

    Attributes:
      lam: λ, the weight of the preference term.
      beta: β, scale of its margin.
    """

    name: ClassVar = "beta_orpo"

    lam: Number = number(1.0, at_least=0.0, tried=(0.03, 0.3, 1.0, 3.0, 30.0))
    beta: Number = number(1.0, above=0.0, tried=(0.1, 0.3, 1.0, 3.0, 10.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        preference = log_sigmoid(self.beta * margin(log_odds(c.logp)))
        return -c.logp[0] - self.lam * preference


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class CPO(Objective):
    """-log σ(β (log π(y_w) - log π(y_l))) - α log π(y_w)/|y_w|: CPO (Xu et al., 2024).

    The likelihood is that of a step, as TRL takes it.

    Attributes:
      beta: scale of the margin.
      alpha: α, the weight of the likelihood.
    """

    name: ClassVar = "cpo"

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3))
    alpha: Number = number(1.0, at_least=0.0, tried=(0.03, 0.1, 0.3, 1.0, 3.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        return self.alpha * per_step_loss(self, c) - log_sigmoid(self.beta * margin(c.logp))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class AlphaPO(Objective):
    """-log σ(β (f(π(y_w)) - f(π(y_l))) - γ), f(x) = (1 - x^-α)/α: AlphaPO (Gupta et al., 2025).

    π is per step; α → 0 is SimPO.

    Attributes:
      beta: scale of the implicit reward.
      gamma: target margin of the rewards.
      alpha: α, the shape of the reward.
    """

    name: ClassVar = "alphapo"

    beta: Number = number(2.0, above=0.0, tried=(0.3, 1.0, 2.0, 5.0, 10.0))
    gamma: Number = number(0.5, at_least=0.0, tried=(0.1, 0.3, 1.0, 3.0))
    alpha: Number = number(0.25, other_than=0.0, tried=(-0.5, -0.25, 0.1, 0.25, 0.5))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        raised = jnp.minimum(-self.alpha * c.logp, LARGEST)
        return -log_sigmoid(margin(-jnp.expm1(raised) / self.alpha) * self.beta - self.gamma)
