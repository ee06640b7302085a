"""An algorithm: all that decides how an agent is trained, as one value.

    algorithm = Algorithm(objective=mpo.objective("dpo"), descent=hyper(updates=500))
    params, metrics = train(algorithm, source, policy, key)

Who trains, tunes, searches or stores takes the same value. Its numeric settings are traced, so a
population of algorithms of one structure is a `vmap`; a search moves any of them by their paths
(`mpo.ravel`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array

from mpo.objectives.base import Objective
from mpo.pytree import pytree
from mpo.settings import Checked
from mpo.train.descent import Descent
from mpo.train.renewal import Fixed, Renewal


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Algorithm(Checked):
    """objective × renewal × descent.

    Attributes:
      objective: the loss of one comparison.
      renewal: what happens to the data between rounds; by default nothing, offline training.
      descent: how the parameters follow the slope of the loss.
    """

    what: ClassVar[str] = "an algorithm"

    objective: Objective
    renewal: Renewal = field(default_factory=Fixed)
    descent: Descent = field(default_factory=Descent)


def as_algorithm(objective: Algorithm | Objective, descent: Descent | None = None) -> Algorithm:
    """Return an objective as an algorithm with the defaults; an algorithm as it is.

    Args:
      objective: or an algorithm.
      descent: to be used in place of its own.
    """
    algorithm = objective if isinstance(objective, Algorithm) else Algorithm(objective=objective)
    return algorithm if descent is None else replace(algorithm, descent=descent)


def stacked(algorithms: Sequence[Any], each: int = 1) -> Any:
    """Return algorithms of one structure as one, with `each` copies of them on a leading axis.

    Copies of one stand beside each other. Every number becomes an array of the default dtype.
    """

    if len(algorithms) > 1:
        chex.assert_trees_all_equal_structs(*algorithms)

    def rows(*leaves: Any) -> Array:
        return jnp.repeat(jnp.stack([_strong(leaf) for leaf in leaves]), each, axis=0)

    return jax.tree.map(rows, *algorithms)


def _strong(leaf: Any) -> Array:
    """Return an array without a weak type, which would be another program."""
    array = jnp.asarray(leaf)
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return jnp.asarray(array, array.dtype if floating else jnp.result_type(float))
