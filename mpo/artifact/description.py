"""An objective taken apart, into settings that are plain JSON and arrays by name; and back."""

import dataclasses
from collections.abc import Mapping
from enum import EnumType
from typing import Any, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np

from mpo import treefile
from mpo.errors import RequestError, unknown
from mpo.objectives import OBJECTIVES, Objective
from mpo.potentials import Potential, kinds
from mpo.settings import build

Json = Any
Arrays = Mapping[str, np.ndarray]

STORED = ("float32", "float64")
"""What arrays are stored as; of narrower ones every number is also one of these."""


def take_apart(objective: Objective) -> tuple[Json, dict[str, np.ndarray]]:
    """Return the name and settings of an objective as JSON, and its arrays by path.

    What is an array goes to the arrays (`psi.slope`), and what is a number to the settings,
    so that both are found again as what they were. Fields are read off the dataclasses: a
    new objective or potential needs its place in a registry, and if it has arrays, a `fresh`.

    Raises:
      RequestError: the objective, or a potential in it, has no name; or it holds something
        other than numbers, names, switches and arrays of floats.
    """
    arrays: dict[str, np.ndarray] = {}
    names: dict[type, str] = {kind: name for name, kind in OBJECTIVES.items()}
    names |= {kind: name for name, kind in kinds().items()}

    def node(thing: Objective | Potential, at: str) -> Json:
        if type(thing) not in names:
            raise RequestError(
                f"{type(thing).__name__} has no name to be found by again: enter it in "
                "mpo.OBJECTIVES or mpo.POTENTIALS"
            )
        settings = {}
        for field in dataclasses.fields(thing):  # type: ignore[arg-type]
            value, path = getattr(thing, field.name), at + field.name
            if isinstance(value, jax.Array | np.ndarray | np.generic):
                arrays[path] = _stored(value, path)
            elif isinstance(value, Potential):
                settings[field.name] = node(value, f"{path}.")
            elif value is None or isinstance(value, bool | int | float | str | tuple):
                settings[field.name] = value
            else:
                raise RequestError(f"{path} holds {value!r}, which is no setting")
        return {"name": names[type(thing)], "settings": settings}

    return node(objective, ""), arrays


def put_together(description: Json, arrays: Arrays) -> Objective:
    """Return the objective that `take_apart` described, with arrays of the default float dtype.

    Everything is made by the registries, never by the name of a class; ranges are checked as
    for settings given by hand, and structure, names and shapes must be those of a fresh
    objective of the same settings.

    Raises:
      RequestError: the description fits no objective that this version knows.
    """
    left = {name: _loaded(values, name) for name, values in arrays.items()}

    def thing(registry: Mapping[str, type], what: str, node: Json, at: str) -> Any:
        name, settings = node["name"], node["settings"]
        if name not in registry:
            raise unknown(what, name, registry)
        hints = get_type_hints(registry[name])
        values: dict[str, Any] = {
            setting: thing(kinds(), "potential", value, f"{at}{setting}.")
            if isinstance(value, dict)
            else _from_json(value, hints.get(setting))
            for setting, value in settings.items()
        }
        own = [path for path in left if path.startswith(at) and "." not in path[len(at) :]]
        arrays = {path[len(at) :]: left.pop(path) for path in own}
        if twice := sorted(values.keys() & arrays.keys()):
            raise RequestError(f"{at}{twice[0]} is both a setting and an array")
        return build(registry[name], f"{what} {name!r}", values | arrays)

    try:
        objective = thing(OBJECTIVES, "objective", description, "")
        if left:
            raise RequestError(f"it has no place for {', '.join(sorted(left))}")
        return _like_fresh(objective)
    except RequestError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(f"its settings do not make an objective: {error}") from error


def _from_json(value: Json, kind: Any) -> Any:
    """Return a setting as its field has it: lists are tuples there, and some names are enums."""
    if isinstance(value, list):
        return tuple(value)
    return kind(value) if isinstance(kind, EnumType) else value


def _like_fresh(objective: Objective) -> Objective:
    """Return `objective`, if names, shapes and static settings are those of a fresh one."""

    def fresh() -> Objective:
        own = vars(objective).items()
        parts = {
            name: part.fresh() if isinstance(part, Potential) else None
            for name, part in own
            if part is None or isinstance(part, Potential)
        }
        return build(type(objective), "objective", static | parts)

    fields = dataclasses.fields(objective)
    static = {f.name: getattr(objective, f.name) for f in fields if f.metadata.get("static")}
    expected: Any = jax.eval_shape(fresh)  # its numbers are not needed
    structure: Any = jax.tree.structure(expected)
    if jax.tree.structure(objective) != structure:
        raise RequestError("its settings are not of the kinds that those of a fresh one are")
    own = treefile.named(objective)
    for (name, value), like in zip(own, jax.tree.leaves(expected), strict=True):
        if np.shape(value) != like.shape:
            raise RequestError(
                f"{name} has shape {list(np.shape(value))}, expected {list(like.shape)} "
                "(it must be one objective, not a batch)"
            )
    return jax.tree.unflatten(structure, [value for _, value in own])


def _stored(value: Any, path: str) -> np.ndarray:
    if not jnp.issubdtype(value.dtype, jnp.floating):
        raise RequestError(f"{path} is of dtype {value.dtype}: arrays must be of a floating dtype")
    array = np.asarray(value)
    return array if array.dtype.name in STORED else array.astype(np.float32)


def _loaded(values: np.ndarray, path: str) -> jax.Array:
    with np.errstate(over="ignore"):  # beyond float32: found not finite below
        array = jnp.asarray(values, float)
    if not np.all(np.isfinite(array)):
        raise RequestError(f"{path} has numbers that are not finite, or not in {array.dtype}")
    return array
