"""The two places a potential has in an objective, and the function that makes each of them ORPO."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from jaxtyping import Array, Float

from mpo.errors import unknown
from mpo.logspace import log_odds


class Role(StrEnum):
    """Where a potential stands: ψ acts on the chosen response, φ⁻¹ compares the two."""

    PSI = "psi"
    PHI_INV = "phi_inv"


ORPO: Final[dict[Role, Callable[[Float[Array, "*n"]], Float[Array, "*n"]]]] = {
    Role.PSI: lambda log_x: log_x,
    Role.PHI_INV: log_odds,
}


def role(name: str) -> Role:
    """Return the role called `name`."""
    if name not in list(Role):
        raise unknown("role of a potential", name, list(Role))
    return Role(name)
