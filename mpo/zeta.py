"""ζ, what a search moves: the parameters of an objective's potentials, as one flat vector."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mpo.errors import RequestError
from mpo.objectives.base import Objective
from mpo.potentials.base import Potential

O = TypeVar("O", bound=Objective)  # noqa: E741


def ravel(objective: O) -> tuple[Float[Array, "parameters"], Callable[[Array], O]]:
    """Return ζ of `objective`, and the function that puts another ζ in its place.

    Only the parameters of potentials are searched; λ, β and other settings stay.

    Raises:
      RequestError: the objective has no potential with parameters.
    """
    potentials = {
        field.name: value
        for field in dataclasses.fields(objective)
        if isinstance(value := getattr(objective, field.name), Potential)
    }
    vector, unravel = ravel_pytree(potentials)
    if not vector.size:
        raise RequestError(
            f"objective {objective.name!r} has nothing to search: give it learned potentials, "
            "for example psi=mpo.potential('network', role='psi')"
        )
    return vector, lambda other: dataclasses.replace(objective, **unravel(other))
