"""Objectives as formulas: one sympy expression each, from which every export is printed."""

from llm_transfer.expressions.document import digest, from_json, to_json
from llm_transfer.expressions.double import in_double
from llm_transfer.expressions.objectives import INPUTS, Pair, Settings, expression, formula
from llm_transfer.expressions.potentials import Defined, define
from llm_transfer.expressions.resolving import Named, look_up, resolve
from llm_transfer.expressions.system import Definition, Expression

__all__ = [
    "INPUTS",
    "Defined",
    "Definition",
    "Expression",
    "Named",
    "Pair",
    "Settings",
    "define",
    "digest",
    "expression",
    "formula",
    "from_json",
    "in_double",
    "look_up",
    "resolve",
    "to_json",
]
