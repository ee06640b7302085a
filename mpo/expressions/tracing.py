"""A function of JAX as formulas: what it computes, step by step, on symbols in place of numbers.

JAX traces the function; this file follows the trace. What depends on no symbol is computed by JAX
itself. An array that depends on one is a NumPy array of formulas, so that shapes need no notation:
a comparison has two responses, and a formula for each.

A function under `mpo.named.named` or `jax.jit` becomes a definition with its name, if it acts
element by element; any other is written out where it is called.
"""

import dataclasses
import keyword
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import sympy
from jax.extend.core import ClosedJaxpr, Literal

from mpo.errors import RequestError
from mpo.expressions.numbers import shown
from mpo.expressions.primitives import ELEMENTWISE, MOVES, OF_TWO, REDUCTIONS, RUNNING, WHOLE
from mpo.expressions.readable import affine, numbered, shared
from mpo.expressions.system import PROGRESS, Definition, symbol
from mpo.named import NAMED, names_kept

_JAX: Final = str(Path(jax.__file__).parent)
RESERVED: Final = frozenset(
    {"F", "Tensor", "dtype", "j", "jax", "jnp", "log_prob", "loss", "np", "torch", "units"}
)
"""Names that a printed function has of its own."""


class Follower:
    """Follows traces, and collects the definitions of what they call.

    Attributes:
      what: the objective, as messages call it.
      taken: names that definitions can't have.
      by_hand: definitions of one argument that are not traced, by the name of what is called.
      definitions: what was found, callees first.
    """

    def __init__(
        self,
        what: str,
        taken: Collection[str] = (),
        by_hand: Mapping[str, Definition] | None = None,
    ) -> None:
        """Begin with no definitions."""
        self.what, self.taken = what, {*RESERVED, *taken}
        self.by_hand = by_hand or {}
        self.definitions: list[Definition] = []
        self.known: dict[sympy.Expr, sympy.Symbol] = {}

    def trace(self, function: Callable[..., Any], *symbols: Any) -> np.ndarray:
        """Return what a function of JAX computes, as an array of formulas.

        Args:
          function: of arrays in double precision.
          symbols: its arguments, pytrees of arrays of symbols.

        Raises:
          RequestError: JAX cannot trace it, or it does what formulas have no word for.
        """
        leaves = [symbolic(leaf) for leaf in jax.tree.leaves(symbols)]
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), np.float64), symbols)
        with jax.enable_x64(True), names_kept():
            try:
                traced = jax.make_jaxpr(function)(*like)
            except jax.errors.JAXTypeError as error:
                reason = str(error).split("\n", 1)[0]
                raise RequestError(f"{self.what} has no formula: JAX says {reason}") from error
            (found,) = self.follow(traced, leaves)
        return symbolic(found)

    def value(self, function: Callable[..., Any], *arguments: sympy.Expr) -> sympy.Expr:
        """Return a function of numbers, of formulas."""
        stand_ins = [symbol(f"x{number + 1}") for number, _ in enumerate(arguments)]
        value: sympy.Expr = self.trace(function, *stand_ins)[()]
        return value.xreplace(dict(zip(stand_ins, arguments, strict=True)))

    def follow(self, jaxpr: ClosedJaxpr, arguments: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the results of a trace, numbers or formulas, for these arguments."""
        inner = jaxpr.jaxpr
        values: dict[Any, np.ndarray] = dict(
            zip(inner.constvars, map(np.asarray, jaxpr.consts), strict=True)
        )
        values |= zip(inner.invars, arguments, strict=True)

        def value(one: Any) -> np.ndarray:
            return np.asarray(one.val) if isinstance(one, Literal) else values[one]

        for step in inner.eqns:
            results = self._step(step, [value(one) for one in step.invars])
            values |= zip(step.outvars, results, strict=True)
        return [value(one) for one in inner.outvars]

    def _step(self, step: Any, operands: list[np.ndarray]) -> list[np.ndarray]:
        name, p = step.primitive.name, step.params
        numbers = all(one.dtype != object for one in operands)
        if "call_jaxpr" in p or name == "jit":
            inner = p.get("call_jaxpr", p.get("jaxpr"))
            if numbers:
                return self.follow(inner, operands)
            return self._call(inner, p.get("name") or _named(inner), operands)
        if numbers:
            return _computed(step, operands)
        shape = step.outvars[0].aval.shape
        try:
            if name in ELEMENTWISE:
                function = ELEMENTWISE[name]
                return [self._each(lambda *x: function(p, *x), operands, shape)]
            if name in REDUCTIONS:
                return [_reduced(REDUCTIONS[name], operands[0], p["axes"], shape)]
            if name in RUNNING:
                return [_running(RUNNING[name], operands[0], p["axis"], p["reverse"])]
            if name in MOVES:
                return _moved(step, operands, MOVES[name])
            if name == "dot_general":
                left, right = map(symbolic, operands)
                return [_dot(left, right, p["dimension_numbers"])]
        except NotImplementedError as error:
            raise self._refusal(str(error)) from error
        raise self._refusal(f"{name!r}")

    def _refusal(self, what: str) -> RequestError:
        return RequestError(
            f"{self.what} has no formula, for it uses {what} of JAX: write it with arithmetic, "
            "jnp.where, sums, and functions such as exp, log, tanh and jax.nn.log_sigmoid"
        )

    def _each(
        self, function: Callable[..., Any], operands: list[np.ndarray], shape: tuple[int, ...]
    ) -> np.ndarray:
        """Return a function of the operands, element by element."""
        found = np.empty(shape, object)
        spread = [np.broadcast_to(symbolic(one), shape) for one in operands]
        for at in np.ndindex(shape):
            value = function(*(one[at] for one in spread))
            found[at] = (
                affine(self.known.get(value, value)) if isinstance(value, sympy.Expr) else value
            )
        return found

    def _call(self, jaxpr: ClosedJaxpr, name: str, operands: list[np.ndarray]) -> list[np.ndarray]:
        shape, *others = (one.aval.shape for one in jaxpr.jaxpr.outvars)
        if name in WHOLE and _of_jax(jaxpr):
            return [self._each(WHOLE[name], operands, shape)]
        if name in OF_TWO and _of_jax(jaxpr) and shape == (2,):
            gap = symbolic(operands[0])
            found = np.empty(2, object)
            found[:] = [OF_TWO[name](gap[0] - gap[1]), OF_TWO[name](gap[1] - gap[0])]
            return [found]
        if name in self.by_hand:
            return [self._each(self.by_hand[name], operands[:1], shape)]
        fits = all(one.shape in ((), shape) for one in operands)
        if others or not fits or _of_jax(jaxpr) or not _is_name(name):
            return self.follow(jaxpr, operands)
        return self._defined(jaxpr, name, operands, shape) or self.follow(jaxpr, operands)

    def _defined(
        self, jaxpr: ClosedJaxpr, name: str, operands: list[np.ndarray], shape: tuple[int, ...]
    ) -> list[np.ndarray] | None:
        """Return the calls of a function of each element, and keep its definition; or nothing."""
        names = _parameters(jaxpr)
        # A number, or the progress of training, is the same in every call: it is no parameter.
        bound = [one.dtype != object or (not one.shape and one[()] == PROGRESS) for one in operands]
        inside = [
            one if is_bound else _dummies(name, one.shape)
            for one, is_bound, name in zip(operands, bound, names, strict=True)
        ]
        (values,) = map(symbolic, self.follow(jaxpr, inside))
        found: set[sympy.Expr] = set()
        for at in np.ndindex(shape):
            here = {
                (one[at] if one.shape else one[()]): symbol(name)
                for one, is_bound, name in zip(inside, bound, names, strict=True)
                if not is_bound
            }
            whole: Any = values[at]
            if not isinstance(whole, sympy.Expr):
                return None
            found.add(whole.xreplace(here))
        value, *others = found
        if others or any(isinstance(free, sympy.Dummy) for free in value.free_symbols):
            return None
        free = [i for i, name in enumerate(names) if not bound[i]]
        free = [i for i in free if symbol(names[i]) in value.free_symbols] or free[:1]
        if not free:
            return None
        parameters = tuple(symbol(names[i]) for i in free)
        parts, value = shared(numbered(value), {*self.taken, *names})
        definition = self._kept(Definition(name, parameters, value, parts, _summary(name)))
        return [self._each(definition, [operands[i] for i in free], shape)]

    def _kept(self, definition: Definition) -> Definition:
        """Return the definition, under a name that no other has."""
        number, name = 1, definition.name
        while True:
            wanted = dataclasses.replace(definition, name=name)
            if wanted in self.definitions:
                return wanted
            if name not in self.taken:
                break
            number += 1
            name = f"{definition.name}_{number}"
        self.taken.add(name)
        self.definitions.append(wanted)
        return wanted


def in_library(definition: Definition) -> bool:
    """Return whether a definition is that of a function of this package, under `named`."""
    function = NAMED.get(definition.name)
    if function is None or not function.__module__.startswith("mpo."):
        return False
    follower = Follower(definition.name)
    follower.trace(jax.jit(function), *definition.parameters)
    return definition in follower.definitions


def symbolic(values: Any) -> np.ndarray:
    """Return an array of formulas, of an array of formulas, numbers or conditions."""
    array = np.asarray(values, object) if isinstance(values, sympy.Basic) else np.asarray(values)
    if array.dtype == object:
        return array
    found = np.empty(array.shape, object)
    for at in np.ndindex(array.shape):
        found[at] = (
            sympy.sympify(bool(array[at])) if array.dtype == bool else shown(float(array[at]))
        )
    return found


def _computed(step: Any, operands: list[np.ndarray]) -> list[np.ndarray]:
    """Return a step of the trace on numbers alone, by JAX."""
    found = step.primitive.bind(*map(jnp.asarray, operands), **step.params)
    return [np.asarray(one) for one in (found if step.primitive.multiple_results else [found])]


def _reduced(
    function: Callable[..., Any], values: np.ndarray, axes: tuple[int, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """Return one formula for all along these axes."""
    rows = np.moveaxis(values, axes, range(-len(axes), 0)).reshape(*shape, -1)
    found = np.empty(shape, object)
    for at in np.ndindex(shape):
        found[at] = function(*rows[at])
    return found


def _running(
    function: Callable[..., Any], values: np.ndarray, axis: int, reverse: bool
) -> np.ndarray:
    """Return for each place one formula of all up to it, or from it on."""
    rows = np.moveaxis(values, axis, -1)
    found = np.empty(rows.shape, object)
    for *at, last in np.ndindex(rows.shape):
        row = rows[tuple(at)]
        found[(*at, last)] = function(*(row[last:] if reverse else row[: last + 1]))
    return np.moveaxis(found, -1, axis)


def _moved(step: Any, operands: list[np.ndarray], moved: int | None) -> list[np.ndarray]:
    """Return formulas in the places where JAX puts their numbers, if they are numbered."""
    pool: list[Any] = []
    places = list[np.ndarray]()
    for operand in operands[:moved]:
        first = len(pool)
        places.append(np.arange(first, first + operand.size).reshape(operand.shape))
        pool += symbolic(operand).ravel().tolist()
    rest = operands[len(places) :]
    if any(one.dtype == object for one in rest):
        raise NotImplementedError(f"{step.primitive.name!r} at a place that is computed")
    found = []
    for numbers in _computed(step, [*places, *rest]):
        if not np.all((numbers >= 0) & (numbers < len(pool))):
            raise NotImplementedError(f"{step.primitive.name!r} out of bounds")
        values = np.empty(numbers.shape, object)
        for at in np.ndindex(numbers.shape):
            values[at] = pool[numbers[at]]
        found.append(values)
    return found


def _dot(left: np.ndarray, right: np.ndarray, dimensions: Any) -> np.ndarray:
    """Return sums of products."""
    contracted, batch = dimensions
    if any(batch):
        raise NotImplementedError("'dot_general' with a batch axis")
    return np.asarray(np.tensordot(left, right, contracted), object)


def _of_jax(jaxpr: ClosedJaxpr) -> bool:
    """Return whether a function is one of JAX's own."""
    place = jaxpr.jaxpr.debug_info.func_filename
    return place is not None and place.startswith(_JAX)


def _named(jaxpr: ClosedJaxpr) -> str:
    return jaxpr.jaxpr.debug_info.func_name or ""


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _parameters(jaxpr: ClosedJaxpr) -> list[str]:
    """Return names for the parameters of a function: its own, where they can stand in a formula."""
    names = list[str]()
    given = jaxpr.jaxpr.debug_info.arg_names or ()
    for number, _ in enumerate(jaxpr.jaxpr.invars):
        name = given[number] if number < len(given) else ""
        if not _is_name(name) or name in names or name in RESERVED or name == "progress":
            name = f"x{number + 1}"
        names.append(name)
    return names


def _dummies(name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = np.empty(shape, object)
    for at in np.ndindex(shape):
        found[at] = sympy.Dummy(name, real=True)
    return found


def _summary(name: str) -> str:
    """Return what the docstring of a named function says it returns, constants as numbers."""
    function = NAMED.get(name)
    if function is None:
        return ""
    first = " ".join((function.__doc__ or "").split("\n\n", 1)[0].split())
    known = vars(sys.modules[function.__module__])
    words = re.sub(r"\b[A-Z_]{3,}\b", lambda m: f"{known.get(m[0], m[0])}", first)
    return words.removeprefix("Return ").removesuffix(".")
