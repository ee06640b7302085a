"""Python expressions laid out in lines that are not too long, spaced as formatters do."""

import ast
from collections.abc import Iterator
from typing import Final

_STEP: Final = "    "
_SIGNS: Final = {ast.Add: "+ ", ast.Sub: "- ", ast.Mult: "* ", ast.Div: "/ ", ast.Pow: "** "}
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
            yield from _indented(_argument(argument, width - len(_STEP)))
        yield f"){after}"
    elif isinstance(tree, ast.BinOp):
        yield f"{before}("
        yield from _indented(_split(tree, "", width - len(_STEP)))
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


def _indented(lines: Iterator[str]) -> Iterator[str]:
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
