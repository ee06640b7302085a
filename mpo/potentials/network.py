"""The learned potential of the mirror-preference paper: one hidden layer, always increasing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.errors import RequestError
from mpo.logspace import log_odds, log_positive_part, log_probability, probability
from mpo.named import named
from mpo.nonnegative import positivity
from mpo.potentials.base import ORPO, Potential, Progress, Role
from mpo.potentials.base import role as named_role
from mpo.pytree import pytree
from mpo.settings import Kept

_EXP_TANGENT = 10.0  # e^u goes on as its tangent from here
LEAST_SLOPE = 1e-6  # added to every slope under a logarithm, where zero cannot stand


@named
def tangent_exp(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return e^u, continued by its tangent above u = 10."""
    beyond = u > _EXP_TANGENT
    tangent = math.exp(_EXP_TANGENT) * (1 + u - _EXP_TANGENT)
    return jnp.where(beyond, tangent, jnp.exp(jnp.where(beyond, 0, u)))


@named
def positive_square(u: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Return u² where u > 0, and 0 elsewhere."""
    return jnp.where(u > 0, u * u, 0)


# The paper's nine activations. The first five see u = s·x + b; the other four see log (u)₊,
# formed in log space, so that u may be the probability of a long response.
OF_VALUE: Final[dict[str, Callable[[Array], Array]]] = {
    "identity": lambda u: u,
    "square": positive_square,
    "cube": lambda u: u * u * u,
    "exp": tangent_exp,
    "tanh": jnp.tanh,
}
OF_LOG: Final[dict[str, Callable[[Array], Array]]] = {
    "sqrt": lambda log_u: jnp.exp(log_u / 2),
    "cbrt": lambda log_u: jnp.exp(log_u / 3),
    "log": lambda log_u: log_u,
    "logit": log_odds,
}
ACTIVATIONS: Final = (*OF_VALUE, *OF_LOG)


@final
@pytree
@dataclass(frozen=True)
class NetworkPotential(Potential):
    """f(x) = Σ_j w_j act_j(s_j x + b_j) / n + a · orpo(x), with w, s, a ≥ 0.

    The hidden units are split equally among nine increasing activations: x, (x)₊², x³,
    (x)₊^½, (x)₊^⅓, log (x)₊, e^x, tanh x and log(clip(x) / (1 - clip(x))). `orpo` is log x
    for ψ, log(x / (1 - x)) for φ⁻¹ and log σ(log x) for a link, whose log x is a margin. Since
    every kernel is ≥ 0, f increases whatever the parameters. Weights are divided by n, the
    units per activation, so that one perturbation means the same at any width.

    Temporally aware (`temporal`), a unit sees s_j x + v_j x·n/N + b_j with v_j ≥ -s_j. This
    is written as the slope (1 - t) s_j + t e_j at progress t = n/N, with e_j = s_j + v_j ≥ 0.

    Extremes (see `mpo.logspace`): a density x > 1 enters a unit as 1 + log x; (u)₊ under a
    root or logarithm is never below a thousandth of s·x; 1 - u in log-odds is never below
    a thousandth; e^u goes on as its tangent from u = 10.

    Attributes:
      slope, slope_end: free parameters of s and e, shape [9, n]; `slope_end` is None for
        a static potential.
      bias: b, shape [9, n].
      output: free parameters of w, shape [9, n].
      skip: free parameter of a.
      role: whether it stands for ψ, for φ⁻¹ or for a link.
      positive: name of the parametrisation of s, e, w and a (`mpo.nonnegative`).
    """

    slope: Float[Kept, "*batch 9 units"]
    slope_end: Float[Kept, "*batch 9 units"] | None
    bias: Float[Kept, "*batch 9 units"]
    output: Float[Kept, "*batch 9 units"]
    skip: Float[Kept, "*batch"]
    role: Role = field(metadata={"static": True})
    positive: str = field(default="shifted_log", metadata={"static": True})

    @classmethod
    def orpo(
        cls,
        role: str,
        units: int = 126,
        *,
        temporal: bool = False,
        positive: str = "shifted_log",
        seed: int = 0,
    ) -> "NetworkPotential":
        """Return a learned potential of nine kinds of unit, at its ORPO setting: all w = 0, a = 1.

        The units that do not act yet are drawn from `seed`, so that they differ when a
        search lets them in: s = e log-normal around 1, b normal of standard deviation ½.

        Args:
          role: "psi", "phi_inv" or "link".
          units: hidden units, a multiple of 9.
          temporal: whether the potential may change with progress.
          positive: parametrisation of the weights.
          seed: of the inner weights.
        """
        if units < 9 or units % 9:
            raise RequestError(
                f"a network potential has a positive multiple of 9 units, not {units}"
            )
        free = positivity(positive).parameter
        rng = np.random.default_rng(seed)
        shape = (len(ACTIVATIONS), units // 9)
        slope = jnp.asarray(free(np.exp(rng.normal(0, 0.5, shape))), float)
        return cls(
            slope=slope,
            slope_end=slope if temporal else None,
            bias=jnp.asarray(rng.normal(0, 0.5, shape), float),
            output=jnp.asarray(free(np.zeros(shape)), float),
            skip=jnp.asarray(free(np.ones(())), float),
            role=named_role(role),
            positive=positive,
        )

    @override
    def fresh(self) -> "NetworkPotential":
        """Return the ORPO setting of a network of this many units."""
        units, temporal = np.size(self.slope), self.slope_end is not None
        return self.orpo(self.role, units, temporal=temporal, positive=self.positive)

    @override
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return f(e^ℓ) at `progress`."""
        weight = positivity(self.positive).weight
        slope = weight(self.slope)
        if self.slope_end is not None:
            slope = (1 - progress) * slope + progress * weight(self.slope_end)
        x, log_x_bounded = probability(log_x), log_probability(log_x)
        # One row of parameters at a time: slicing rows off a common [9, n] array of hidden
        # values costs several times more once the batch axis of a `vmap` is in front.
        rows = zip(slope, self.bias, weight(self.output), strict=True)
        total = weight(self.skip) * ORPO[self.role](log_x)
        for activation, (s, b, w) in zip(ACTIVATIONS, rows, strict=True):
            if activation in OF_VALUE:
                hidden = OF_VALUE[activation](s * x + b)
            else:
                log_u = log_positive_part(s + LEAST_SLOPE, log_x_bounded, b)
                hidden = OF_LOG[activation](log_u)
            total += jnp.sum(w * hidden) / hidden.size
        return total
