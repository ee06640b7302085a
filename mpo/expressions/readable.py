"""A formula put in order for a reader: what occurs twice has a name, common settings stand once."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any

import sympy

from mpo.expressions.numbers import change, exact
from mpo.expressions.system import PROGRESS, symbol

Parts = tuple[tuple[sympy.Symbol, sympy.Expr], ...]


def numbered(value: sympy.Expr) -> sympy.Expr:
    """Return a formula whose numbers are numbers: exp(2) is one."""
    return _rebuilt(value, lambda node: node if _plain(node) else exact(float(node)))


def _plain(node: Any) -> bool:
    if not isinstance(node, sympy.Expr) or not node.is_number:
        return True
    return bool(node.is_Rational or node.is_Float or node.is_infinite)


def gathered(value: sympy.Expr, settings: Collection[sympy.Symbol]) -> sympy.Expr:
    """Return a formula with β·(a - b) for β·a - β·b, where β is a setting."""

    def once(node: Any) -> Any:
        if isinstance(node, sympy.Add):
            terms = defaultdict[Any, list[Any]](list)
            for term in node.args:
                rest, common = term.as_independent(*settings, as_Add=False)
                plain = common.is_Mul or common.is_Pow or common.is_Symbol
                terms[common if plain else None].append(rest if plain else term)
            if max(map(len, terms.values())) == 1 or set(terms) == {None}:
                return node
            return sympy.Add(*(_product(common, rests) for common, rests in terms.items()))
        if isinstance(node, sympy.Pow) and node.exp.is_even and isinstance(node.base, sympy.Add):
            first = min(node.base.args, key=_place)
            if first.could_extract_minus_sign():  # (b - a)² is (a - b)²
                return sympy.Pow(sympy.Add(*(-term for term in node.base.args)), node.exp)
        return node

    return _rebuilt(value, once)


def _product(common: Any, rests: list[Any]) -> Any:
    total = sympy.Add(*rests)
    if common is None:
        return total
    sign = -1 if min(rests, key=_place).could_extract_minus_sign() else 1
    return sympy.Mul(sign, common, sign * total)


def _place(term: sympy.Expr) -> tuple[bool, str]:
    """Return a key that puts terms about the chosen response first."""
    chosen = any(str(one).endswith("_w") for one in term.free_symbols)
    return not chosen, str(term).removeprefix("-")


def affine(value: sympy.Expr) -> sympy.Expr:
    """Return a + b·progress for a weight that moves in the course of training, if it is one."""
    if value.free_symbols != {PROGRESS}:
        return value
    powers = sympy.Poly(value, PROGRESS) if value.is_polynomial(PROGRESS) else None
    if powers is None or powers.degree() > 1:
        return value
    first, last = (float(value.subs(PROGRESS, at)) for at in (0, 1))
    return exact(float(f"{first:.15g}")) + exact(change(first, last)) * PROGRESS


def shared(value: sympy.Expr, taken: Collection[str]) -> tuple[Parts, sympy.Expr]:
    """Return names for parts of a formula, in order, and the formula with these names.

    What occurs more than once has a name, and so has a bound that a function is applied to.

    Args:
      value: the formula to be put in order.
      taken: names that stand for something else.
    """
    uses = Counter(child for node in _unique(value) for child in _children(node))
    bounded = {
        child
        for node in _unique(value)
        if isinstance(node, sympy.Function | sympy.Pow)
        for child in _children(node)
        if isinstance(child, sympy.Max | sympy.Min) and not isinstance(node, sympy.Max | sympy.Min)
    }
    used = set(taken)
    parts: list[tuple[sympy.Symbol, sympy.Expr]] = []

    def named(before: Any, node: Any) -> Any:
        repeated = uses[before] > 1 and _worth_a_name(node)
        if not (repeated or before in bounded) or before == value:
            return node
        parts.append((symbol(_name(node, used)), node))
        return parts[-1][0]

    whole = _rebuilt(value, lambda node: node, named)
    return tuple(parts), whole


def _worth_a_name(node: Any) -> bool:
    if not isinstance(node, sympy.Expr) or node.is_Atom or node.is_number:
        return False
    if isinstance(node, sympy.Function) and not isinstance(node, sympy.Max | sympy.Min):
        return not all(argument.is_Atom for argument in node.args)
    return bool(node.count_ops() > 1)


def _name(node: Any, used: set[str]) -> str:
    """Return a new name: of a bound, which side of it is meant; u of anything else."""
    stem = {sympy.Min: "at_most", sympy.Max: "at_least"}.get(node.func, "u")
    numbers = itertools.count(1)
    name = stem if stem != "u" else f"u{next(numbers)}"
    while name in used:
        name = f"{stem}{next(numbers)}"
    used.add(name)
    return name


def _children(node: Any) -> tuple[Any, ...]:
    """Return the arguments of a node, where -a·b is minus one times a·b."""
    if node.is_Mul and len(node.args) > 2 and node.args[0] == -1:
        return node.args[0], node.func(*node.args[1:])
    return tuple(node.args)


def _unique(value: Any) -> Iterator[Any]:
    """Yield every different node once, leaves first."""
    seen: set[Any] = set()

    def walk(node: Any) -> Iterator[Any]:
        if node not in seen:
            seen.add(node)
            for child in _children(node):
                yield from walk(child)
            yield node

    yield from walk(value)


def _rebuilt(
    value: Any,
    change: Callable[[Any], Any],
    named: Callable[[Any, Any], Any] = lambda before, node: node,
) -> Any:
    """Return the formula with every node changed, leaves first.

    Args:
      value: the formula to be put in order.
      change: of a node whose arguments are changed already.
      named: what stands in its place, of the node as it was and as it is now.
    """
    done: dict[Any, Any] = {}
    for node in _unique(value):
        children = _children(node)
        arguments = [done[child] for child in children]
        same = all(one is other for one, other in zip(arguments, children, strict=True))
        now = node if same else node.func(*arguments)
        done[node] = named(node, change(now))
    return done[value]
