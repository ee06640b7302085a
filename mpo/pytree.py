"""Frozen dataclasses as pytrees."""

import dataclasses
from typing import Any, TypeVar

import jax
from jax.tree_util import GetAttrKey

T = TypeVar("T", bound=type)


def pytree(kind: T) -> T:
    """Register a dataclass as a pytree; fields with `metadata={"static": True}` are structure.

    What `jax.tree_util.register_dataclass` does, but for one thing: there (jax 0.10.2) the
    structures of two classes with equal static fields compare equal, so that a `jit` which
    takes an objective may run the program it compiled for another one. Here the class is
    part of the structure.
    """
    fields = dataclasses.fields(kind)
    static = tuple(f.name for f in fields if f.metadata.get("static", False))
    leaves = tuple(f.name for f in fields if f.name not in static)
    keys = tuple(GetAttrKey(name) for name in leaves)

    def structure(node: Any) -> tuple[Any, ...]:
        return (kind, *(getattr(node, name) for name in static))

    def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(node, name) for name in leaves), structure(node)

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        values = (getattr(node, name) for name in leaves)
        return tuple(zip(keys, values, strict=True)), structure(node)

    def unflatten(aux: tuple[Any, ...], children: Any) -> Any:
        # Not by `__init__`, which may refuse what jax puts in the place of a leaf.
        node: Any = object.__new__(kind)
        for name, value in zip((*leaves, *static), (*children, *aux[1:]), strict=True):
            object.__setattr__(node, name, value)
        return node

    jax.tree_util.register_pytree_with_keys(kind, flatten_with_keys, unflatten, flatten)
    return kind
