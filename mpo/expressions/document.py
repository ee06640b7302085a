"""Formulas as JSON, for programs in any language.

    kind         "formula"
    schema       version of this format; a reader refuses later ones
    name         of the objective
    summary      a line about it
    inputs       what the loss is a function of, in order (`INPUTS`)
    normalise    "token": the loss divides log-probabilities by length; "sum": it does not
    constants    name → number, or a list of numbers for those that are indexed by j
    definitions  functions, callees first: name, parameters, parts ([name, formula] in order),
                 value, summary
    loss         parts and value, likewise
    provenance   notes

A formula is Python arithmetic in which these functions occur: `parsing.FUNCTIONS`, as sympy
has them, with logsigmoid(x) = log(1 / (1 + exp(-x))), sigmoid(x) = 1 / (1 + exp(-x)),
expm1(x) = exp(x) - 1, log1p(x) = log(1 + x), and stop_gradient(x) = x, of which no gradient is
taken.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import sympy

from mpo.errors import RequestError
from mpo.expressions.objectives import INPUTS
from mpo.expressions.parsing import identifier, read, written
from mpo.expressions.system import UNIT, Definition, Expression, Vector, symbol
from mpo.expressions.tracing import in_library

SCHEMA = 1
_KIND = "formula"


def to_json(expression: Expression, provenance: Mapping[str, Any] | None = None) -> str:
    """Return the formula as the text of a JSON file."""
    loss = _described(expression.loss)
    about = {
        "kind": _KIND,
        "schema": SCHEMA,
        "name": expression.name,
        "summary": expression.summary,
        "inputs": expression.inputs,
        "normalise": "token" if expression.length_normalise else "sum",
        "constants": dict(expression.constants),
        "definitions": [_described(definition) for definition in expression.definitions],
        "loss": {name: loss[name] for name in ("parts", "value")},
        "provenance": dict(provenance or {}),
    }
    return json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def digest(expression: Expression) -> str:
    """Return a word for what the loss computes: another for other numbers, or another formula.

    Functions of this package's library count by their names alone: a later version may write
    the same functions in another way.
    """
    own = [_described(one) for one in expression.definitions if not in_library(one)]
    about = [expression.constants, own, _described(expression.loss), expression.length_normalise]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def from_json(text: str) -> Expression:
    """Return the formula that `to_json` wrote; nothing in the text is executed.

    Raises:
      RequestError: it is no such text, or of a later version.
    """
    try:
        about = json.loads(text)
        if about["kind"] != _KIND:
            raise RequestError(f"this JSON describes a {about['kind']!r}, not a formula")
        if about["schema"] != SCHEMA:
            raise RequestError(
                f"the formula has schema {about['schema']!r}, and this version reads {SCHEMA}"
            )
        return _expression(about)
    except RequestError:
        raise
    except KeyError as error:
        raise RequestError(f"this is no formula in JSON: {error.args[0]!r} is missing") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(f"this is no formula in JSON: {error}") from error


def formula_in(place: str | PathLike[str]) -> Expression | None:
    """Return the formula in the file at `place`, if it is a JSON file with a formula.

    Raises:
      RequestError: it is one with a fault.
    """
    path = Path(place)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        text = path.read_text("utf-8")
        if json.loads(text)["kind"] != _KIND:
            return None
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    try:
        return from_json(text)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error


def _described(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "parameters": [str(parameter) for parameter in definition.parameters],
        "parts": [[str(name), written(part)] for name, part in definition.parts],
        "value": written(definition.value),
        "summary": definition.summary,
    }


def _expression(about: Any) -> Expression:
    constants = {identifier(name): _constant(value) for name, value in about["constants"].items()}
    inputs = tuple(name for name in INPUTS if name in about["inputs"])
    if list(inputs) != about["inputs"]:
        raise ValueError(f"the inputs are not some of {', '.join(INPUTS)}, in this order")
    free = {*constants, *inputs}
    definitions: list[Definition] = []
    for one in about["definitions"]:
        definitions.append(_definition(one, free, [known.name for known in definitions]))
    loss = {"name": "loss", "parameters": inputs, **about["loss"]}
    found = Expression(
        name=_line(about["name"]),
        summary=_line(about["summary"]),
        loss=_definition(loss, free, [known.name for known in definitions]),
        definitions=tuple(definitions),
        constants=constants,
        length_normalise={"token": True, "sum": False}[about["normalise"]],
    )
    _check_sums(found)
    return found


def _definition(one: Any, free: set[str], known: list[str]) -> Definition:
    parameters = tuple(map(identifier, one["parameters"]))
    names = {*free, *parameters}
    parts = []
    for name, text in one["parts"]:
        parts.append((symbol(identifier(name)), read(text, names, known)))
        names.add(name)
    return Definition(
        name=identifier(one["name"]),
        parameters=tuple(map(symbol, parameters)),
        value=read(one["value"], names, known),
        parts=tuple(parts),
        summary=_line(one.get("summary", "")),
    )


def _constant(value: Any) -> float | Vector:
    if isinstance(value, list):
        return tuple(map(_number, value))
    return _number(value)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _line(text: Any) -> str:
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"{text!r} is not a line of text")
    return text


def _check_sums(expression: Expression) -> None:
    """Raise `ValueError` where units are counted outside of a sum, or not all of them in one."""
    sizes = {
        name: len(value) for name, value in expression.constants.items() if isinstance(value, tuple)
    }
    for definition in (*expression.definitions, expression.loss):
        for part in definition.expressions():
            if UNIT in part.free_symbols:
                raise ValueError(f"{definition.name} has an index outside of a sum")
            for total in part.atoms(sympy.Sum):
                ((_, first, last),) = total.limits
                for vector in total.atoms(sympy.Indexed):
                    if first != 0 or sizes.get(str(vector.base)) != last + 1:
                        raise ValueError(f"a sum is not over all of {vector.base}")
