"""A compact potential that is already a closed form: a few increasing functions, weights ≥ 0."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.errors import RequestError, unknown
from mpo.logspace import log_odds, log_probability, probability
from mpo.named import named
from mpo.nonnegative import positivity
from mpo.potentials.base import Potential, Progress, Role
from mpo.potentials.base import role as named_role
from mpo.pytree import pytree
from mpo.settings import Kept


def _odd(half: Callable[[Array], Array], log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return the odd function that is `half` of ℓ above zero."""
    # Not sign(ℓ) · half(|ℓ|), which has no slope at ℓ = 0.
    above = log_x > 0
    size = half(jnp.where(above, log_x, -log_x))
    return jnp.where(above, size, -size)


@named
def capped_exp(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return e^x, continued by its tangent above x = 1."""
    # Evaluated twice, not held in a variable: the gradient is the same to the last bit only so.
    below, above = jnp.minimum(probability(log_x), 1), jnp.maximum(probability(log_x) - 1, 0)
    return jnp.exp(below) * (1 + above)


@named
def signed_sqrt(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return an odd function with slope 1 / sqrt(1 + |log x|)."""
    return _odd(lambda size: 2 * (jnp.sqrt(1 + size) - 1), log_x)


@named
def signed_log(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return an odd function with slope 1 / (1 + |log x|)."""
    return _odd(jnp.log1p, log_x)


@named
def signed_square(log_x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return an odd function with slope |log x|."""
    return log_x * jnp.abs(log_x) / 2


# Increasing functions of ℓ = log x, finite with their slopes from -1e4 to +10. What each is
# for is where its slope d/dℓ lies, for that is the weight a comparison gets in the gradient.
FUNCTIONS: Final[dict[str, Callable[[Array], Array]]] = {
    "log": lambda log_x: log_x,  # the same everywhere
    "logit": log_odds,  # steep where the response is all but certain
    "x": probability,  # likely responses only
    "sqrt": lambda log_x: jnp.exp(log_probability(log_x) / 2),
    "square": lambda log_x: jnp.square(probability(log_x)),
    "exp": capped_exp,
    "log_sigmoid": jax.nn.log_sigmoid,  # unlikely responses only (x < ½)
    "softplus": jax.nn.softplus,  # densities above one
    "sigmoid": jax.nn.sigmoid,  # a bump around x = 1
    "signed_sqrt": signed_sqrt,
    "signed_log": signed_log,  # forgives outliers
    "signed_square": signed_square,  # chases outliers
}
DEFAULT_LIBRARY: Final = (
    "log", "logit", "x", "square", "log_sigmoid", "softplus", "sigmoid", "signed_sqrt"
)  # fmt: skip


@final
@pytree
@dataclass(frozen=True)
class BasisPotential(Potential):
    """f(x) = Σ_i w_i f_i(log x) with w ≥ 0 and every f_i increasing.

    Temporally aware, w_i goes from its value at the start of training to its value at the
    end, linearly in progress: w_i(t) = (1 - t) w_i(0) + t w_i(1).

    Attributes:
      weight, weight_end: free parameters of w(0) and w(1), shape [len(library)];
        `weight_end` is None for a static potential.
      library: names of the f_i (keys of `FUNCTIONS`).
      positive: name of the parametrisation (`mpo.nonnegative`); all of them
        but softplus search the weights in log space.
    """

    weight: Float[Kept, "*batch functions"]
    weight_end: Float[Kept, "*batch functions"] | None
    library: tuple[str, ...] = field(default=DEFAULT_LIBRARY, metadata={"static": True})
    positive: str = field(default="shifted_log", metadata={"static": True})

    @classmethod
    def of(
        cls,
        weights: dict[str, float],
        *,
        library: tuple[str, ...] = DEFAULT_LIBRARY,
        temporal: bool = False,
        positive: str = "shifted_log",
    ) -> "BasisPotential":
        """Return the potential with these weights by function name, and zero for the rest.

        Args:
          weights: w_i ≥ 0 by function name.
          library: the functions a search may use.
          temporal: whether the weights may change with progress (they start constant).
          positive: parametrisation of the weights.
        """
        for name in library:
            if name not in FUNCTIONS:
                raise unknown("basis function", name, FUNCTIONS)
        for name, weight in weights.items():
            if name not in library:
                raise unknown("function of this library", name, library)
            if not weight >= 0:
                raise RequestError(f"the weight of {name!r} must be ≥ 0, not {weight}")
        wanted = np.array([weights.get(name, 0.0) for name in library])
        free = jnp.asarray(positivity(positive).parameter(wanted), float)
        return cls(free, free if temporal else None, tuple(library), positive)

    @classmethod
    def orpo(
        cls,
        role: str,
        *,
        library: tuple[str, ...] = DEFAULT_LIBRARY,
        temporal: bool = False,
        positive: str = "shifted_log",
    ) -> "BasisPotential":
        """Return a combination of few functions at its ORPO setting.

        That is log x for ψ, logit for φ⁻¹, and log σ for a link.
        """
        orpo = {Role.PSI: "log", Role.PHI_INV: "logit", Role.LINK: "log_sigmoid"}
        one = orpo[named_role(role)]
        return cls.of({one: 1.0}, library=library, temporal=temporal, positive=positive)

    @override
    def fresh(self) -> "BasisPotential":
        """Return the combination of the same functions with all weights zero."""
        temporal = self.weight_end is not None
        return self.of({}, library=self.library, temporal=temporal, positive=self.positive)

    def weights(self, progress: Progress = 0.0) -> Float[Array, "functions"]:
        """Return w at `progress`."""
        weight = positivity(self.positive).weight
        if self.weight_end is None:
            return weight(self.weight)
        return (1 - progress) * weight(self.weight) + progress * weight(self.weight_end)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return f(e^ℓ) at `progress`."""
        values = jnp.stack([FUNCTIONS[name](log_x) for name in self.library])
        return jnp.sum(self.weights(progress) * values)
