"""The formula of a potential that reads better by hand than as it is traced.

That is one: a network, traced, is a term for each of its units, where a sum over them says it in a
line. Only the sum is by hand: what a unit does is traced from its activation. A potential that is
not registered here is traced, whoever wrote it.

@define.register
def _(potential: MyPotential, name: str) -> Defined: ...
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from sympy import Indexed, IndexedBase, Sum

from mpo.expressions import tracing
from mpo.expressions.numbers import change, significant, tidy
from mpo.expressions.system import LOG_X, PROGRESS, UNIT, Definition, Vector, symbol
from mpo.logspace import log_positive_part, log_probability, probability
from mpo.nonnegative import positivity
from mpo.potentials import ACTIVATIONS, NetworkPotential, Potential
from mpo.potentials.base import ORPO
from mpo.potentials.network import LEAST_SLOPE, OF_LOG, OF_VALUE


@dataclass(frozen=True)
class Defined:
    """A potential as a definition in log x and progress, with vectors and functions it names."""

    definition: Definition
    constants: Mapping[str, Vector] = field(default_factory=dict)
    functions: tuple[Definition, ...] = ()


@singledispatch
def define(potential: Potential, name: str) -> Defined | None:
    """Return the formula of `potential` as a function called `name` of log x, if it is by hand."""
    return None


@define.register
def _(potential: NetworkPotential, name: str) -> Defined:
    slope = _weight(potential.positive, potential.slope)
    end = slope
    if potential.slope_end is not None:
        end = _weight(potential.positive, potential.slope_end)
    bias = np.asarray(potential.bias, float)
    output = _weight(potential.positive, potential.output) / bias.shape[1]
    skip = float(_weight(potential.positive, potential.skip))
    follower = tracing.Follower(f"potential {name!r}")
    x, log_x = symbol("x"), symbol("log_x_bounded")
    constants: dict[str, Vector] = {}
    parts = [
        (x, follower.value(probability, LOG_X)),
        (log_x, follower.value(log_probability, LOG_X)),
    ]
    value = tidy(skip) * follower.value(ORPO[potential.role], LOG_X)
    for row, activation in enumerate(ACTIVATIONS):
        acting = output[row] > 0
        if not acting.any():
            continue
        of_log = activation in OF_LOG
        vectors = {
            "w": output[row],
            "s": slope[row] + (LEAST_SLOPE if of_log else 0),
            "e": np.vectorize(change)(slope[row], end[row]),
            "b": bias[row],
        }
        w, s, e, b = (
            _vector(f"{name}_{activation}_{letter}", values[acting], constants)
            for letter, values in vectors.items()
        )
        if of_log:
            log_u = follower.value(log_positive_part, s + e * PROGRESS, log_x, b)
            unit = follower.value(OF_LOG[activation], log_u)
        else:
            unit = follower.value(OF_VALUE[activation], (s + e * PROGRESS) * x + b)
        total = symbol(f"{activation}_units")
        parts.append((total, Sum(w * unit, (UNIT, 0, int(acting.sum()) - 1))))
        value += total
    called_for = {one for whole in (value, *(w for _, w in parts)) for one in whole.free_symbols}
    needed = tuple(part for part in parts if part[0] in called_for)
    definition = Definition(name, (LOG_X,), value, needed)
    return Defined(definition, constants, tuple(follower.definitions))


def _vector(name: str, values: np.ndarray, constants: dict[str, Vector]) -> sympy.Expr:
    """Return the j-th of these numbers, and note them under `name`, unless all are zero."""
    if not np.any(values):
        return sympy.Integer(0)
    constants[name] = tuple(map(significant, values))
    return Indexed(IndexedBase(name, real=True), UNIT)


def _weight(positive: str, parameter: Any) -> np.ndarray:
    """Return weights ≥ 0 in double precision."""
    with jax.enable_x64(True):
        return np.asarray(positivity(positive).weight(jnp.asarray(np.asarray(parameter), float)))
