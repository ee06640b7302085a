"""The formula of every objective; a new one registers its own.

@formula.register
def _(objective: MyObjective, y: Pair, s: Settings) -> sympy.Expr: ...
"""

import dataclasses
from dataclasses import dataclass
from functools import singledispatch
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import sympy
from sympy import Max

from mpo import objectives as o
from mpo.errors import RequestError
from mpo.expressions.double import in_double
from mpo.expressions.functions import LIBRARY, bernoulli_kl, log_odds, logsigmoid, sigmoid
from mpo.expressions.potentials import PROGRESS, define
from mpo.expressions.system import Definition, Expression, Vector, symbol, used
from mpo.potentials import Potential

Settings = SimpleNamespace  # symbols of the numeric settings, definitions of the potentials

INPUTS: Final = (
    "logp_w", "logp_l", "len_w", "len_l", "ref_logp_w", "ref_logp_l", "reward_w", "reward_l",
    "progress",
)  # fmt: skip
_ALWAYS: Final = ("logp_w", "logp_l")


@dataclass(frozen=True)
class Pair:
    """What a formula is written in: log π, per token if so normalised, and the log-ratios.

    Attributes:
      log_w, log_l: log π of the chosen and of the rejected response.
      ref_w, ref_l: the same under the reference.
      ratio_w, ratio_l: log π/π_ref.
      reward_w, reward_l: explicit rewards.
    """

    log_w: sympy.Symbol
    log_l: sympy.Symbol
    ref_w: sympy.Symbol
    ref_l: sympy.Symbol
    ratio_w: sympy.Symbol = symbol("ratio_w")
    ratio_l: sympy.Symbol = symbol("ratio_l")
    reward_w: sympy.Symbol = symbol("reward_w")
    reward_l: sympy.Symbol = symbol("reward_l")

    @property
    def delta(self) -> sympy.Expr:
        """δ = log π/π_ref(y_w) - log π/π_ref(y_l)."""
        return self.ratio_w - self.ratio_l

    @property
    def reward_gap(self) -> sympy.Expr:
        """Reward of the chosen response less that of the rejected one."""
        return self.reward_w - self.reward_l


def expression(objective: o.Objective) -> Expression:
    """Return the formula of `objective` for one pair (K = 2 where it takes K responses).

    Raises:
      RequestError: no formula is known for it, or it is a batch of objectives.
    """
    objective = in_double(objective)
    settings, constants, potentials = Settings(), dict[str, Any](), list[Definition]()
    for field in dataclasses.fields(objective):
        value = getattr(objective, field.name)
        if isinstance(value, Potential):
            defined = define(value, field.name)
            setattr(settings, field.name, defined.definition)
            potentials.append(defined.definition)
            constants |= defined.constants
        elif not field.metadata.get("static"):
            setattr(settings, field.name, symbol(field.name))
            constants[field.name] = _number(field.name, value)
    pair, parts = _pair(objective.length_normalise)
    loss = _definition(formula(objective, pair, settings), parts, potentials)
    definitions = used(loss, (*LIBRARY, *potentials))
    return Expression(
        name=objective.name,
        summary=(type(objective).__doc__ or "").split("\n", 1)[0],
        loss=loss,
        definitions=definitions,
        constants=_named(constants, (loss, *definitions)),
        length_normalise=objective.length_normalise,
    )


@singledispatch
def formula(objective: o.Objective, y: Pair, s: Settings) -> sympy.Expr:
    """Return the loss of the pair `y` in the settings `s` of `objective`.

    Raises:
      RequestError: nobody wrote a formula for this kind of objective.
    """
    raise RequestError(
        f"no formula is known for objective {objective.name!r}: "
        "register one with mpo.expressions.formula"
    )


@formula.register
def _(objective: o.SFT, y: Pair, s: Settings) -> sympy.Expr:
    return -y.log_w


@formula.register
def _(objective: o.DPO, y: Pair, s: Settings) -> sympy.Expr:
    return -logsigmoid(s.beta * y.delta)


@formula.register
def _(objective: o.CDPO, y: Pair, s: Settings) -> sympy.Expr:
    right = logsigmoid(s.beta * y.delta)
    flipped = logsigmoid(-s.beta * y.delta)
    return -(1 - s.label_smoothing) * right - s.label_smoothing * flipped


@formula.register
def _(objective: o.IPO, y: Pair, s: Settings) -> sympy.Expr:
    return (y.delta - 1 / (2 * s.beta)) ** 2


@formula.register
def _(objective: o.SimPO, y: Pair, s: Settings) -> sympy.Expr:
    return -logsigmoid(s.beta * (y.log_w - y.log_l) - s.gamma)


@formula.register
def _(objective: o.ORPO, y: Pair, s: Settings) -> sympy.Expr:
    return -y.log_w - s.lam * logsigmoid(log_odds(y.log_w) - log_odds(y.log_l))


@formula.register
def _(objective: o.WDPO, y: Pair, s: Settings) -> sympy.Expr:
    return -sigmoid(s.reward_beta * y.reward_gap) * logsigmoid(s.beta * y.delta)


@formula.register
def _(objective: o.DistillDPO, y: Pair, s: Settings) -> sympy.Expr:
    return (s.beta * y.delta - s.eta * y.reward_gap) ** 2


@formula.register
def _(objective: o.RPOSquared, y: Pair, s: Settings) -> sympy.Expr:
    return (s.beta * y.delta - s.eta * y.reward_gap) ** 2 / 2


@formula.register
def _(objective: o.RPOBackward, y: Pair, s: Settings) -> sympy.Expr:
    """KL of two pairs of probabilities: softmax of two numbers is σ of ± their gap."""
    return bernoulli_kl(s.eta * y.reward_gap, s.beta * y.delta)


@formula.register
def _(objective: o.RPOLeaveOneOut, y: Pair, s: Settings) -> sympy.Expr:
    """Of two, each less the other: twice ½ the squared gap between the margins."""
    return (s.beta * y.delta - s.eta * y.reward_gap) ** 2


@formula.register
def _(objective: o.MPO, y: Pair, s: Settings) -> sympy.Expr:
    return -s.psi(y.log_w) - s.lam * logsigmoid(s.phi_inv(y.log_w) - s.phi_inv(y.log_l))


@formula.register
def _(objective: o.MPOReference, y: Pair, s: Settings) -> sympy.Expr:
    return -logsigmoid(
        s.beta * (s.phi_inv(y.log_w) - s.phi_inv(y.ref_w) - s.phi_inv(y.log_l) + s.phi_inv(y.ref_l))
    )


@formula.register
def _(objective: o.ClosedForm, y: Pair, s: Settings) -> sympy.Expr:
    return -s.alpha * y.log_w - s.lam * logsigmoid(s.beta * (y.log_w - y.log_l))


Parts = tuple[tuple[sympy.Symbol, sympy.Expr], ...]


def _pair(per_token: bool) -> tuple[Pair, Parts]:
    """Return the names formulas are written in, and what they stand for."""
    inputs = {name: symbol(name) for name in INPUTS}
    sums = [inputs[f"{kind}_{side}"] for kind in ("logp", "ref_logp") for side in "wl"]
    parts: Parts = ()
    if per_token:
        names = [symbol(f"log_{kind}_{side}") for kind in ("pi", "ref") for side in "wl"]
        lengths = [inputs["len_w"], inputs["len_l"]] * 2
        parts = tuple(
            (name, total / Max(length, 1))
            for name, total, length in zip(names, sums, lengths, strict=True)
        )
        sums = names
    pair = Pair(*sums)
    ratios = ((pair.ratio_w, sums[0] - sums[2]), (pair.ratio_l, sums[1] - sums[3]))
    return pair, (*parts, *ratios)


def _definition(value: sympy.Expr, parts: Parts, potentials: list[Definition]) -> Definition:
    """Return the loss with the parts and inputs it needs."""
    needed = set(value.free_symbols)
    kept = []
    for name, whole in reversed(parts):
        if name in needed:
            kept.append((name, whole))
            needed |= whole.free_symbols
    if any(PROGRESS in part.free_symbols for p in potentials for part in p.expressions()):
        needed.add(PROGRESS)
    names = {str(one) for one in needed} | set(_ALWAYS)
    parameters = tuple(symbol(name) for name in INPUTS if name in names)
    return Definition("loss", parameters, value, tuple(reversed(kept)))


def _named(
    constants: dict[str, float | Vector], definitions: tuple[Definition, ...]
) -> dict[str, float | Vector]:
    """Return those constants that the definitions name."""
    free = {
        str(one)
        for definition in definitions
        for part in definition.expressions()
        for one in part.free_symbols
    }
    return {name: value for name, value in constants.items() if name in free}


def _number(name: str, value: Any) -> float:
    if np.ndim(value) != 0:
        raise RequestError(
            f"a formula is of one objective, and setting {name!r} holds {np.size(value)} numbers"
        )
    return float(value)
