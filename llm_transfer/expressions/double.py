"""Objectives in double precision, without the digits that single precision made up."""

from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")


def in_double(tree: T) -> T:
    """Return `tree` with its numbers as float64: 0.1 where a float32 array holds 0.1.

    A float32 is read as the shortest decimal that rounds to it, so that going back to
    float32 gives the same tree, and the digits beyond its precision are zeros.
    """
    return jax.tree.map(_double, tree)


def _double(leaf: Any) -> np.ndarray:
    values = np.asarray(leaf)
    return (values.astype(str) if values.dtype == np.float32 else values).astype(np.float64)
