"""sympy's PyTorch and JAX printers, told what our formulas need: stable functions, and vectors."""

from typing import Any

import sympy
from sympy.printing.numpy import JaxPrinter
from sympy.printing.pycode import AbstractPythonCodePrinter

# A definition is called by name; a sum over the units of a network is one over the last axis,
# which the numbers of a pair are given so that they meet every unit.


class _Arrays(AbstractPythonCodePrinter):
    """What the two languages share: array operations of the same names."""

    library: str
    among_units = False

    def definition_called(self, name: str) -> str:
        """Return how a definition is called in the text."""
        return name

    def _print_AppliedUndef(self, expr: Any) -> str:
        return f"{expr.func.__name__}({', '.join(map(self._print, expr.args))})"

    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))

    def _print_Relational(self, expr: Any) -> str:
        return f"{self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)}"

    def _print_Piecewise(self, expr: Any) -> str:
        (value, condition), *rest = expr.args
        if condition == sympy.true:
            return self._print(value)
        otherwise = self._print(sympy.Piecewise(*rest))
        return f"{self.library}.where({self._print(condition)}, {self._print(value)}, {otherwise})"

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


class Jax(_Arrays, JaxPrinter):
    """sympy's printer of JAX, with `jnp` for jax.numpy."""

    library = "jnp"
    _kf = JaxPrinter._kf | {"logsigmoid": "jax.nn.log_sigmoid", "sigmoid": "jax.nn.sigmoid"}

    def _module_format(self, fqn: str, register: bool = True) -> str:
        return super()._module_format(fqn, register).replace("jax.numpy.", "jnp.")

    def _print_minimum(self, expr: Any) -> str:
        return self._extremum("jnp.minimum", expr)

    def _print_maximum(self, expr: Any) -> str:
        return self._extremum("jnp.maximum", expr)

    def _extremum(self, function: str, expr: Any) -> str:
        return f"{function}({', '.join(map(self._print, _variable_first(expr)))})"


def _variable_first(extremum: Any) -> list[sympy.Expr]:
    """Return the two arguments of a maximum or minimum, a bound that is a number last."""
    return sorted(extremum.args, key=lambda argument: bool(argument.is_number))
