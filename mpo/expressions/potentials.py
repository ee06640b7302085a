"""The formula of every kind of potential; a new kind registers its own.

@define.register
def _(potential: MyPotential, name: str) -> Defined: ...
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import singledispatch
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from sympy import Indexed, IndexedBase, Sum, exp, tanh
from sympy.codegen.cfunctions import expm1

from mpo.errors import RequestError
from mpo.expressions import functions as f
from mpo.expressions.system import UNIT, Definition, Vector, symbol
from mpo.mirror import Numeric
from mpo.nonnegative import positivity
from mpo.potentials import (
    ACTIVATIONS,
    BasisPotential,
    Euclidean,
    Log,
    Logit,
    NetworkPotential,
    Potential,
    Role,
    Tsallis,
)
from mpo.potentials.network import LEAST_SLOPE

LOG_X: Final = symbol("log_x")
PROGRESS: Final = symbol("progress")


@dataclass(frozen=True)
class Defined:
    """A potential as a definition in log x and progress, with the vectors it names."""

    definition: Definition
    constants: Mapping[str, Vector] = field(default_factory=dict)


@singledispatch
def define(potential: Potential, name: str) -> Defined:
    """Return the formula of `potential` as a function called `name` of log x.

    Raises:
      RequestError: nobody wrote a formula for this kind of potential.
    """
    raise RequestError(
        f"no formula is known for a potential of kind {type(potential).__name__}: "
        "register one with mpo.expressions.define"
    )


@define.register
def _(potential: Log, name: str) -> Defined:
    return _plain(name, LOG_X + float(potential.shift))


@define.register
def _(potential: Logit, name: str) -> Defined:
    return _plain(name, f.log_odds(LOG_X))


@define.register
def _(potential: Euclidean, name: str) -> Defined:
    return _plain(name, exp(LOG_X) / float(potential.slope))


@define.register
def _(potential: Tsallis, name: str) -> Defined:
    power = float(potential.alpha) - 1
    return _plain(name, expm1(power * LOG_X) / power)


@define.register
def _(potential: Numeric, name: str) -> Defined:
    return define(potential.potential, name)


BASIS: Final[dict[str, Callable[[sympy.Expr], sympy.Expr]]] = {
    "log": lambda log_x: log_x,
    "logit": f.log_odds,
    "x": f.probability,
    "sqrt": lambda log_x: exp(f.log_probability(log_x) / 2),
    "square": lambda log_x: f.probability(log_x) ** 2,
    "exp": lambda log_x: f.capped_exp(f.probability(log_x)),
    "log_sigmoid": f.logsigmoid,
    "softplus": lambda log_x: -f.logsigmoid(-log_x),
    "sigmoid": f.sigmoid,
    "signed_sqrt": f.signed_sqrt,
    "signed_log": f.signed_log,
    "signed_square": f.signed_square,
}


@define.register
def _(potential: BasisPotential, name: str) -> Defined:
    start = _weight(potential.positive, potential.weight, dimensions=1)
    end = start
    if potential.weight_end is not None:
        end = _weight(potential.positive, potential.weight_end, dimensions=1)
    terms = (
        (tidy(first) + tidy(_change(first, last)) * PROGRESS) * BASIS[function](LOG_X)
        for function, first, last in zip(potential.library, start, end, strict=True)
    )
    return _plain(name, sympy.Add(*terms))


_OF_VALUE: Final[dict[str, Callable[[sympy.Expr], sympy.Expr]]] = {
    "identity": lambda u: u,
    "square": f.positive_square,
    "cube": lambda u: u**3,
    "exp": f.tangent_exp,
    "tanh": tanh,
}
_OF_LOG: Final[dict[str, Callable[[sympy.Expr], sympy.Expr]]] = {
    "sqrt": lambda log_u: exp(log_u / 2),
    "cbrt": lambda log_u: exp(log_u / 3),
    "log": lambda log_u: log_u,
    "logit": f.log_odds,
}
_SKIP: Final = {Role.PSI: LOG_X, Role.PHI_INV: f.log_odds(LOG_X)}


@define.register
def _(potential: NetworkPotential, name: str) -> Defined:
    slope = _weight(potential.positive, potential.slope, dimensions=2)
    end = slope
    if potential.slope_end is not None:
        end = _weight(potential.positive, potential.slope_end, dimensions=2)
    bias = np.asarray(potential.bias, float)
    output = _weight(potential.positive, potential.output, dimensions=2) / bias.shape[1]
    skip = _weight(potential.positive, potential.skip, dimensions=0)
    x, log_x = symbol("x"), symbol("log_x_bounded")
    constants: dict[str, Vector] = {}
    parts = [(x, f.probability(LOG_X)), (log_x, f.log_probability(LOG_X))]
    value = tidy(float(skip)) * _SKIP[potential.role]
    for row, activation in enumerate(ACTIVATIONS):
        acting = output[row] > 0
        if not acting.any():
            continue
        of_log = activation in _OF_LOG
        vectors = {
            "w": output[row],
            "s": slope[row] + (LEAST_SLOPE if of_log else 0),
            "e": np.vectorize(_change)(slope[row], end[row]),
            "b": bias[row],
        }
        w, s, e, b = (
            _vector(f"{name}_{activation}_{letter}", values[acting], constants)
            for letter, values in vectors.items()
        )
        if of_log:
            unit = _OF_LOG[activation](f.log_positive_part(s + e * PROGRESS, log_x, b))
        else:
            unit = _OF_VALUE[activation]((s + e * PROGRESS) * x + b)
        total = symbol(f"{activation}_units")
        parts.append((total, Sum(w * unit, (UNIT, 0, int(acting.sum()) - 1))))
        value += total
    called_for = {one for whole in (value, *(w for _, w in parts)) for one in whole.free_symbols}
    needed = tuple(part for part in parts if part[0] in called_for)
    return Defined(Definition(name, (LOG_X,), value, needed), constants)


def _vector(name: str, values: np.ndarray, constants: dict[str, Vector]) -> sympy.Expr:
    """Return the j-th of these numbers, and note them under `name`, unless all are zero."""
    if not np.any(values):
        return sympy.Integer(0)
    constants[name] = tuple(map(_significant, values))
    return Indexed(IndexedBase(name, real=True), UNIT)


def _plain(name: str, value: sympy.Expr) -> Defined:
    return Defined(Definition(name, (LOG_X,), value))


def _weight(positive: str, parameter: Any, dimensions: int) -> np.ndarray:
    """Return weights ≥ 0 in double precision, of one potential."""
    if np.ndim(parameter) != dimensions:
        raise RequestError("a formula is of one objective, and this is a batch of them")
    with jax.enable_x64(True):
        return np.asarray(positivity(positive).weight(jnp.asarray(np.asarray(parameter), float)))


def tidy(value: float) -> sympy.Expr:
    """Return a number, an integer as such, for sympy to drop 0 · and 1 ·."""
    rounded = _significant(value)
    return sympy.Integer(rounded) if rounded.is_integer() else sympy.Float(rounded)


def _significant(value: float) -> float:
    """Return `value` to 15 digits: 0.3 where a weight came out as 0.30000000000000004."""
    return float(f"{value:.15g}")


def _change(first: float, last: float) -> float:
    """Return `last` - `first`, subtracted as decimals: 0.3 for 0.4 and 0.1."""
    return float(Decimal(repr(_significant(last))) - Decimal(repr(_significant(first))))
