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
expm1(x) = exp(x) - 1 and log1p(x) = log(1 + x).
"""

import json
from collections.abc import Mapping
from typing import Any

from llm_transfer.expressions.parsing import read, written
from llm_transfer.expressions.system import Definition, Expression, symbol
from mpo.errors import RequestError

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
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RequestError(f"this is no formula in JSON: {error}") from error


def _described(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "parameters": [str(parameter) for parameter in definition.parameters],
        "parts": [[str(name), written(part)] for name, part in definition.parts],
        "value": written(definition.value),
        "summary": definition.summary,
    }


def _expression(about: Any) -> Expression:
    constants = {
        str(name): tuple(map(float, value)) if isinstance(value, list) else float(value)
        for name, value in about["constants"].items()
    }
    inputs = list(map(str, about["inputs"]))
    free = {*constants, *inputs}
    definitions: list[Definition] = []
    for one in about["definitions"]:
        definitions.append(_definition(one, free, [known.name for known in definitions]))
    loss = {"name": "loss", "parameters": inputs, **about["loss"]}
    return Expression(
        name=str(about["name"]),
        summary=str(about["summary"]),
        loss=_definition(loss, free, [known.name for known in definitions]),
        definitions=tuple(definitions),
        constants=constants,
        length_normalise={"token": True, "sum": False}[about["normalise"]],
    )


def _definition(one: Any, free: set[str], known: list[str]) -> Definition:
    names = {*free, *one["parameters"]}
    parts = []
    for name, text in one["parts"]:
        parts.append((symbol(name), read(text, names, known)))
        names.add(name)
    return Definition(
        name=_identifier(one["name"]),
        parameters=tuple(symbol(_identifier(name)) for name in one["parameters"]),
        value=read(one["value"], names, known),
        parts=tuple(parts),
        summary=str(one.get("summary", "")),
    )


def _identifier(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name")
    return name
