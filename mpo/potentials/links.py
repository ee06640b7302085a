"""Links g: what a loss gains by a margin z between two responses, log σ(z) in DPO and its kin.

A link is a potential of z in place of log x. Those that a search may move freely are learned
potentials of the role "link", which increase whatever their numbers; the ones here are those of
hand-made losses, some of which turn back where a margin is large enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.logspace import LARGEST
from mpo.potentials.base import Potential, Progress
from mpo.pytree import pytree
from mpo.settings import Number, number, one_of

Margin = Float[Array, ""]

LINKS: Final[Mapping[str, Callable[[Margin], Margin]]] = MappingProxyType(
    {
        "log_sigmoid": log_sigmoid,
        "sigmoid": lambda z: -sigmoid(-z),  # a pair that is far off pulls no more than a near one
        "hinge": lambda z: jnp.minimum(z, 0),
        "square": lambda z: -jnp.square(z),  # turns back at z = 0
        "exponential": lambda z: -jnp.exp(jnp.minimum(-z, LARGEST)),
        "linear": lambda z: z,
    }
)
"""Links without a number of their own, by name."""


def exo(margin: Margin, flipped: Number) -> Margin:
    """Return KL(σ(z) ‖ 1 - ε), what a margin costs in EXO."""
    right = sigmoid(margin) * (log_sigmoid(margin) - jnp.log1p(-flipped))
    return right + sigmoid(-margin) * (log_sigmoid(-margin) - jnp.log(flipped))


def discopop(margin: Margin, tau: Number) -> Margin:
    """Return (1 - σ(z/τ)) (-log σ(z)) + σ(z/τ) e^-z, what a margin costs in DiscoPOP."""
    positive = margin / tau
    exponential = jnp.exp(log_sigmoid(positive) - margin)  # which no margin overflows
    return exponential - sigmoid(-positive) * log_sigmoid(margin)


def ropo(margin: Margin, alpha: Number) -> Margin:
    """Return 4α/(1+α)² (-log σ(z) + α σ(-z)), what a margin costs in ROPO."""
    bounded = alpha * sigmoid(-margin) - log_sigmoid(margin)
    return 4 * alpha / jnp.square(1 + alpha) * bounded


@final
@pytree
@dataclass(frozen=True)
class Link(Potential):
    """g(z) without a number of its own: log σ(z), min(z, 0), -z², -e^-z, …, by its kind.

    Attributes:
      kind: a name of `LINKS`.
    """

    kind: str = one_of("log_sigmoid", LINKS)

    @override
    def __call__(self, log_x: Margin, progress: Progress = 0.0) -> Margin:
        """Return g at the margin."""
        return LINKS[self.kind](log_x)


@final
@pytree
@dataclass(frozen=True)
class EXOLink(Potential):
    """g(z) = -KL(σ(z) ‖ 1 - ε): EXO's link, greatest where σ(z) is 1 - ε.

    Attributes:
      label_smoothing: ε.
    """

    label_smoothing: Number = number(1e-3, above=0.0, below=0.5)

    @override
    def __call__(self, log_x: Margin, progress: Progress = 0.0) -> Margin:
        """Return g at the margin."""
        return -exo(log_x, self.label_smoothing)


@final
@pytree
@dataclass(frozen=True)
class DiscoPOPLink(Potential):
    """g(z) = -(1 - σ(z/τ)) (-log σ(z)) - σ(z/τ) e^-z: DiscoPOP's link.

    Attributes:
      tau: τ.
    """

    tau: Number = number(0.05, above=0.0, below=1.0)

    @override
    def __call__(self, log_x: Margin, progress: Progress = 0.0) -> Margin:
        """Return g at the margin."""
        return -discopop(log_x, self.tau)


@final
@pytree
@dataclass(frozen=True)
class ROPOLink(Potential):
    """g(z) = 4α/(1+α)² (log σ(z) - α σ(-z)): ROPO's link.

    Attributes:
      alpha: α.
    """

    alpha: Number = number(14.0, above=1.0)

    @override
    def __call__(self, log_x: Margin, progress: Progress = 0.0) -> Margin:
        """Return g at the margin."""
        return -ropo(log_x, self.alpha)
