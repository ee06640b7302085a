"""The formula of an objective: its loss traced for one pair, its settings as named constants."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Final

import jax
import numpy as np
import sympy

from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.expressions.double import in_double
from mpo.expressions.potentials import Defined, define
from mpo.expressions.readable import Parts, gathered, numbered, shared
from mpo.expressions.system import PROGRESS, Definition, Expression, Vector, ordered, symbol, used
from mpo.expressions.tracing import RESERVED, Follower
from mpo.mirror import Numeric
from mpo.named import NAMED
from mpo.objectives import Objective
from mpo.potentials import Potential, Role

INPUTS: Final = (
    "logp_w", "logp_l", "len_w", "len_l", "ref_logp_w", "ref_logp_l", "reward_w", "reward_l",
    "sampled_logp_w", "sampled_logp_l", "credit_w", "credit_l", "progress",
)  # fmt: skip
LOG_PROBABILITIES: Final = ("logp", "ref_logp", "sampled_logp")
_ALWAYS: Final = ("logp_w", "logp_l")


def expression(objective: Objective, *, by_hand: bool = True) -> Expression:
    """Return the formula of `objective` for one pair (K = 2 where it takes K responses).

    Args:
      objective: of any class.
      by_hand: whether a potential may have the formula that is registered for it
        (`mpo.expressions.define`), which reads better than what is traced.

    Raises:
      RequestError: it does what formulas have no word for, or it is a batch of objectives.
    """
    if objective.whole:
        raise RequestError(
            f"{objective.called()} has no formula: it pairs a whole minibatch anew, and a formula "
            "is of one pair"
        )
    objective = in_double(objective)
    numbers, potentials = _settings(objective)
    defined = {name: define(one, name) for name, one in potentials.items() if by_hand}
    drawn = {name: one for name, one in defined.items() if one is not None}
    symbols = {name: symbol(name + "_" * (name in (*RESERVED, *INPUTS))) for name in numbers}
    pair, pair_parts, ratios = _pair(objective.length_normalise)
    follower = Follower(
        objective.called(),
        taken={*map(str, symbols.values()), *INPUTS},
        by_hand={name: one.definition for name, one in drawn.items()},
    )
    follower.known = ratios

    def loss(settings: dict[str, Any], pair: dict[str, Any], progress: Any) -> Any:
        changed: dict[str, Any] = {**settings, **_called(potentials)}
        return dataclasses.replace(objective, **changed).loss(Comparison(**pair), progress)

    given = {name: pair[name] for name in ("logp", "length", *objective.needs)}
    found = follower.trace(loss, symbols, given, PROGRESS)
    if found.shape:
        raise RequestError(
            f"{objective.called()} has no formula, for its loss has shape {list(found.shape)}, and "
            "is a number"
        )
    value = gathered(numbered(found[()]), symbols.values())
    parts, value = shared(value, {*map(str, symbols.values())})
    definitions = _ordered([*_functions(drawn), *follower.definitions], potentials)
    whole = _definition(value, (*pair_parts, *parts), definitions)
    needed = used(whole, definitions)
    constants: dict[str, float | Vector] = {}
    for field in dataclasses.fields(objective):
        if field.name in numbers:
            constants[str(symbols[field.name])] = numbers[field.name]
        elif field.name in drawn:
            constants |= drawn[field.name].constants
    return Expression(
        name=objective.name,
        summary=(type(objective).__doc__ or "").split("\n", 1)[0],
        loss=whole,
        definitions=needed,
        constants=_named(constants, (whole, *needed)),
        length_normalise=objective.length_normalise,
    )


def _settings(objective: Objective) -> tuple[dict[str, float], dict[str, Potential]]:
    """Return the settings that are numbers, and those that are potentials, by name."""
    numbers, potentials = dict[str, float](), dict[str, Potential]()
    for field in dataclasses.fields(objective):
        value = getattr(objective, field.name)
        if isinstance(value, Potential):
            while isinstance(value, Numeric):
                value = value.potential  # the values are its own
            _check_one(field.name, value)
            potentials[field.name] = value
        elif "range" in field.metadata and np.ndim(value) != 0:
            raise RequestError(
                f"a formula is of one objective, and setting {field.name!r} holds "
                f"{np.size(value)} numbers"
            )
        elif not field.metadata.get("static") and _is_number(value):
            extent = field.metadata.get("range")
            if extent is None or float(value) not in extent.unseen:
                numbers[field.name] = float(value)
    return numbers, potentials


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.generic | jax.Array) and not np.ndim(
        value
    )


def _check_one(name: str, potential: Potential) -> None:
    """Refuse a batch of potentials."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(potential)]
    if shapes != [np.shape(leaf) for leaf in jax.tree.leaves(potential.fresh())]:
        raise RequestError(
            f"a formula is of one objective, and its potential {name!r} is a batch of them"
        )


def _called(potentials: dict[str, Potential]) -> dict[str, Potential]:
    """Return the potentials as functions with a name in the trace, the same otherwise."""
    return {name: _with_name(potential, name) for name, potential in potentials.items()}


def _with_name(potential: Potential, name: str) -> Potential:
    kind: Any = type(potential)

    def of_log_x(log_x: Any, progress: Any) -> Any:
        return potential(log_x, progress)

    def of_margin(margin: Any, progress: Any) -> Any:
        return potential(margin, progress)

    at = of_margin if name.startswith(Role.LINK) else of_log_x
    at.__name__ = at.__qualname__ = name
    whole = jax.jit(at)
    body = {"__call__": lambda self, log_x, progress=0.0: whole(log_x, progress)}
    named: Potential = object.__new__(type(kind)(kind.__name__, (kind,), body))
    vars(named).update(vars(potential))
    return named


def _functions(drawn: Mapping[str, Defined]) -> list[Definition]:
    """Return potentials by hand, and the functions they are made of."""
    found = list(dict.fromkeys(function for one in drawn.values() for function in one.functions))
    return [*found, *(one.definition for one in drawn.values())]


def _ordered(definitions: list[Definition], potentials: Iterable[str]) -> tuple[Definition, ...]:
    """Return the functions of this package first, then the potentials, each once."""
    known = {definition.name: definition for definition in definitions}
    names = [name for name, function in NAMED.items() if function.__module__.startswith("mpo.")]
    return ordered(known[name] for name in (*names, *potentials, *known) if name in known)


Fields = dict[str, np.ndarray]


def _pair(per_token: bool) -> tuple[Fields, Parts, dict[sympy.Expr, sympy.Symbol]]:
    """Return a pair in symbols, what they stand for, and the log-ratios, which have names."""
    inputs = {name: symbol(name) for name in INPUTS}
    sums = [inputs[f"{kind}_{side}"] for kind in LOG_PROBABILITIES for side in "wl"]
    parts: Parts = ()
    if per_token:
        names = [symbol(f"log_{kind}_{side}") for kind in ("pi", "ref", "sampled") for side in "wl"]
        lengths = [inputs["len_w"], inputs["len_l"]] * len(LOG_PROBABILITIES)
        parts = tuple(
            (name, total / sympy.Max(length, 1))
            for name, total, length in zip(names, sums, lengths, strict=True)
        )
        sums = names
    ratios = {
        sums[side] - sums[2 + side]: symbol(f"ratio_{name}") for side, name in enumerate("wl")
    }
    pair = {
        "logp": _array(sums[:2]),
        "length": _array([inputs["len_w"], inputs["len_l"]]),
        "ref_logp": _array(sums[2:4]),
        "reward": _array([inputs["reward_w"], inputs["reward_l"]]),
        "sampled_logp": _array(sums[4:]),
        "credit": _array([inputs["credit_w"], inputs["credit_l"]]),
    }
    return pair, (*parts, *((name, whole) for whole, name in ratios.items())), ratios


def _array(symbols: list[sympy.Symbol]) -> np.ndarray:
    found = np.empty(len(symbols), object)
    found[:] = symbols
    return found


def _definition(value: sympy.Expr, parts: Parts, definitions: tuple[Definition, ...]) -> Definition:
    """Return the loss with the parts and inputs it needs."""
    needed = set(value.free_symbols)
    kept = []
    for name, whole in reversed(parts):
        if name in needed:
            kept.append((name, whole))
            needed |= whole.free_symbols
    loss = Definition("loss", (), value, tuple(reversed(kept)))
    called = used(loss, definitions)
    if any(PROGRESS in part.free_symbols for one in called for part in one.expressions()):
        needed.add(PROGRESS)
    names = {str(one) for one in needed} | set(_ALWAYS)
    return dataclasses.replace(
        loss, parameters=tuple(symbol(name) for name in INPUTS if name in names)
    )


def _named(
    constants: dict[str, float | Vector], definitions: tuple[Definition, ...]
) -> dict[str, float | Vector]:
    """Return those constants that the definitions name."""
    free = {
        str(one)
        for definition in definitions
        for part in definition.expressions()
        for one in part.free_symbols
    }
    return {name: value for name, value in constants.items() if name in free}
