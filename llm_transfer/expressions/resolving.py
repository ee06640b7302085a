"""Formulas of whatever names an objective."""

import dataclasses
from os import PathLike
from typing import Any

import mpo
from llm_transfer.expressions.objectives import expression
from llm_transfer.expressions.system import Expression
from mpo.objectives import Objective

Named = Objective | Expression | str | PathLike[str]


def resolve(objective: Named, **settings: object) -> Expression:
    """Return the formula of an objective, or of what `mpo.objective` knows by this name.

    Raises:
      RequestError: the objective or a setting is unknown, or it has no formula.
    """
    return (
        objective if isinstance(objective, Expression) else expression(named(objective, **settings))
    )


def named(objective: Objective | str | PathLike[str], **settings: Any) -> Objective:
    """Return an objective with these settings, whether it is one already or a name of one."""
    if isinstance(objective, Objective):
        return dataclasses.replace(objective, **settings)
    return mpo.objective(objective, **settings)
