"""What JAX's primitives are in a formula.

`ELEMENTWISE` acts on numbers, `REDUCTIONS` makes one of several, `RUNNING` one of those up to
each, `MOVES` only puts them in other places, and `WHOLE` and `OF_TWO` are functions of JAX that
formulas have a name for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import sympy
from sympy.codegen.cfunctions import expm1, log1p

from mpo.expressions.functions import logsigmoid, sigmoid, stop_gradient

Parameters = Mapping[str, Any]


def cases(condition: Any, otherwise: Any, value: Any) -> Any:
    """Return `value` where the condition holds, and `otherwise` elsewhere."""
    return sympy.Piecewise((value, condition), (otherwise, True))


def _converted(p: Parameters, x: Any) -> Any:
    """Return a number in another dtype; a condition as zero or one."""
    if isinstance(x, sympy.logic.boolalg.Boolean):
        return (
            x
            if np.dtype(p["new_dtype"]) == np.dtype(bool)
            else cases(x, sympy.Integer(0), sympy.Integer(1))
        )
    if not np.issubdtype(p["new_dtype"], np.floating):
        raise NotImplementedError(f"a conversion to {np.dtype(p['new_dtype']).name}")
    return x


def _exp(p: Parameters, x: Any) -> Any:
    """Return e^x, a sigmoid where it is one."""
    return sigmoid(*x.args) if isinstance(x, logsigmoid) else sympy.exp(x)


def _greater(p: Parameters, x: Any, y: Any) -> Any:
    """Return whether x > y; a sigmoid is above zero."""
    return sympy.true if isinstance(x, sigmoid) and y == 0 else sympy.Gt(x, y)


ELEMENTWISE: Final[Mapping[str, Callable[..., Any]]] = {
    "abs": lambda p, x: cases(sympy.Ge(x, 0), -x, x),  # where 0 is, it has a slope of 1 in JAX
    "add": lambda p, x, y: x + y,
    "add_any": lambda p, x, y: x + y,
    "and": lambda p, x, y: sympy.And(x, y),
    "clamp": lambda p, low, x, high: sympy.Min(sympy.Max(x, low), high),
    "convert_element_type": _converted,
    "copy": lambda p, x: x,
    "cos": lambda p, x: sympy.cos(x),
    "div": lambda p, x, y: x / y,
    "eq": lambda p, x, y: sympy.Eq(x, y),
    "exp": _exp,
    "expm1": lambda p, x: expm1(x),
    "ge": lambda p, x, y: sympy.Ge(x, y),
    "gt": _greater,
    "integer_pow": lambda p, x: x ** p["y"],
    "is_finite": lambda p, x: sympy.true,  # log-probabilities are, in what is exported
    "le": lambda p, x, y: sympy.Le(x, y),
    "log": lambda p, x: sympy.log(x),
    "log1p": lambda p, x: log1p(x),
    "logistic": lambda p, x: sigmoid(x),
    "lt": lambda p, x, y: sympy.Lt(x, y),
    "max": lambda p, x, y: sympy.Max(x, y),
    "min": lambda p, x, y: sympy.Min(x, y),
    "mul": lambda p, x, y: x * y,
    "ne": lambda p, x, y: sympy.Ne(x, y),
    "neg": lambda p, x: -x,
    "not": lambda p, x: sympy.Not(x),
    "or": lambda p, x, y: sympy.Or(x, y),
    "pow": lambda p, x, y: x**y,
    "rsqrt": lambda p, x: 1 / sympy.sqrt(x),
    "select_n": lambda p, condition, *values: cases(condition, *values),
    "sign": lambda p, x: sympy.sign(x),
    "sin": lambda p, x: sympy.sin(x),
    "sqrt": lambda p, x: sympy.sqrt(x),
    "square": lambda p, x: x**2,
    "stop_gradient": lambda p, x: stop_gradient(x),
    "sub": lambda p, x, y: x - y,
    "tanh": lambda p, x: sympy.tanh(x),
}
REDUCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "reduce_and": sympy.And,
    "reduce_max": sympy.Max,
    "reduce_min": sympy.Min,
    "reduce_or": sympy.Or,
    "reduce_prod": sympy.Mul,
    "reduce_sum": sympy.Add,
}
RUNNING: Final[Mapping[str, Callable[..., Any]]] = {
    "cummax": sympy.Max,
    "cummin": sympy.Min,
    "cumprod": sympy.Mul,
    "cumsum": sympy.Add,
}
# How many of the first operands are moved, where the others say to which places; None: all are.
MOVES: Final[Mapping[str, int | None]] = {
    "broadcast_in_dim": None, "concatenate": None, "dynamic_slice": 1, "expand_dims": None,
    "gather": 1, "pad": None, "reshape": None, "rev": None, "slice": None, "split": None,
    "squeeze": None, "stack": None, "transpose": None, "unstack": None,
}  # fmt: skip


# Functions of JAX, by name, that are one where JAX writes out several steps: of numbers, element
# by element, and of two numbers, whose shares are sigmoids of their gap.
WHOLE: Final[Mapping[str, Callable[..., Any]]] = {
    "log_sigmoid": logsigmoid,
    "logaddexp": lambda x, y: y - logsigmoid(y - x),
}
OF_TWO: Final[Mapping[str, Callable[[Any], Any]]] = {"log_softmax": logsigmoid}
