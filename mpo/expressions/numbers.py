"""Numbers as a formula shows them."""

from decimal import Decimal

import sympy

_MADE_UP = 4  # digits that are dropped only if as many can be


def significant(value: float) -> float:
    """Return `value` to 15 digits: 0.3 where a weight came out as 0.30000000000000004."""
    return float(f"{value:.15g}")


def change(first: float, last: float) -> float:
    """Return `last` - `first`, subtracted as decimals: 0.3 for 0.4 and 0.1."""
    return float(Decimal(repr(significant(last))) - Decimal(repr(significant(first))))


def tidy(value: float) -> sympy.Expr:
    """Return a number to 15 digits, an integer as such, for sympy to drop 0 · and 1 ·."""
    return exact(significant(value))


def shown(value: float) -> sympy.Expr:
    """Return a number without digits that arithmetic made up; one that needs its digits has them.

    Where two branches meet, the number is the same to the last digit.
    """
    short = significant(value)
    return exact(short if len(repr(short)) + _MADE_UP <= len(repr(value)) else value)


def exact(value: float) -> sympy.Expr:
    """Return a number, an integer as such."""
    if value in (float("inf"), float("-inf")):
        return sympy.oo if value > 0 else -sympy.oo
    return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)
