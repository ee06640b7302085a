"""sympy's Python printers, told what our formulas need: stable functions, definitions, vectors.

A definition is called by its name. A sum over the units of a network is one over the last
axis, which the numbers of a pair are given there, so that they meet every unit.
"""

from collections.abc import Mapping
from typing import Any, Final

import sympy
from sympy.printing.numpy import JaxPrinter
from sympy.printing.pycode import AbstractPythonCodePrinter


def readable(terms: list[sympy.Expr]) -> list[sympy.Expr]:
    """Return the terms of a sum in order: those without a minus first, and simple ones first."""
    return sorted(terms, key=lambda term: (bool(term.could_extract_minus_sign()), term.count_ops()))


class ArrayPrinter(AbstractPythonCodePrinter):
    """What array libraries share: the same operations, under the name of the library."""

    library: str
    among_units = False

    def extremum(self, function: str, variable: str, bound: sympy.Expr) -> str:
        """Return the text of a maximum or minimum of a text and `bound`, which may be a number."""
        return f"{self.library}.{function}({variable}, {self._print(bound)})"

    def _print_Min(self, expr: Any) -> str:
        return self._extremum("minimum", expr)

    def _print_Max(self, expr: Any) -> str:
        return self._extremum("maximum", expr)

    def _extremum(self, function: str, expr: Any) -> str:
        first, *others = sorted(expr.args, key=lambda argument: bool(argument.is_number))
        text = self._print(first)
        for other in reversed(others):  # a number before the rest, for the shortest text
            text = self.extremum(function, text, other)
        return text

    def _as_ordered_terms(self, expr: Any, order: str | None = None) -> list[sympy.Expr]:
        return readable(super()._as_ordered_terms(expr, order))

    def _print_AppliedUndef(self, expr: Any) -> str:
        return f"{expr.func.__name__}({', '.join(map(self._print, expr.args))})"

    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))

    def _print_Pow(self, expr: Any) -> str:
        return self._hprint_Pow(expr, sqrt=f"{self.library}.sqrt")

    def _print_Mul(self, expr: Any) -> str:
        factor = expr.as_coeff_Mul()[0]
        if not factor.is_Rational or factor.is_Integer:
            return super()._print_Mul(expr)
        above, below = sympy.fraction(abs(factor) * (expr / factor), exact=True)  # x / 2, not ½ x
        sign = "-" if factor < 0 else ""
        return f"{sign}({self._print(above)})/({self._print(below)})"

    def _print_Relational(self, expr: Any) -> str:
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"

    def _print_Piecewise(self, expr: Any) -> str:
        (value, condition), *rest = expr.args
        if condition == sympy.true:
            return self._print(value)
        where, otherwise = f"{self.library}.where", self._print(sympy.Piecewise(*rest))
        return f"{where}({self._print(condition)}, {self._print(value)}, {otherwise})"

    def _print_Symbol(self, expr: Any) -> str:
        name = super()._print_Symbol(expr)
        return f"{name}[..., None]" if self.among_units else name

    def _print_Indexed(self, expr: Any) -> str:
        return str(expr.base)

    def _print_Sum(self, expr: Any) -> str:
        self.among_units = True
        try:
            return f"{self.library}.sum({self._print(expr.function)}, -1)"
        finally:
            self.among_units = False


class Jax(ArrayPrinter, JaxPrinter):
    """sympy's printer of JAX, with `jnp` for jax.numpy."""

    library = "jnp"
    _kf: Final[Mapping[str, str]] = JaxPrinter._kf | {
        "logsigmoid": "jax.nn.log_sigmoid",
        "sigmoid": "jax.nn.sigmoid",
        "Abs": "jax.numpy.abs",
    }

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return super()._module_format(fqn, register).replace("jax.numpy.", "jnp.")
