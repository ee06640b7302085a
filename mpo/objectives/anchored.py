"""Objectives that move each log-ratio r = log π/π_ref by itself, towards or against an anchor."""

from dataclasses import dataclass
from typing import ClassVar, final

import jax
import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.objectives.base import Loss, Objective, log_ratio
from mpo.objectives.direct import Referring
from mpo.pytree import pytree
from mpo.settings import Number, number


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class NCA(Referring):
    """-log σ(β r_w) - ½ log σ(-β r_w) - ½ log σ(-β r_l): noise contrastive alignment.

    (Chen et al., 2024, for pairs.)
    """

    name: ClassVar = "nca"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.implied(c)
        pushed = log_sigmoid(-implied[0]) + log_sigmoid(-implied[-1])
        return -log_sigmoid(implied[0]) - pushed / 2


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class BCOPair(Referring):
    """-log σ(β r_w) - log σ(-β r_l): binary classifier optimization (Jung et al., 2024).

    For pairs, without the shift by a mean reward, as TRL's `bco_pair` has it.
    """

    name: ClassVar = "bco_pair"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.implied(c)
        return -log_sigmoid(implied[0]) - log_sigmoid(-implied[-1])


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class KTOPair(Referring):
    """σ(-β (r_w - z)) + σ(-β (z - r_l)): KTO (Ethayarajh et al., 2024) for pairs.

    The anchor z is an estimate of the KL divergence, max(0, (r_w + r_l)/2), of the pair itself
    where KTO takes one of the batch; no gradient goes through it.
    """

    name: ClassVar = "kto_pair"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        ratio = log_ratio(c)
        anchor = jax.lax.stop_gradient(jnp.maximum((ratio[0] + ratio[-1]) / 2, 0))
        return sigmoid(self.beta * (anchor - ratio[0])) + sigmoid(self.beta * (ratio[-1] - anchor))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class APOZero(Referring):
    """1 - σ(β r_w) + σ(β r_l): anchored preference optimization.

    (D'Oosterlinck et al., 2024, Eq. 7.)

    Chosen responses become more likely, rejected less: where the chosen are better than what the
    agent does.
    """

    name: ClassVar = "apo_zero"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.implied(c)
        return sigmoid(-implied[0]) + sigmoid(implied[-1])


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class APODown(Referring):
    """σ(β r_w) + 1 - σ(β (r_w - r_l)): anchored preference optimization, Eq. 8.

    Both become less likely, the rejected more so: where the chosen are worse than what the agent
    does.
    """

    name: ClassVar = "apo_down"

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        implied = self.implied(c)
        return sigmoid(implied[0]) + sigmoid(implied[-1] - implied[0])


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class SPPO(Objective):
    """(r_w - 1/(2β))² + (r_l + 1/(2β))²: self-play preference optimization (Wu et al., 2024).

    With hard labels: a chosen response wins always, as TRL's `sppo_hard` has it.

    Attributes:
      beta: strength of the regularisation; log-ratios aim at ±1/(2β).
    """

    name: ClassVar = "sppo"
    needs: ClassVar = ("ref_logp",)

    beta: Number = number(0.1, above=0.0, tried=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0))

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        ratio, aim = log_ratio(c), 1 / (2 * self.beta)
        return jnp.square(ratio[0] - aim) + jnp.square(ratio[-1] + aim)
