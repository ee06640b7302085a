"""Objectives in double precision, without the digits that single precision made up.

A float32 is read as the shortest decimal that rounds to it: λ = 0.1 where a float32 array
holds 0.1. A weight that is written as a free parameter (`mpo.nonnegative`) is
read as the shortest decimal *weight* whose parameter rounds to that float32: the weight is
the number a formula shows. Back in float32 the objective is the one it was.
"""

import dataclasses
from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mpo.mirror import Numeric
from mpo.nonnegative import positivity
from mpo.objectives import Objective
from mpo.potentials import BasisPotential, NetworkPotential, Potential

T = TypeVar("T")

_NOTHING = 2e-12  # weights below it are zero, which some parametrisations can only come near
_DIGITS = range(1, 17)


def in_double(objective: Objective) -> Objective:
    """Return `objective` with its numbers as float64."""
    return dataclasses.replace(objective, **_fields(objective))


@singledispatch
def _double(leaf: Any) -> Any:
    return jax.tree.map(decimals, leaf)


@_double.register
def _(potential: Numeric) -> Potential:
    return dataclasses.replace(potential, **_fields(potential))


@_double.register
def _(potential: BasisPotential) -> Potential:
    return _reweighted(potential, ("weight", "weight_end"))


@_double.register
def _(potential: NetworkPotential) -> Potential:
    return _reweighted(potential, ("slope", "slope_end", "output", "skip"))


def _fields(whole: Any) -> dict[str, Any]:
    return {
        field.name: _double(getattr(whole, field.name))
        for field in dataclasses.fields(whole)
        if not field.metadata.get("static")
    }


def _reweighted(potential: Any, weights: tuple[str, ...]) -> Any:
    """Return the potential with these parameters moved to where their weights are decimals."""
    given = {name: getattr(potential, name) for name in weights}
    moved = {
        name: _parameter(potential.positive, value)
        for name, value in given.items()
        if value is not None
    }
    return dataclasses.replace(potential, **_fields(potential) | moved)


def _parameter(positive: str, parameter: Any) -> np.ndarray:
    free, given = positivity(positive), np.asarray(parameter)
    with jax.enable_x64(True):
        weight = np.asarray(free.weight(jnp.asarray(given, np.float64)))
    zero = weight <= _NOTHING
    exact = np.where(zero, 1.0, weight)
    if given.dtype == np.float32:
        exact = _shortest(exact, lambda decimal: free.parameter(decimal).astype(given.dtype), given)
    return np.where(zero, -np.inf, free.parameter(exact))  # from -inf, each gives zero


def _shortest(
    exact: np.ndarray, rounded: Callable[[np.ndarray], np.ndarray], given: np.ndarray
) -> np.ndarray:
    """Return the decimals near `exact`, as short as they can be to be `rounded` as `given`."""
    found = exact
    for digits in reversed(_DIGITS):
        decimal = np.asarray(np.char.mod(f"%.{digits}g", exact), np.float64)
        found = np.where(rounded(decimal) == given, decimal, found)
    return found


def decimals(values: Any) -> np.ndarray:
    """Return numbers as float64; those of float32 as the shortest decimals that round to them."""
    array = np.asarray(values)
    return (array.astype(str) if array.dtype == np.float32 else array).astype(np.float64)
