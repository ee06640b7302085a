"""Objectives and potentials as pytrees: the class is part of the structure."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpo
from mpo.potentials import Euclidean, Log, Tsallis
from mpo.pytree import pytree

KINDS = {name: mpo.objective(name) for name in mpo.OBJECTIVES} | {
    "log": Log(),
    "euclidean": Euclidean(),
    "tsallis": Tsallis(),
}


def _structure(tree: object) -> Any:
    return jax.tree.structure(tree)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(KINDS, 2)))
@pytest.mark.sweep
def test_no_two_kinds_have_the_same_structure(first, second):
    """Or a compiled function could run the program of one for the other."""
    assert _structure(KINDS[first]) != _structure(KINDS[second])


@pytest.mark.parametrize("name", KINDS)
def test_leaves_and_structure_make_the_same_object(name):
    leaves, structure = jax.tree.flatten(KINDS[name])
    again = jax.tree.unflatten(structure, leaves)
    assert type(again) is type(KINDS[name])
    assert _structure(again) == structure
    assert hash(_structure(again)) == hash(structure)


@pytree
@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object
    label: str = dataclasses.field(default="", metadata={"static": True})


def test_static_fields_are_structure_and_the_others_leaves():
    point = Point(jnp.ones(2), jnp.zeros(2), "a")
    moved = jax.jit(lambda p: jax.tree.map(lambda leaf: leaf + 1, p))(point)
    assert moved.label == "a"
    np.testing.assert_array_equal(moved.x, 2 * np.ones(2))
    other = dataclasses.replace(point, label="b")
    assert _structure(other) != _structure(point)
    named = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(point)]
    assert named == [".x", ".y"]
    stacked = jax.vmap(lambda p: p.x + p.y, in_axes=(Point(0, None, "a"),))(point)
    assert stacked.shape == (2, 2)
