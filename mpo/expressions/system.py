"""What a formula is here: a loss, the functions it is written with, and its constants."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sympy

Vector = tuple[float, ...]
UNIT: Final = sympy.Symbol("j", integer=True)  # counts the units of a network, from 0


def symbol(name: str) -> sympy.Symbol:
    """Return the real symbol called `name`."""
    return sympy.Symbol(name, real=True)


LOG_X: Final = symbol("log_x")
PROGRESS: Final = symbol("progress")


def called(name: str, *arguments: sympy.Expr) -> sympy.Expr:
    """Return the function called `name` of these arguments, unevaluated."""
    return sympy.Function(name, real=True)(*arguments)


@dataclass(frozen=True)
class Definition:
    """A function with a name: f(parameters) = value, where some parts have names too.

    Attributes:
      name: what it is called by.
      parameters: its arguments; whatever else is free in it is an input or a constant.
      value: the formula of its value.
      parts: names used in `value`, each with what it stands for, in order.
      summary: a line that says what it is.
    """

    name: str
    parameters: tuple[sympy.Symbol, ...]
    value: sympy.Expr
    parts: tuple[tuple[sympy.Symbol, sympy.Expr], ...] = ()
    summary: str = ""

    def __call__(self, *arguments: sympy.Expr) -> sympy.Expr:
        """Return the function of these arguments, unevaluated."""
        return called(self.name, *arguments)

    def expressions(self) -> Iterator[sympy.Expr]:
        """Yield everything that is computed, parts first."""
        for _, part in self.parts:
            yield part
        yield self.value

    def substituted(self, *arguments: sympy.Expr) -> sympy.Expr:
        """Return the value at these arguments, with the parts written out."""
        value = self.value
        for name, part in reversed(self.parts):
            value = value.subs(name, part)
        return value.subs(dict(zip(self.parameters, arguments, strict=True)), simultaneous=True)


@dataclass(frozen=True)
class Expression:
    """An objective as one sympy expression of the inputs of a pair, with the names it needs.

    Attributes:
      name: the objective's name.
      summary: a line that says what it is.
      loss: the loss of a pair; its parameters are the inputs it needs.
      definitions: the functions that `loss` and they themselves use, callees first.
      constants: value of every named constant; those with an index are vectors.
      length_normalise: whether log-probabilities are divided by length.
    """

    name: str
    summary: str
    loss: Definition
    definitions: tuple[Definition, ...]
    constants: Mapping[str, float | Vector]
    length_normalise: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs that the loss needs, in the order of `INPUTS`."""
        return tuple(str(parameter) for parameter in self.loss.parameters)

    @property
    def free(self) -> frozenset[str]:
        """The names of inputs and constants that are used."""
        return frozenset(
            str(one)
            for definition in (self.loss, *self.definitions)
            for part in definition.expressions()
            for one in part.free_symbols
        )

    @property
    def reference(self) -> bool:
        """Whether it needs log-probabilities under a reference policy."""
        return "ref_logp_w" in self.inputs

    @property
    def reward(self) -> bool:
        """Whether it needs explicit rewards."""
        return "reward_w" in self.inputs

    @property
    def temporal(self) -> bool:
        """Whether it changes with the progress of training."""
        return "progress" in self.inputs

    def expanded(self) -> sympy.Expr:
        """Return the loss as a single expression of the inputs and constants."""
        value = self.loss.substituted(*self.loss.parameters)
        for definition in reversed(self.definitions):
            function = sympy.Function(definition.name, real=True)
            value = value.replace(function, definition.substituted)
        return value


def ordered(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """Return the definitions in this order, but for callees, which come before their callers."""
    known = {definition.name: definition for definition in definitions}
    found: dict[str, Definition] = {}

    def add(name: str) -> None:
        if name in known and name not in found:
            for callee in sorted(_calls(known[name])):
                add(callee)
            found[name] = known[name]

    for name in known:
        add(name)
    return tuple(found.values())


def used(loss: Definition, available: Iterable[Definition]) -> tuple[Definition, ...]:
    """Return those of the `available` definitions, callees first, that `loss` needs."""
    available = tuple(available)
    wanted = _calls(loss)
    kept: list[Definition] = []
    for definition in reversed(available):
        if definition.name in wanted:
            kept.append(definition)
            wanted |= _calls(definition)
    return tuple(reversed(kept))


def _calls(definition: Definition) -> set[str]:
    applied: set[Any] = set().union(
        *(part.atoms(sympy.core.function.AppliedUndef) for part in definition.expressions())
    )
    return {application.func.__name__ for application in applied}
