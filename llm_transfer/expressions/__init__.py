"""Objectives as formulas: one sympy expression each, from which every export is printed."""

from llm_transfer.expressions.double import in_double
from llm_transfer.expressions.objectives import INPUTS, Pair, Settings, expression, formula
from llm_transfer.expressions.potentials import Defined, define
from llm_transfer.expressions.system import Definition, Expression

__all__ = [
    "INPUTS",
    "Defined",
    "Definition",
    "Expression",
    "Pair",
    "Settings",
    "define",
    "expression",
    "formula",
    "in_double",
]
