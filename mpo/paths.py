"""Any numeric setting by its path, and many of them as one flat vector: what a search moves.

    zeta, rebuild = mpo.ravel(algorithm, over=("objective.psi", "descent.learning_rate"))

A path is the names of fields with dots between them. It leads to a number, to an array, or to a
part (a potential, say) all of whose numbers are meant. The vector holds free numbers: a setting
that has a range is moved in its chart (`mpo.settings.Range`), so whatever the vector, what is
rebuilt is in range. Parameters of potentials are free numbers as they are.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mpo.errors import RequestError, unknown
from mpo.objectives.base import Objective
from mpo.potentials.base import Potential
from mpo.settings import Range, ranges

T = TypeVar("T")


def ravel(
    thing: T, over: Sequence[str] | None = None
) -> tuple[Float[Array, "parameters"], Callable[[Array], T]]:
    """Return ζ of an objective or algorithm, and the function that puts another ζ in its place.

    Args:
      thing: an objective, an algorithm, or any frozen dataclass of settings.
      over: paths of what is moved, in any order; by default all potentials of the objective.

    Raises:
      RequestError: there is nothing at a path, or nothing that can be moved.
    """
    paths = searchable(thing) if over is None else tuple(over)
    if not paths:
        raise RequestError(
            f"{_called(thing)} has nothing to search: give it learned potentials, "
            "for example psi=mpo.potential('network', role='psi'), or say which settings to move"
        )
    if len({*paths}) != len(paths):
        raise RequestError(f"a path is there twice: {', '.join(sorted(paths))}")
    for path in paths:
        for other in paths:
            if other.startswith(f"{path}."):
                raise RequestError(f"{other!r} is a part of {path!r}: give one of them")
    # A dictionary is flattened by the order of its names, whatever order they were given in.
    vector, unravel = ravel_pytree({path: _free(thing, path) for path in paths})
    if not vector.size:
        raise RequestError(f"{', '.join(paths)} of {_called(thing)} has no numbers to move")

    def rebuild(other: Array) -> T:
        moved = thing
        for path, free in unravel(other).items():
            moved = put(moved, path, _value(thing, path, free))
        return moved

    return vector, rebuild


def searchable(thing: Any) -> tuple[str, ...]:
    """Return the paths of all potentials with parameters, those of a search by default."""
    own, before = (thing, "") if isinstance(thing, Objective) else (thing.objective, "objective.")
    return tuple(
        f"{before}{field.name}"
        for field in dataclasses.fields(own)
        if isinstance(part := getattr(own, field.name), Potential) and jax.tree.leaves(part)
    )


def get(thing: Any, path: str) -> Any:
    """Return what is at a path.

    Raises:
      RequestError: there is nothing; the message names what there is.
    """
    for name in path.split("."):
        known = [field.name for field in dataclasses.fields(thing)] if _has_fields(thing) else []
        if name not in known:
            raise unknown(f"setting in the path {path!r}", name, known)
        thing = getattr(thing, name)
    return thing


def put(thing: T, path: str, value: Any) -> T:
    """Return `thing` with `value` at a path; its range is checked, unless it is traced."""
    name, _, rest = path.partition(".")
    get(thing, name)
    inner = put(getattr(thing, name), rest, value) if rest else value
    return dataclasses.replace(thing, **{name: inner})  # type: ignore[type-var]


def put_all(thing: T, values: Mapping[str, Any]) -> T:
    """Return `thing` with values at several paths."""
    for path, value in values.items():
        thing = put(thing, path, value)
    return thing


def put_known(thing: T, values: Mapping[str, Any]) -> T:
    """Return `thing` with the values of those paths that it has, such as those of its slope."""
    return put_all(thing, {path: value for path, value in values.items() if _has(thing, path)})


def _has(thing: Any, path: str) -> bool:
    try:
        get(thing, path)
    except RequestError:
        return False
    return True


def tried(thing: Any, at: str = "") -> dict[str, Range]:
    """Return the range of each setting that a tuning covers, by its path, in and below `thing`."""
    own = {f"{at}{name}": extent for name, extent in ranges(thing).items() if extent.tried}
    for field in dataclasses.fields(thing):
        inner = getattr(thing, field.name)
        if _has_fields(inner):
            own |= tried(inner, f"{at}{field.name}.")
    return own


def _free(thing: Any, path: str) -> Any:
    value = get(thing, path)
    extent = _range(thing, path)
    if extent is not None:
        if value is None:
            raise RequestError(f"{path!r} is not set: give it a number to begin with")
        return extent.free(value)
    leaves = jax.tree.leaves(value)
    if not all(jnp.issubdtype(jnp.result_type(leaf), jnp.floating) for leaf in leaves):
        raise RequestError(f"{path!r} is {value!r}, which is no number that can be moved")
    return jax.tree.map(jnp.asarray, value)


def _value(thing: Any, path: str, free: Any) -> Any:
    extent = _range(thing, path)
    return free if extent is None else extent.value(free)


def _range(thing: Any, path: str) -> Range | None:
    owner, _, name = path.rpartition(".")
    return ranges(get(thing, owner) if owner else thing).get(name)


def _has_fields(thing: Any) -> bool:
    return dataclasses.is_dataclass(thing) and not isinstance(thing, type)


def _called(thing: Any) -> str:
    return thing.called() if hasattr(thing, "called") else type(thing).__name__
