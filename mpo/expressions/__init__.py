"""Objectives as formulas: one sympy expression each, from which every export is printed."""

from mpo.expressions.document import digest, from_json, to_json
from mpo.expressions.double import in_double
from mpo.expressions.objectives import INPUTS, expression
from mpo.expressions.potentials import Defined, define
from mpo.expressions.resolving import Named, look_up, resolve
from mpo.expressions.system import Definition, Expression

__all__ = [
    "INPUTS",
    "Defined",
    "Definition",
    "Expression",
    "Named",
    "define",
    "digest",
    "expression",
    "from_json",
    "in_double",
    "look_up",
    "resolve",
    "to_json",
]
