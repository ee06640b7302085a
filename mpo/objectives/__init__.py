"""Objectives: losses of one comparison, by name."""

from typing import Final

from mpo.errors import unknown
from mpo.objectives.base import Objective
from mpo.objectives.direct import CDPO, DPO, IPO, WDPO
from mpo.objectives.likelihood import SFT
from mpo.objectives.mirror import MPO, ClosedForm, MPOReference
from mpo.objectives.reference_free import ORPO, SimPO
from mpo.objectives.reward_aware import DistillDPO, RPOBackward, RPOLeaveOneOut, RPOSquared
from mpo.settings import build

OBJECTIVES: Final[dict[str, type[Objective]]] = {
    kind.name: kind
    for kind in (
        SFT, DPO, CDPO, IPO, SimPO, ORPO,
        DistillDPO, RPOSquared, RPOBackward, RPOLeaveOneOut, WDPO,
        MPO, MPOReference, ClosedForm,
    )
}  # fmt: skip


def objective(name: str, **settings: object) -> Objective:
    """Return the objective called `name` with these settings.

    >>> import jax.numpy as jnp, mpo
    >>> pair = mpo.Comparison(
    ...     logp=jnp.array([-1.0, -3.0]), length=jnp.array([2, 3]), ref_logp=jnp.array([-2.0, -2.0])
    ... )
    >>> round(float(mpo.objective("dpo", beta=0.5)(pair)), 4)
    0.3133

    Raises:
      RequestError: the name or a setting is unknown, or a setting is out of range.
    """
    if name not in OBJECTIVES:
        raise unknown("objective", name, OBJECTIVES)
    return build(OBJECTIVES[name], f"objective {name!r}", settings)


__all__ = [
    "CDPO",
    "DPO",
    "IPO",
    "MPO",
    "OBJECTIVES",
    "ORPO",
    "SFT",
    "WDPO",
    "ClosedForm",
    "DistillDPO",
    "MPOReference",
    "Objective",
    "RPOBackward",
    "RPOLeaveOneOut",
    "RPOSquared",
    "SimPO",
    "objective",
]
