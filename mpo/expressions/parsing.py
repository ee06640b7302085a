"""Formulas as text, and back without executing anything.

The text is Python arithmetic: numbers, names, + - * / ** & | ~, comparisons, calls of the
functions below and of definitions. It is read as a syntax tree, node by node: sympy's own
reader evaluates what it is given.
"""

import ast
import keyword
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import sympy
from sympy.codegen.cfunctions import expm1, log1p
from sympy.printing.str import StrPrinter

from mpo.errors import RequestError
from mpo.expressions.functions import logsigmoid, sigmoid, stop_gradient
from mpo.expressions.system import UNIT, called, symbol

FUNCTIONS: Final[Mapping[str, Callable[..., sympy.Expr]]] = {
    "exp": sympy.exp,
    "log": sympy.log,
    "sqrt": sympy.sqrt,
    "tanh": sympy.tanh,
    "sign": sympy.sign,
    "Abs": sympy.Abs,
    "Min": sympy.Min,
    "Max": sympy.Max,
    "Piecewise": sympy.Piecewise,
    "Sum": sympy.Sum,
    "expm1": expm1,
    "log1p": log1p,
    "logsigmoid": logsigmoid,
    "sigmoid": sigmoid,
    "stop_gradient": stop_gradient,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "Eq": sympy.Eq,
    "Ne": sympy.Ne,
}
_OPERATORS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Pow: lambda a, b: a**b,
    ast.Gt: sympy.StrictGreaterThan,
    ast.Lt: sympy.StrictLessThan,
    ast.GtE: sympy.GreaterThan,
    ast.LtE: sympy.LessThan,
    ast.BitAnd: sympy.And,
    ast.BitOr: sympy.Or,
}
_LARGEST_POWER = 16
_LARGEST_NUMBER = 1e6  # that a function is called with


class _Plain(StrPrinter):
    def _print_Float(self, expr: Any) -> str:
        return repr(float(expr))


def written(expression: sympy.Expr) -> str:
    """Return an expression as text, numbers to the last digit."""
    return _Plain().doprint(expression)


def read(text: Any, names: Collection[str], definitions: Collection[str]) -> sympy.Expr:
    """Return the expression that `written` wrote.

    Args:
      text: the expression.
      names: the symbols that may stand in it.
      definitions: the functions that may, beside `FUNCTIONS`.

    Raises:
      RequestError: it is no such expression.
    """
    try:
        return _Reader(names, definitions).read(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise RequestError(f"{text[:60]!r} is no formula: {error}") from error


def identifier(name: Any) -> str:
    """Return `name`, if it can be that of a variable."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is no name")
    return name


class _Reader:
    def __init__(self, names: Collection[str], definitions: Collection[str]) -> None:
        self.names, self.definitions = names, definitions

    def read(self, node: ast.AST) -> Any:
        match node:
            case ast.Constant(value=bool(value)):
                return sympy.true if value else sympy.false
            case ast.Constant(value=int(value)):
                return sympy.Integer(value)
            case ast.Constant(value=float(value)):
                return sympy.Float(value)
            case ast.Name(id="j"):
                return UNIT
            case ast.Name(id=name) if name in self.names:
                return symbol(name)
            case ast.Tuple(elts=parts):
                return tuple(map(self.read, parts))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.read(operand)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return sympy.Not(self.read(operand))
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return sympy.Mul(*self._factors(node))  # at once: 2·(a + b) alone is 2a + 2b
            case ast.BinOp(left=left, op=operator, right=right):
                return self._operation(operator, self.read(left), self.read(right))
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._operation(operator, self.read(left), self.read(right))
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id="j")) if (
                name in self.names
            ):
                return sympy.Indexed(sympy.IndexedBase(name, real=True), UNIT)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, [self.read(argument) for argument in arguments])
        raise ValueError(f"{ast.unparse(node)[:60]!r} has no meaning here")

    def _factors(self, node: ast.AST) -> Iterator[Any]:
        match node:
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                yield from self._factors(left)
                yield self.read(right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                yield from self._factors(left)
                yield 1 / self.read(right)
            case _:
                yield self.read(node)

    def _operation(self, operator: ast.AST, left: Any, right: Any) -> Any:
        if type(operator) not in _OPERATORS:
            raise ValueError("it has an operator that formulas have no use for")
        if isinstance(operator, ast.Pow):
            if right.is_number and not abs(right) <= _LARGEST_POWER:
                raise ValueError(f"it has a power above {_LARGEST_POWER}")
            if left.is_number:
                raise ValueError("it has a power of a number, in place of the number")
        return _OPERATORS[type(operator)](left, right)

    def _call(self, name: str, arguments: list[Any]) -> Any:
        if name in self.definitions:
            return called(name, *arguments)
        if name in FUNCTIONS:
            for argument in arguments:
                self._check_size(argument)
            return FUNCTIONS[name](*arguments)
        raise ValueError(f"it calls {name!r}, which is not defined")

    @staticmethod
    def _check_size(argument: Any) -> None:
        """Refuse towers such as exp(exp(exp(9.0))), which sympy would compute, or try to."""
        if getattr(argument, "is_number", False) and not (
            (argument.is_Rational or argument.is_Float) and abs(argument) <= _LARGEST_NUMBER
        ):
            raise ValueError(f"it calls a function of a number above {_LARGEST_NUMBER:g}")
