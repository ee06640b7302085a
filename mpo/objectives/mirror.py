"""Mirror preference optimization: objectives made of potentials, which a search can move."""

from dataclasses import dataclass, field
from typing import ClassVar, final

from jax.nn import log_sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.comparison import Comparison
from mpo.logspace import log_odds
from mpo.objectives.base import Loss, Objective, given, margin
from mpo.potentials.base import Potential
from mpo.potentials.named import Log
from mpo.potentials.network import NetworkPotential
from mpo.pytree import pytree
from mpo.settings import Number, number, switch


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class MPO(Objective):
    """-ψ(π(y_w)) - λ log σ(φ⁻¹(π(y_w)) - φ⁻¹(π(y_l))) (mirror-preference paper, Eq. 10).

    ψ = log and φ⁻¹ = logit is ORPO, which is also where the default potentials, two
    networks of 126 units, start. π is the geometric mean over steps, as in ORPO.

    Attributes:
      psi: ψ, what is gained by a likely chosen response.
      phi_inv: φ⁻¹.
      lam: λ, the weight of the preference term.
    """

    name: ClassVar = "mpo"

    psi: Potential = field(default_factory=lambda: NetworkPotential.orpo("psi"))
    phi_inv: Potential = field(default_factory=lambda: NetworkPotential.orpo("phi_inv"))
    lam: Number = number(1.0, at_least=0.0)
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        preference = _margin(self.phi_inv, c.logp, progress)
        return -self.psi(c.logp[0], progress) - self.lam * log_sigmoid(preference)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class MPOReference(Objective):
    """-log σ(β (φ⁻¹(π(y_w)) - φ⁻¹(π_ref(y_w)) - φ⁻¹(π(y_l)) + φ⁻¹(π_ref(y_l)))) (Eq. 9).

    φ = e^x, the default, is DPO.

    Attributes:
      phi_inv: φ⁻¹.
      beta: strength of the regularisation towards the reference.
    """

    name: ClassVar = "mpo_ref"
    needs: ClassVar = ("ref_logp",)

    phi_inv: Potential = field(default_factory=Log)
    beta: Number = number(0.1, above=0.0)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        now = _margin(self.phi_inv, c.logp, progress)
        before = _margin(self.phi_inv, given(c.ref_logp), progress)
        return -log_sigmoid(self.beta * (now - before))


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class ClosedForm(Objective):
    """-α log π(y_w) - λ log σ(β (log π(y_w) - log π(y_l))) (mirror-preference paper, Eq. 11).

    MPO with ψ = α log and φ⁻¹ = β log: what the paper reads off its discovered objectives.

    Attributes:
      alpha: α, weight of the likelihood of the chosen response.
      beta: β, scale of the margin.
      lam: λ, weight of the preference.
    """

    name: ClassVar = "closed_form"

    alpha: Number = number(1.0, at_least=0.0, tried=(0.03, 0.1, 0.3, 1.0, 3.0))
    beta: Number = number(1.0, at_least=0.0, tried=(0.1, 0.3, 1.0, 3.0, 10.0))
    lam: Number = number(1.0, at_least=0.0)
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        preference = log_sigmoid(self.beta * margin(c.logp))
        return -self.alpha * c.logp[0] - self.lam * preference


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class TAMPO(Objective):
    """-(1 - s) log π(y_w) - s λ log σ(log odds π(y_w) - log odds π(y_l)), s = t^p: TA-MPO.

    From imitation to preference in the course of training, t from 0 to 1, after the time-aware
    objectives of Alfano et al. (2025), with the two terms of ORPO. p → 0 is preference alone,
    p → ∞ SFT.

    Attributes:
      lam: λ, the weight of the preference term.
      turn: p; above 1 imitation lasts, below 1 preference comes early.
    """

    name: ClassVar = "ta_mpo"

    lam: Number = number(1.0, at_least=0.0, tried=(0.03, 0.3, 1.0, 3.0, 30.0))
    turn: Number = number(1.0, above=0.0, tried=(0.3, 1.0, 3.0))
    length_normalise: bool = switch(True)

    @override
    def loss(self, c: Comparison, progress: Float[Array, ""]) -> Loss:
        done = progress**self.turn
        preference = log_sigmoid(margin(log_odds(c.logp)))
        return -(1 - done) * c.logp[0] - done * self.lam * preference


def _margin(
    potential: Potential, logp: Float[Array, "k"], progress: Float[Array, ""]
) -> Float[Array, ""]:
    """Return the potential of the best response minus that of the worst.

    Two evaluations: a `vmap` over the two, inside that over comparisons, doubles the cost.
    """
    return potential(logp[0], progress) - potential(logp[-1], progress)
