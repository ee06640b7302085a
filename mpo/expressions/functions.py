"""Functions that stay whole in a formula, beside those of sympy.

Every array library has them in a numerically stable form, or a line that makes one.
"""

import math
from typing import Any

import sympy


class logsigmoid(sympy.Function):
    """log(1 / (1 + e^-x)), evaluated as one."""

    is_real = True

    @classmethod
    def eval(cls, *arguments: sympy.Expr) -> sympy.Expr | None:
        """Return a number for a number."""
        if not arguments[0].is_Number:
            return None
        value = float(arguments[0])
        return sympy.Float(min(value, 0.0) - math.log1p(math.exp(-abs(value))))

    def _eval_rewrite_as_log(self, x: sympy.Expr, **hints: Any) -> sympy.Expr:
        return -sympy.log(1 + sympy.exp(-x))


class sigmoid(sympy.Function):
    """1 / (1 + e^-x), evaluated as one."""

    is_real = True

    @classmethod
    def eval(cls, *arguments: sympy.Expr) -> sympy.Expr | None:
        """Return ½ at zero, where a role is empty."""
        return sympy.S.Half if arguments[0] == 0 else None

    def _eval_rewrite_as_exp(self, x: sympy.Expr, **hints: Any) -> sympy.Expr:
        return 1 / (1 + sympy.exp(-x))


class stop_gradient(sympy.Function):
    """x, of which no gradient is taken."""

    is_real = True

    def _eval_evalf(self, prec: int) -> sympy.Expr:
        return self.args[0]._eval_evalf(prec)
