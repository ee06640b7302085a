"""Objectives: losses of one comparison, by name."""

from typing import Final

from mpo.objectives.base import Objective
from mpo.objectives.direct import CDPO, DPO, IPO, WDPO
from mpo.objectives.mirror import MPO, ClosedForm, MPOReference
from mpo.objectives.reference_free import ORPO, SFT, SimPO
from mpo.objectives.reward_aware import DistillDPO, RPOBackward, RPOLeaveOneOut, RPOSquared

OBJECTIVES: Final[dict[str, type[Objective]]] = {
    kind.name: kind
    for kind in (
        SFT, DPO, CDPO, IPO, SimPO, ORPO,
        DistillDPO, RPOSquared, RPOBackward, RPOLeaveOneOut, WDPO,
        MPO, MPOReference, ClosedForm,
    )
}  # fmt: skip

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
]
