"""How a weight that must not be negative is written as a free number for a search to move."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mpo.errors import RequestError, unknown

_SCALE = 0.1  # shifted_log: weights below it move linearly, above it by ratios
_MOST = 10.0  # bounded_log: a hundred times the scale
_TINY = 1e-12  # where zero is out of reach, what stands for it: below float precision


@dataclass(frozen=True)
class Positivity:
    """A map from a free parameter to a weight ≥ 0, and back.

    Attributes:
      weight: the weight of a free parameter, element by element.
      parameter: a free parameter of a weight.
    """

    weight: Callable[[Float[Array, "*n"]], Float[Array, "*n"]]
    parameter: Callable[[np.ndarray], np.ndarray]


def _bounded(weight: np.ndarray) -> np.ndarray:
    if np.any(weight > _MOST):
        raise RequestError(
            f"bounded_log holds weights up to {_MOST:g}, not {np.max(weight):g}: "
            "divide them all, or use shifted_log"
        )
    return weight


POSITIVITIES: Final[dict[str, Positivity]] = {
    # Zero is a point (parameter 0), so a search can start at an exact special case, and one
    # of two antithetic steps leaves it; larger weights are searched in log space.
    "shifted_log": Positivity(
        weight=lambda raw: _SCALE * jnp.expm1(jnp.maximum(raw, 0)),
        parameter=lambda weight: np.log1p(weight / _SCALE),
    ),
    # The same up to a bound. An optimizer that normalises gradients does not see the scale of a
    # loss, so a search without bounds drifts off along it.
    "bounded_log": Positivity(
        weight=lambda raw: jnp.minimum(_SCALE * jnp.expm1(jnp.clip(raw, 0, 9)), _MOST),
        parameter=lambda weight: np.log1p(_bounded(weight) / _SCALE),
    ),
    # Log space proper: scale-free, zero out of reach.
    "exp": Positivity(
        weight=jnp.exp,
        parameter=lambda weight: np.log(np.maximum(weight, _TINY)),
    ),
    # Customary, and a poor choice near zero: a perturbation is hardly felt there.
    "softplus": Positivity(
        weight=jax.nn.softplus,
        parameter=lambda weight: np.log(np.expm1(np.maximum(weight, _TINY))),
    ),
}


def positivity(name: str) -> Positivity:
    """Return the parametrisation called `name`."""
    if name not in POSITIVITIES:
        raise unknown("positivity", name, POSITIVITIES)
    return POSITIVITIES[name]
