"""Which point of the wide family each loss is, in words: settings as formulas of its own."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import sympy

from mpo.objectives import OBJECTIVES, Objective, Wide
from mpo.objectives.points import OUTSIDE, POINTS, Part, settings

SYMBOLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alpha": "α", "beta": "β", "eta": "η", "gamma": "γ", "kappa": "κ", "lam": "λ", "rho": "ρ",
        "tau": "τ", "label_smoothing": "ε", "noise": "ε", "reward_beta": "β₂", "psi": "ψ",
        "phi_inv": "φ⁻¹", "link": "g", "imitation": "c", "turn": "p",
    }
)  # fmt: skip
"""How settings are written, of the family and of losses."""

SAID_OTHERWISE: Final = ("least", "points", "length_normalise", "needs")


class _Own:
    """The settings of a loss as symbols."""

    def __init__(self, kind: type[Objective]) -> None:
        self.length_normalise = kind.length_normalise

    def __getattr__(self, name: str) -> sympy.Symbol:
        return sympy.Symbol(SYMBOLS.get(name, name), positive=True)


def said() -> dict[str, str]:
    """Return which point every loss is that has a name, or why it is none."""
    return {name: _said(kind) for name, kind in OBJECTIVES.items() if kind is not Wide}


def _said(kind: type[Objective]) -> str:
    if kind in OUTSIDE:
        return f"none: {OUTSIDE[kind]}"
    if kind not in POINTS:
        return "none: mpo.objectives.points has no line for it"
    found = settings(kind, _Own(kind))
    order = [one.name for one in dataclasses.fields(Wide) if one.name in found]
    words = [_setting(name, found[name]) for name in order if name not in SAID_OTHERWISE]
    words += ["per step"] if found["length_normalise"] else []
    words += [f"reads {', '.join(found['needs'])}"] if "needs" in found else []
    return "; ".join(words)


def _setting(name: str, value: Any) -> str:
    own = SYMBOLS.get(name, name)
    if isinstance(value, Part):
        numbers = ", ".join(_setting(key, one) for key, one in value.settings.items())
        kind = value.settings.get("kind")
        return f"{own} = {kind or value.name}" + (f" ({numbers})" if numbers and not kind else "")
    if value is True:
        return "ψ per step"
    if isinstance(value, float):
        value = f"{value:g}"
    shown = str(value).replace("**", "^").replace("*", " ")
    return own if shown == own else f"{own} = {shown}"
