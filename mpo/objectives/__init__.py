"""Objectives: losses of one comparison, by name.

@mpo.register_objective                     # one of your own, from any module
@pytree
@dataclass(frozen=True, kw_only=True)
class Mine(mpo.Objective): ...
"""

import dataclasses
from typing import Final, TypeVar

import jax

from mpo.errors import RequestError
from mpo.objectives.anchored import NCA, SPPO, APODown, APOZero, BCOPair, KTOPair
from mpo.objectives.base import Objective
from mpo.objectives.direct import (
    CDPO,
    DPO,
    DPOP,
    EXO,
    IPO,
    ROPO,
    RPO,
    WDPO,
    DiscoPOP,
    DPONormalised,
    Hinge,
    RobustDPO,
)
from mpo.objectives.mirror import MPO, TAMPO, ClosedForm, MPOReference
from mpo.objectives.policy_gradient import GRPO, PPO, Reinforce, Unlikelihood
from mpo.objectives.reference_free import CPO, ORPO, SFT, AlphaPO, BetaORPO, SimPO
from mpo.objectives.reward_aware import (
    DistillDPO,
    RPOBackward,
    RPOForward,
    RPOLeaveOneOut,
    RPOMirror,
    RPOSquared,
)
from mpo.objectives.transport import AOT, AOTUnpaired
from mpo.objectives.weighted import AWR, GCE, FilteredSFT, WeightedSFT
from mpo.objectives.wide import Wide
from mpo.registering import enter

K = TypeVar("K", bound=type[Objective])

OBJECTIVES: Final[dict[str, type[Objective]]] = {
    kind.name: kind
    for kind in (
        SFT, GCE, WeightedSFT,
        SimPO, AlphaPO, CPO, ORPO, BetaORPO,
        DPO, DPONormalised, CDPO, RobustDPO, IPO, Hinge, EXO, DiscoPOP, ROPO, DPOP, RPO,
        NCA, BCOPair, KTOPair, APOZero, APODown, SPPO, AOT, AOTUnpaired,
        DistillDPO, RPOSquared, RPOBackward, RPOForward, RPOLeaveOneOut, RPOMirror, WDPO,
        FilteredSFT, AWR, Unlikelihood, Reinforce, PPO, GRPO,
        MPO, MPOReference, ClosedForm, TAMPO, Wide,
    )
}  # fmt: skip


def register_objective(kind: K) -> K:
    """Let an objective be found by its `name`, and return the class; a decorator, too.

    It then trains, tunes, is evaluated, drawn, saved, loaded and exported as any other.

    Raises:
      RequestError: it is no class of objectives that can be a pytree, or its name is taken.
    """
    problem = _problem(kind)
    if problem:
        raise RequestError(f"{kind!r} is no objective: {problem}")
    name = getattr(kind, "name", None)
    enter(OBJECTIVES, "objective", name, kind, kind, OBJECTIVES.get(str(name)))
    return kind


def _problem(kind: object) -> str | None:
    if not isinstance(kind, type) or not issubclass(kind, Objective):
        return "derive a class from mpo.Objective"
    parameters = vars(kind).get("__dataclass_params__")
    if parameters is None or not parameters.frozen or not dataclasses.is_dataclass(kind):
        return "put @dataclass(frozen=True, kw_only=True) on the class"
    if jax.tree_util.all_leaves([object.__new__(kind)]):
        return "put @mpo.pytree.pytree on the class, above @dataclass"
    return None


__all__ = [
    "AOT",
    "AWR",
    "CDPO",
    "CPO",
    "DPO",
    "DPOP",
    "EXO",
    "GCE",
    "GRPO",
    "IPO",
    "MPO",
    "NCA",
    "OBJECTIVES",
    "ORPO",
    "PPO",
    "ROPO",
    "RPO",
    "SFT",
    "SPPO",
    "TAMPO",
    "WDPO",
    "AOTUnpaired",
    "APODown",
    "APOZero",
    "AlphaPO",
    "BCOPair",
    "BetaORPO",
    "ClosedForm",
    "DPONormalised",
    "DiscoPOP",
    "DistillDPO",
    "FilteredSFT",
    "Hinge",
    "KTOPair",
    "MPOReference",
    "Objective",
    "RPOBackward",
    "RPOForward",
    "RPOLeaveOneOut",
    "RPOMirror",
    "RPOSquared",
    "Reinforce",
    "RobustDPO",
    "SimPO",
    "Unlikelihood",
    "WeightedSFT",
    "Wide",
    "register_objective",
]
