"""A formula as the text of one pure function, in any dialect, in lines that are not too long."""

import ast
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Final

import sympy
from sympy.printing.pycode import AbstractPythonCodePrinter

from llm_transfer.snippets.dialect import Dialect
from mpo.expressions import Definition, Expression
from mpo.expressions.objectives import LOG_PROBABILITIES
from mpo.expressions.system import symbol

WIDTH = 100
_MEANING = {
    "logp_w": "logp_w, logp_l: log π of the chosen and the rejected response, summed over tokens.",
    "len_w": "len_w, len_l: tokens in each response, which log-probabilities are divided by.",
    "ref_logp_w": "ref_logp_w, ref_logp_l: the same under the reference policy.",
    "reward_w": "reward_w, reward_l: explicit reward of each response.",
    "sampled_logp_w": "sampled_logp_w, sampled_logp_l: the same under the policy that wrote it.",
    "credit_w": "credit_w, credit_l: what each response is credited with, made of rewards.",
    "progress": "progress: n/N in [0, 1], how far training is.",
}
_LOG_PROBABILITIES = tuple(f"{kind}_{side}" for kind in LOG_PROBABILITIES for side in "wl")


def function(expression: Expression, dialect: Dialect) -> str:
    """Return the imports and the function `loss` as text."""
    body = [
        *_indented(_preparation(expression, dialect)),
        *_indented(_constants(expression, dialect)),
        *_indented(_computation(expression, dialect)),
    ]
    lines = [
        *(line for wanted, line in dialect.imports if any(wanted in one for one in body)),
        "",
        "",
        _signature(expression, dialect),
        *_indented(_docstring(expression, dialect)),
        *body,
    ]
    return "\n".join(lines) + "\n"


def _signature(expression: Expression, dialect: Dialect) -> str:
    hints = {"progress": f"float | {dialect.array} = 0.0"}
    arguments = [f"{name}: {hints.get(name, dialect.array)}" for name in expression.inputs]
    line = f"def loss({', '.join(arguments)}) -> {dialect.array}:"
    if len(line) <= WIDTH:
        return line
    return "\n".join(
        ["def loss(", *(f"    {argument}," for argument in arguments), f") -> {dialect.array}:"]
    )


def _docstring(expression: Expression, dialect: Dialect) -> Iterator[str]:
    yield '"""Return the loss of pairs of responses, lower is better.'
    yield ""
    yield from textwrap.wrap(_plain(expression.summary), WIDTH - 4)
    yield ""
    yield dialect.shape
    yield ""
    yield "Args:"
    for name in expression.inputs:
        if name in _MEANING:
            yield "  " + _MEANING[name]
    yield '"""'


def _preparation(expression: Expression, dialect: Dialect) -> Iterator[str]:
    """Yield what brings the arguments to one dtype, and log-probabilities to what is defined."""
    used = [name for name in expression.inputs if name in expression.free]
    logs = [name for name in used if name in _LOG_PROBABILITIES]
    others = [name for name in used if name not in (*logs, "progress")]
    array = dialect.array
    yield f"dtype = {dialect.dtype}"
    yield ""
    yield f"def log_prob(value: {array}) -> {array}:  # -inf as -10,000; NaN and +inf as NaN"
    yield f"    return {dialect.log_probability}"
    yield ""
    if any(isinstance(value, tuple) for value in expression.constants.values()):
        yield f"def units(*values: float) -> {array}:"
        yield f"    return {dialect.vector}"
        yield ""
    yield from _pairs(logs, "log_prob({})")
    yield from _pairs(others, dialect.cast)
    if "progress" in used:
        yield f"progress = {dialect.scalar}"


def _pairs(names: list[str], read: str) -> Iterator[str]:
    """Yield a line for both responses: `a_w, a_l = read(a_w), read(a_l)`."""
    for start in range(0, len(names), 2):
        pair = names[start : start + 2]
        yield f"{', '.join(pair)} = {', '.join(map(read.format, pair))}"


def _constants(expression: Expression, dialect: Dialect) -> Iterator[str]:
    arrays = _among_functions(expression)
    for name, value in expression.constants.items():
        if isinstance(value, tuple):
            yield from _vector(name, value)
        elif name in arrays:
            yield f"{name} = {dialect.number.format(value=value)}"
        else:
            yield f"{name} = {value!r}"


def _among_functions(expression: Expression) -> set[str]:
    """Return the constants that a function is given alone, which takes arrays, not numbers."""
    found: set[sympy.Symbol] = set()
    constants = set(map(symbol, expression.constants))
    for definition in (expression.loss, *expression.definitions):
        for part in definition.expressions():
            for node in part.atoms(sympy.Function, sympy.Rel, sympy.Pow, sympy.Max, sympy.Min):
                for argument in node.args:
                    if argument.free_symbols <= constants and not _is_power(node):
                        found |= argument.free_symbols
    return set(map(str, found))


def _is_power(node: sympy.Basic) -> bool:
    return isinstance(node, sympy.Pow) and node.exp.is_Integer is True


def _vector(name: str, values: tuple[float, ...]) -> Iterator[str]:
    text = ", ".join(map(repr, values))
    if len(name) + len(text) + 14 <= WIDTH:
        yield f"{name} = units({text})"
        return
    yield f"{name} = units("
    yield from (f"    {line}" for line in textwrap.wrap(text + ",", WIDTH - 8))
    yield ")"


def _computation(expression: Expression, dialect: Dialect) -> Iterator[str]:
    printer = dialect.printer()
    for definition in expression.definitions:
        yield ""
        yield from _nested(definition, printer, dialect)
    if expression.definitions:
        yield ""
    yield from _body(expression.loss, printer)


def _nested(
    definition: Definition, printer: AbstractPythonCodePrinter, dialect: Dialect
) -> Iterator[str]:
    parameters = ", ".join(f"{parameter}: {dialect.array}" for parameter in definition.parameters)
    comment = f"  # {_plain(definition.summary)}" if definition.summary else ""
    line = f"def {definition.name}({parameters}) -> {dialect.array}:"
    if len(line) + len(comment) + 4 > WIDTH:
        yield comment.strip()
        comment = ""
    yield line + comment
    yield from _indented(_body(definition, printer))


def _body(definition: Definition, printer: AbstractPythonCodePrinter) -> Iterator[str]:
    for name, part in definition.parts:
        yield from statement(f"{name} = ", printer.doprint(part), WIDTH - 8)
    value = printer.doprint(definition.value)
    if definition.value.is_number:  # as an array, which stays NaN where the argument is NaN
        like = definition.parameters[0]
        value = f"{value} + 0 * {like}" if definition.value else f"0 * {like}"
    yield from statement("return ", value, WIDTH - 8)


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" if line else "" for line in lines)


def _plain(text: str) -> str:
    """Return a text that stays within a docstring and a line of a comment."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")


_STEP: Final = "    "
_SIGNS: Final = {
    ast.Add: "+ ", ast.Sub: "- ", ast.Mult: "* ", ast.Div: "/ ", ast.Pow: "** ", ast.BitAnd: "& ",
    ast.BitOr: "| ",
}  # fmt: skip
_SUM: Final = (ast.Add, ast.Sub)
_PRODUCT: Final = (ast.Mult, ast.Div)


def statement(prefix: str, expression: str, width: int) -> Iterator[str]:
    """Yield the lines of `prefix`, such as "x = " or "return ", and an expression."""
    yield from _lines(ast.parse(expression, mode="eval").body, prefix, "", width)


def _lines(
    tree: ast.expr, before: str, after: str, width: int, enclosed: bool = False
) -> Iterator[str]:
    """Yield the lines of a tree, in parentheses if it is `enclosed` or needs several lines."""
    text = ast.unparse(tree)
    line = f"{before}({text}){after}" if enclosed else f"{before}{text}{after}"
    if len(line) <= width:
        yield line
    elif isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        before, after = (f"{before}(-", f"){after}") if enclosed else (f"{before}-", after)
        enclosed = isinstance(tree.operand, ast.BinOp)
        yield from _lines(tree.operand, before, after, width, enclosed)
    elif isinstance(tree, ast.Call):
        yield f"{before}{ast.unparse(tree.func)}("
        for argument in tree.args:
            yield from _deeper(_argument(argument, width - len(_STEP)))
        yield f"){after}"
    elif isinstance(tree, ast.BinOp):
        yield f"{before}("
        yield from _deeper(_split(tree, "", width - len(_STEP)))
        yield f"){after}"
    else:
        yield line


def _argument(tree: ast.expr, width: int) -> Iterator[str]:
    """Yield the lines of an argument, which needs no parentheses where it is long."""
    if isinstance(tree, ast.BinOp) and len(ast.unparse(tree)) + 1 > width:
        yield from _split(tree, ",", width)
    else:
        yield from _lines(tree, "", ",", width)


def _split(tree: ast.BinOp, after: str, width: int) -> Iterator[str]:
    """Yield the operands of a tree, each on lines of its own."""
    *operands, last = _operands(tree)
    for (sign, operand), end in (*((one, "") for one in operands), (last, after)):
        enclosed = _binds_less(operand, tree, first=not sign)
        yield from _lines(operand, sign, end, width, enclosed)


def _deeper(lines: Iterator[str]) -> Iterator[str]:
    return (_STEP + line for line in lines)


def _operands(tree: ast.BinOp) -> Iterator[tuple[str, ast.expr]]:
    """Yield the terms of a sum, or the factors of a product, each with the sign before it."""
    left = tree.left
    if any(_both(kind, tree, left) for kind in (_SUM, _PRODUCT)):
        assert isinstance(left, ast.BinOp)
        yield from _operands(left)
    else:
        yield "", left
    yield _SIGNS[type(tree.op)], tree.right


def _both(kind: tuple[type[ast.operator], ...], tree: ast.BinOp, other: ast.expr) -> bool:
    return isinstance(tree.op, kind) and isinstance(other, ast.BinOp) and isinstance(other.op, kind)


def _binds_less(operand: ast.expr, tree: ast.BinOp, first: bool) -> bool:
    """Return whether an operand must be in parentheses: all but the terms of sums are."""
    if isinstance(operand, ast.UnaryOp):
        return not first or isinstance(tree.op, ast.Pow)
    if not isinstance(operand, ast.BinOp):
        return False
    return not isinstance(tree.op, _SUM) or isinstance(operand.op, _SUM)


def execute(text: str) -> Callable[..., Any]:
    """Return the function `loss` of a snippet that this package wrote, run in a new namespace."""
    namespace: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(text, "<exported loss>", "exec"), namespace)
    return namespace["loss"]
