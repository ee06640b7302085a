"""sympy's Python printers, told what our formulas need: stable functions, definitions, vectors.

A definition is called by its name. A sum over the units of a network is one over the last
axis, which the numbers of a pair are given there, so that they meet every unit.
"""

from collections.abc import Mapping
from typing import Any, Final

import sympy
from sympy.printing.numpy import JaxPrinter, NumPyPrinter
from sympy.printing.pycode import AbstractPythonCodePrinter


def readable(terms: list[sympy.Expr]) -> list[sympy.Expr]:
    """Return the terms of a sum in order: those without a minus first, and simple ones first."""
    return sorted(terms, key=lambda term: (bool(term.could_extract_minus_sign()), term.count_ops()))


class ArrayPrinter(AbstractPythonCodePrinter):
    """What array libraries share: the same operations, under the name of the library."""

    library: str
    among_units = False

    def extremum(self, function: str, variable: str, bound: sympy.Expr, like: str) -> str:
        """Return the text of a maximum or minimum.

        Args:
          function: "maximum" or "minimum".
          variable: what it is of, as text.
          bound: the other, perhaps a number.
          like: an array of the shape of both, as text.
        """
        return f"{self.library}.{function}({variable}, {self._print(bound)})"

    def _print_Min(self, expr: Any) -> str:
        return self._extremum("minimum", expr)

    def _print_Max(self, expr: Any) -> str:
        return self._extremum("maximum", expr)

    def _extremum(self, function: str, expr: Any) -> str:
        first, *others = sorted(expr.args, key=lambda argument: bool(argument.is_number))
        text = self._print(first)
        like = self._print(min(expr.free_symbols, key=_an_array_first))
        for other in reversed(others):  # a number before the rest, for the shortest text
            text = self.extremum(function, text, other, like)
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

    def _print_And(self, expr: Any) -> str:
        return " & ".join(f"({self._print(one)})" for one in expr.args)

    def _print_Or(self, expr: Any) -> str:
        return " | ".join(f"({self._print(one)})" for one in expr.args)

    def _print_Not(self, expr: Any) -> str:
        return f"~({self._print(expr.args[0])})"

    def _print_Piecewise(self, expr: Any) -> str:
        (value, condition), *rest = expr.args
        if condition == sympy.true:
            return self._print(value)
        text = self._print(value)
        if all(other.is_number for other, _ in expr.args):  # else it has a dtype of its own
            like = self._print(min(condition.free_symbols, key=str))
            text = f"{self.library}.full_like({like}, {text})"
        where, otherwise = f"{self.library}.where", self._print(sympy.Piecewise(*rest))
        return f"{where}({self._print(condition)}, {text}, {otherwise})"

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
        "stop_gradient": "jax.lax.stop_gradient",
    }

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return super()._module_format(fqn, register).replace("jax.numpy.", "jnp.")


class NumPy(ArrayPrinter, NumPyPrinter):
    """sympy's printer of NumPy, with what stands for the stable functions that it lacks."""

    library = "np"

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return super()._module_format(fqn, register).replace("numpy.", "np.")

    def _print_logsigmoid(self, expr: Any) -> str:
        return f"-np.logaddexp(0, {self._print(-expr.args[0])})"

    def _print_sigmoid(self, expr: Any) -> str:
        return f"np.exp({self._print_logsigmoid(expr)})"

    def _print_stop_gradient(self, expr: Any) -> str:
        return f"({self._print(expr.args[0])})"


class Mlx(NumPy):
    """The printer of MLX, whose functions are NumPy's, and some of the stable ones."""

    library = "mx"

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return super()._module_format(fqn, register).replace("np.", "mx.")

    def _print_logsigmoid(self, expr: Any) -> str:
        return f"-mx.logaddexp(0, {self._print(-expr.args[0])})"

    def _print_sigmoid(self, expr: Any) -> str:
        return f"mx.sigmoid({self._print(expr.args[0])})"

    def _print_stop_gradient(self, expr: Any) -> str:
        return f"mx.stop_gradient({self._print(expr.args[0])})"


def _an_array_first(symbol: sympy.Symbol) -> tuple[bool, str]:
    """Return what symbols are sorted by: those of a response, which end so, before numbers."""
    return not str(symbol).endswith(("_w", "_l", "_x")), str(symbol)
