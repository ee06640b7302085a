"""The functions that formulas are made of, in the log domain: those of `mpo.logspace`, in sympy.

Two kinds. `logsigmoid`, `sigmoid`, `expm1` and `log1p` are known to every array library in
a numerically stable form, and stay whole when a formula is printed. The others are
definitions, which a printed formula brings along where it uses them. They follow
`mpo.logspace` and `mpo.potentials` branch by branch, so that values and gradients are the
same at every input, also where two branches meet.
"""

import math
from typing import Any, Final

import sympy
from sympy import Abs, Max, Min, Piecewise, exp, log, sqrt
from sympy.codegen.cfunctions import expm1, log1p

from mpo.expressions.system import Definition, symbol
from mpo.logspace import HEADROOM, LOWEST_INVERTED


class logsigmoid(sympy.Function):
    """log(1 / (1 + e^-x)), evaluated as one."""

    is_real = True

    def _eval_rewrite_as_log(self, x: sympy.Expr, **hints: Any) -> sympy.Expr:
        return -log(1 + exp(-x))


class sigmoid(sympy.Function):
    """1 / (1 + e^-x), evaluated as one."""

    is_real = True

    def _eval_rewrite_as_exp(self, x: sympy.Expr, **hints: Any) -> sympy.Expr:
        return 1 / (1 + exp(-x))


_log_x, _x, _u = symbol("log_x"), symbol("x"), symbol("u")
_a, _b = symbol("a"), symbol("b")
_slope, _bias = symbol("slope"), symbol("bias")
_below, _above, _size = symbol("below"), symbol("above"), symbol("size")
_lowest, _total = symbol("lowest"), symbol("total")


def _odd(half: sympy.Expr) -> sympy.Expr:
    """Return what is `half` for log x > 0, and minus that of the other sign below."""
    return Piecewise((half, _log_x > 0), (-half, True))


# |log x|, with a slope at zero, where that of Abs is none.
_SIZE: Final = ((_size, Piecewise((_log_x, _log_x > 0), (-_log_x, True))),)

probability: Final = Definition(
    "probability",
    (_log_x,),
    Piecewise((1 + _log_x, _log_x > 0), (exp(_below), True)),
    parts=((_below, Piecewise((0, _log_x > 0), (_log_x, True))),),
    summary="x, continued by its tangent 1 + log x above x = 1",
)
log_probability: Final = Definition(
    "log_probability",
    (_log_x,),
    Piecewise((log1p(_above), _log_x > 0), (_log_x, True)),
    parts=((_above, Max(_log_x, 0)),),
    summary="log of `probability`",
)
log_odds: Final = Definition(
    "log_odds",
    (_log_x,),
    _log_x - log(-expm1(_below)),
    parts=((_below, Min(_log_x, math.log1p(-HEADROOM))),),
    summary=f"log x / (1 - x), with 1 - x never below {HEADROOM:g}",
)
capped_exp: Final = Definition(
    "capped_exp",
    (_x,),
    exp(_below) * (1 + _above),
    parts=((_below, Min(_x, 1)), (_above, Max(_x - 1, 0))),
    summary="e^x, continued by its tangent above x = 1",
)
signed_sqrt: Final = Definition(
    "signed_sqrt",
    (_log_x,),
    _odd(2 * (sqrt(1 + _size) - 1)),
    parts=_SIZE,
    summary="odd, with slope 1 / sqrt(1 + |log x|)",
)
signed_log: Final = Definition(
    "signed_log",
    (_log_x,),
    _odd(log1p(_size)),
    parts=_SIZE,
    summary="odd, with slope 1 / (1 + |log x|)",
)
signed_square: Final = Definition(
    "signed_square", (_log_x,), _log_x * Abs(_log_x) / 2, summary="odd, with slope |log x|"
)
tangent_exp: Final = Definition(
    "tangent_exp",
    (_u,),
    Piecewise(
        (math.exp(10) * (1 + _u - 10), _u > 10),
        (exp(Piecewise((0, _u > 10), (_u, True))), True),
    ),
    summary="e^u, continued by its tangent above u = 10",
)
positive_square: Final = Definition(
    "positive_square", (_u,), Piecewise((_u**2, _u > 0), (0, True)), summary="u² where u > 0"
)
log_positive_part: Final = Definition(
    "log_positive_part",
    (_slope, _log_x, _bias),
    Piecewise((_lowest, _bias > 0), (_log_x, True)) + log(_total),
    parts=(
        (_lowest, Max(_log_x, LOWEST_INVERTED)),
        (_total, Max(_slope + _bias * exp(-_lowest), HEADROOM * _slope)),
    ),
    summary=f"log(slope x + bias), never below that of {HEADROOM:g} slope x",
)
bernoulli_kl: Final = Definition(
    "bernoulli_kl",
    (_a, _b),
    sympy.Add(
        *(exp(logsigmoid(s * _a)) * (logsigmoid(s * _a) - logsigmoid(s * _b)) for s in (1, -1))
    ),
    summary="KL divergence of σ(a) from σ(b)",
)

# Callees before callers.
LIBRARY: Final = (
    probability, log_probability, log_odds, capped_exp, signed_sqrt, signed_log, signed_square,
    tangent_exp, positive_square, log_positive_part, bernoulli_kl,
)  # fmt: skip
