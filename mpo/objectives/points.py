"""Which point of the wide family each hand-made loss is.

    wide = point(mpo.objective("dpo", beta=0.3))     # the same loss, value and gradient

The table is data: settings of `Wide` as functions of the settings of a loss, so that a page can
print them as formulas and a search can start at any loss, wherever it was tuned.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mpo.errors import RequestError, unknown
from mpo.objectives import (
    AOT,
    AWR,
    CDPO,
    CPO,
    DPO,
    DPOP,
    EXO,
    GCE,
    GRPO,
    IPO,
    MPO,
    NCA,
    OBJECTIVES,
    ORPO,
    PPO,
    ROPO,
    RPO,
    SFT,
    SPPO,
    TAMPO,
    WDPO,
    AlphaPO,
    AOTUnpaired,
    APODown,
    APOZero,
    BCOPair,
    BetaORPO,
    ClosedForm,
    DiscoPOP,
    DistillDPO,
    DPONormalised,
    FilteredSFT,
    Hinge,
    KTOPair,
    MPOReference,
    Objective,
    Reinforce,
    RobustDPO,
    RPOBackward,
    RPOForward,
    RPOLeaveOneOut,
    RPOMirror,
    RPOSquared,
    SimPO,
    Unlikelihood,
    WeightedSFT,
    Wide,
)
from mpo.potentials import BasisPotential, potential
from mpo.potentials.base import Role


class Part(NamedTuple):
    """A potential by its name and settings."""

    name: str
    settings: Mapping[str, Any] = MappingProxyType({})


Settings = dict[str, Any]
LOG, LOGIT, SQUARE = Part("log"), Part("logit"), Part("link", {"kind": "square"})
SIGMOID, HINGE = Part("link", {"kind": "sigmoid"}), Part("link", {"kind": "hinge"})

NOTHING: Final[Settings] = {"psi": None, "phi_inv": LOG, "lam": 0.0, "length_normalise": False}
"""Settings of a wide loss that is zero, which those of a point go on top of."""
REFERRED: Final[Settings] = {"needs": ("ref_logp",), "kappa": 1.0}
REWARDED: Final[Settings] = {"needs": ("ref_logp", "reward"), "kappa": 1.0}


def _dpo(o: Any, **others: Any) -> Settings:
    return REFERRED | {"lam": 1.0, "beta": o.beta} | others


def _pointwise(o: Any, **weights: Any) -> Settings:
    return REFERRED | {"points": True, "beta": o.beta} | weights


def _to_rewards(o: Any, **others: Any) -> Settings:
    return REWARDED | {"beta": o.beta, "eta": o.eta} | others


def _distance(o: Any, name: str, **others: Any) -> Settings:
    return _to_rewards(o, distance=name, fit=1.0, **others)


POINTS: Final[Mapping[type[Objective], Callable[[Any], Settings]]] = MappingProxyType(
    {
        SFT: lambda o: {"psi": LOG, "least": 1},
        GCE: lambda o: {"psi": Part("power", {"exponent": o.q}), "least": 1},
        WeightedSFT: lambda o: {
            "psi": LOG,
            "imitated": "ranking",
            "imitation": 1 / (1 + o.rho),
            "others": o.rho,
        },
        SimPO: lambda o: {"lam": 1.0, "beta": o.beta, "gamma": o.gamma},
        AlphaPO: lambda o: {
            "phi_inv": Part("power", {"exponent": -o.alpha, "tangent": False}),
            "lam": 1.0,
            "beta": o.beta,
            "gamma": o.gamma,
        },
        CPO: lambda o: {
            "psi": LOG,
            "imitation": o.alpha,
            "per_step": True,
            "lam": 1.0,
            "beta": o.beta,
        },
        ORPO: lambda o: {"psi": LOG, "phi_inv": LOGIT, "lam": o.lam},
        BetaORPO: lambda o: {"psi": LOG, "phi_inv": LOGIT, "lam": o.lam, "beta": o.beta},
        DPO: _dpo,
        DPONormalised: _dpo,
        CDPO: lambda o: _dpo(o, noise=o.label_smoothing),
        RobustDPO: lambda o: _dpo(o, noise=-o.label_smoothing / (1 - 2 * o.label_smoothing)),
        IPO: lambda o: REFERRED | {"link": SQUARE, "lam": 1.0, "gamma": 1 / (2 * o.beta)},
        Hinge: lambda o: _dpo(o, link=HINGE, gamma=1.0),
        EXO: lambda o: _dpo(o, link=Part("exo_link", {"label_smoothing": o.label_smoothing})),
        DiscoPOP: lambda o: _dpo(o, link=Part("discopop_link", {"tau": o.tau})),
        ROPO: lambda o: _dpo(o, link=Part("ropo_link", {"alpha": o.alpha})),
        DPOP: lambda o: _dpo(o, guard=o.lam),
        RPO: lambda o: _dpo(o, psi=LOG, imitation=o.alpha, per_step=True),
        NCA: lambda o: _pointwise(o, lift=1.0, lower=0.5, restrain=0.5),
        BCOPair: lambda o: _pointwise(o, lift=1.0, lower=1.0),
        KTOPair: lambda o: _pointwise(o, link=SIGMOID, lift=1.0, lower=1.0, bar=1.0),
        APOZero: lambda o: _pointwise(o, link=SIGMOID, lift=1.0, lower=1.0),
        APODown: lambda o: _pointwise(o, link=SIGMOID, lam=1.0, restrain=1.0),
        SPPO: lambda o: (
            REFERRED
            | {"link": SQUARE, "points": True, "gamma": 1 / (2 * o.beta), "lift": 1.0, "lower": 1.0}
        ),
        DistillDPO: lambda o: _to_rewards(o, link=SQUARE, lam=1.0),
        RPOSquared: lambda o: _to_rewards(o, link=SQUARE, lam=0.5),
        RPOBackward: lambda o: _distance(o, "backward"),
        RPOForward: lambda o: _distance(o, "forward"),
        RPOLeaveOneOut: lambda o: _distance(o, "left_out"),
        RPOMirror: lambda o: _distance(o, "mirror", saturation=o.saturation),
        WDPO: lambda o: REWARDED | {"lam": 0.5, "beta": o.beta, "trust": o.reward_beta},
        FilteredSFT: lambda o: {
            "psi": LOG,
            "needs": ("reward",),
            "least": 1,
            "imitated": "threshold",
            "threshold": o.threshold,
        },
        AWR: lambda o: {
            "psi": LOG,
            "needs": ("reward",),
            "least": 1,
            "imitated": "advantage",
            "temperature": o.temperature,
        },
        Unlikelihood: lambda o: {
            "psi": LOG,
            "imitated": "ranking",
            "pairs": "all",
            "others": -o.beta,
            "rare": o.threshold,
        },
        Reinforce: lambda o: {
            "psi": LOG,
            "needs": ("credit",),
            "least": 1,
            "imitated": "credit",
        },
        MPO: lambda o: {"psi": o.psi, "phi_inv": o.phi_inv, "lam": o.lam},
        MPOReference: lambda o: _dpo(o, phi_inv=o.phi_inv),
        ClosedForm: lambda o: {
            "psi": LOG,
            "imitation": o.alpha,
            "lam": o.lam,
            "beta": o.beta,
        },
        TAMPO: lambda o: {
            "psi": LOG,
            "phi_inv": LOGIT,
            "lam": o.lam,
            "turn": o.turn,
            "fade": 1.0,
            "rise": 1.0,
        },
    }
)
"""Settings of the point that a loss is, as functions of its own."""

_OF_WRITER = "it reads who wrote a response (sampled_logp), and its ratio to that is clipped"
_OF_MINIBATCH = "it pairs a minibatch anew, and a point is a loss of one comparison"
OUTSIDE: Final[Mapping[type[Objective], str]] = MappingProxyType(
    {PPO: _OF_WRITER, GRPO: _OF_WRITER, AOT: _OF_MINIBATCH, AOTUnpaired: _OF_MINIBATCH}
)
"""Losses that are no point, and why."""


def point(objective: Objective, *, free: Sequence[str] = (), temporal: bool = False) -> Wide:
    """Return the wide loss that an objective is; a wide one as it is.

    Args:
      objective: hand-made, or found.
      free: roles ("psi", "phi_inv", "link") to which a function is added that a search may move;
        its weights are zero, so the loss is the same.
      temporal: whether those functions may change with progress.

    Raises:
      RequestError: it is no point of the family, or a role is unknown.
    """
    if isinstance(objective, Wide):
        wide = objective
    elif type(objective) in POINTS:
        wide = _built(settings(type(objective), objective))
    else:
        why = OUTSIDE.get(type(objective), "mpo.objectives.points has no line for it")
        raise RequestError(f"objective {objective.name!r} is no point of the wide family: {why}")
    return _freed(wide, free, temporal)


def settings(kind: type[Objective], own: Any) -> Settings:
    """Return the settings of a point, on top of `NOTHING`.

    Args:
      kind: the class of the loss that it is.
      own: has the settings of that loss as attributes: numbers, or symbols in their place.
    """
    return POINTS[kind](own) | {"length_normalise": own.length_normalise}


def _built(values: Settings) -> Wide:
    made: dict[str, Any] = {
        name: potential(value.name, **value.settings) if isinstance(value, Part) else value
        for name, value in (NOTHING | values).items()
    }
    return Wide(**made)


def _freed(wide: Wide, roles: Sequence[str], temporal: bool) -> Wide:
    added: dict[str, Any] = {}
    for role in roles:
        if role not in list(Role):
            raise unknown("role of the wide family", role, list(Role))
        added[f"{role}_free"] = BasisPotential.of({}, temporal=temporal)
    return Wide(**{**vars(wide), **added})


def names() -> tuple[str, ...]:
    """Return the names of all losses that are points."""
    return tuple(name for name, kind in OBJECTIVES.items() if kind in POINTS)
