"""What a potential is: an increasing function of a probability, given its logarithm.

Its role is the place it has in an objective.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from jax.nn import log_sigmoid
from jaxtyping import Array, Float
from typing_extensions import override

from mpo.errors import unknown
from mpo.logspace import log_odds
from mpo.settings import Checked


class Role(StrEnum):
    """Where a potential stands: ψ acts on the chosen response, φ⁻¹ compares the two.

    The link g acts on a margin in place of log x, in `wide` alone.
    """

    PSI = "psi"
    PHI_INV = "phi_inv"
    LINK = "link"


ORPO: Final[dict[Role, Callable[[Float[Array, "*n"]], Float[Array, "*n"]]]] = {
    Role.PSI: lambda log_x: log_x,
    Role.PHI_INV: log_odds,
    Role.LINK: log_sigmoid,
}


def role(name: str) -> Role:
    """Return the role called `name`."""
    if name not in list(Role):
        raise unknown("role of a potential", name, list(Role))
    return Role(name)


Progress = float | Float[Array, ""]


class Potential(Checked, ABC):
    """An increasing scalar function of a probability (or density) x, evaluated at ℓ = log x.

    It plays ψ (what is gained by a likely chosen response) or φ⁻¹ (the implicit
    reward of a response) in the mirror-preference objectives. Every potential is a
    pytree, so populations and parameters are vmapped over as over any array.
    """

    @classmethod
    @override
    def called(cls) -> str:
        return f"potential {cls.__name__.removesuffix('Potential').lower()!r}"

    @abstractmethod
    def __call__(self, log_x: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return the potential at x = e^ℓ, at `progress` n/N ∈ [0, 1] of the training."""

    def fresh(self) -> "Potential":
        """Return a potential of this structure at its start, which a saved one is checked against.

        Static settings are kept, and the rest is at its default; a potential that has arrays
        says itself which ones they are.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # every potential is one
        static = [field.name for field in fields if field.metadata.get("static")]
        return type(self)(**{name: getattr(self, name) for name in static})


class OmegaPotential(Potential):
    """A potential φ⁻¹ with what its mirror map needs: the inverse φ, and the area under φ⁻¹.

    h_φ(π) = Σ_a ∫₁^{π_a} φ⁻¹(x) dx (Krichene et al., 2015; Definition 2.1 of the
    mirror-preference paper).
    """

    @abstractmethod
    def phi(self, y: Float[Array, ""], progress: Progress = 0.0) -> Float[Array, ""]:
        """Return φ(y), the probability x whose potential is y."""

    @abstractmethod
    def area(
        self, log_a: Float[Array, ""], log_b: Float[Array, ""], progress: Progress = 0.0
    ) -> Float[Array, ""]:
        """Return ∫ φ⁻¹(x) dx from a = e^{log_a} to b = e^{log_b}."""
