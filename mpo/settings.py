"""Settings of objectives and potentials: dataclass fields that know their range."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

from mpo.errors import RequestError, unknown

T = TypeVar("T")

# What a field of a pytree holds: an array, or what a transformation puts in its place (a
# tracer, a stack of arrays, an axis of `vmap`), which is why its shape is not annotated.
Leaf = Any
Complaint = str | None


def number(
    default: float | None,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    other_than: float | None = None,
) -> Any:
    """Declare a numeric setting with its range; it is traced, so batches of it are a `vmap`.

    Where the default is `None`, the setting may be `None`.
    """
    rules = (
        (">", np.greater, above),
        ("≥", np.greater_equal, at_least),
        ("<", np.less, below),
        ("≤", np.less_equal, at_most),
        ("≠", np.not_equal, other_than),
    )
    bounds = [(sign, holds, limit) for sign, holds, limit in rules if limit is not None]
    wanted = " and ".join(f"{sign} {limit:g}" for sign, _, limit in bounds)

    def check(value: object) -> Complaint:
        if isinstance(value, jax.core.Tracer) or (value is None and default is None):
            return None
        array = np.asarray(value)
        if array.dtype == bool or not np.issubdtype(array.dtype, np.number):
            return f"must be a number, not {value!r}"
        if not np.all(np.isfinite(array)):
            return f"must be finite, not {value}"
        if not all(np.all(holds(array, limit)) for _, holds, limit in bounds):
            return f"must be {wanted}, not {value}"
        return None

    return dataclasses.field(default=default, metadata={"check": check})


def count(default: int | None) -> Any:
    """Declare a static setting that counts something: a whole number ≥ 1, or `None` as above."""

    def check(value: object) -> Complaint:
        if value is None and default is None:
            return None
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
            return None
        return f"must be a whole number ≥ 1, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def one_of(default: str, known: Collection[str]) -> Any:
    """Declare a static setting that is one of the `known` names."""

    def check(value: object) -> Complaint:
        return None if value in known else f"is {unknown('name', str(value), known)}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def switch(default: bool) -> Any:
    """Declare a setting that is either on or off; it is static."""

    def check(value: object) -> Complaint:
        return None if isinstance(value, bool) else f"must be true or false, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def part(kind: type, default: Callable[[], object]) -> Any:
    """Declare a setting that is an object of `kind`, itself a pytree."""

    def check(value: object) -> Complaint:
        return None if isinstance(value, kind) else f"must be a {kind.__name__}, not {value!r}"

    return dataclasses.field(default_factory=default, metadata={"check": check})


def build(factory: Callable[..., T], what: str, settings: Mapping[str, object]) -> T:
    """Call `factory(**settings)`, or say which setting of `what` is unknown or out of range."""
    parameters = inspect.signature(factory).parameters
    for name in settings:
        if name not in parameters:
            raise unknown(f"setting of {what}", name, parameters)
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and name not in settings
    ]
    if missing:
        raise RequestError(f"{what} needs the setting {missing[0]!r}")
    for field in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        check = field.metadata.get("check")
        complaint = check(settings[field.name]) if check and field.name in settings else None
        if complaint:
            raise RequestError(f"setting {field.name!r} of {what} {complaint}")
    return factory(**settings)
