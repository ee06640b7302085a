"""Hand-made objectives in the form that is fitted: -ψ(π(y_w)) - λ log σ(Δ φ⁻¹)."""

from functools import singledispatch

from mpo.errors import RequestError
from mpo.objectives import MPO, ORPO, ClosedForm, Objective
from mpo.potentials import BasisPotential, Log, Logit


@singledispatch
def mirror(objective: Objective) -> MPO:
    """Return `objective` as an `MPO`; another kind registers how it is one.

    Raises:
      RequestError: it is none that is known to be one.
    """
    raise RequestError(
        f"objective {objective.name!r} has no potentials ψ and φ⁻¹ to be written shorter: "
        "fit mpo, orpo, closed_form or what a run found; `discovery export` prints any of them"
    )


@mirror.register
def _(objective: MPO) -> MPO:
    return objective


@mirror.register
def _(objective: ORPO) -> MPO:
    return MPO(
        psi=Log(),
        phi_inv=Logit(),
        lam=objective.lam,
        length_normalise=objective.length_normalise,
    )


@mirror.register
def _(objective: ClosedForm) -> MPO:
    def log(weight: float) -> BasisPotential:
        return BasisPotential.of({"log": weight}, library=("log",))

    return MPO(
        psi=log(float(objective.alpha)),
        phi_inv=log(float(objective.beta)),
        lam=objective.lam,
        length_normalise=objective.length_normalise,
    )
