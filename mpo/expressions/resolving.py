"""Formulas of whatever names an objective."""

import dataclasses
from os import PathLike
from typing import Any

import mpo
from mpo.errors import RequestError
from mpo.expressions.document import formula_in
from mpo.expressions.objectives import expression
from mpo.expressions.system import Expression
from mpo.objectives import Objective

Named = Objective | Expression | str | PathLike[str]


def resolve(objective: Named, **settings: object) -> Expression:
    """Return the formula of an objective, of what `mpo.objective` knows by this name, or in a file.

    Raises:
      RequestError: the objective or a setting is unknown, or it has no formula.
    """
    found = look_up(objective, **settings)
    return found if isinstance(found, Expression) else expression(found)


def look_up(objective: Named, **settings: Any) -> Objective | Expression:
    """Return the objective with these settings, or the formula, that goes by this name.

    Raises:
      RequestError: it or a setting is unknown, or it is a formula, which has no settings.
    """
    if isinstance(objective, Objective):
        return dataclasses.replace(objective, **settings)
    formula = objective if isinstance(objective, Expression) else formula_in(objective)
    if formula is None:
        assert not isinstance(objective, Expression)
        return mpo.objective(objective, **settings)
    if settings:
        raise RequestError(
            f"the formula of {formula.name!r} has its numbers in it: give settings to the "
            "objective it was made from"
        )
    return formula
