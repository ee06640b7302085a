"""Potentials: increasing functions of a probability, given its logarithm; named and learned."""

import inspect
from collections.abc import Callable
from typing import Final

from mpo.errors import unknown
from mpo.potentials.base import OmegaPotential, Potential, Role
from mpo.potentials.basis import FUNCTIONS, BasisPotential
from mpo.potentials.named import Euclidean, Log, Logit, Tsallis
from mpo.potentials.network import ACTIVATIONS, NetworkPotential
from mpo.settings import build

POTENTIALS: Final[dict[str, Callable[..., Potential]]] = {
    "log": Log,
    "logit": Logit,
    "euclidean": Euclidean,
    "tsallis": Tsallis,
    "network": NetworkPotential.orpo,
    "basis": BasisPotential.orpo,
}


def potential(name: str, **settings: object) -> Potential:
    """Return the potential called `name`; a learned one at its ORPO setting.

    `potential("network", role="psi", units=126, temporal=True)`,
    `potential("basis", role="phi_inv")`, `potential("tsallis", alpha=0.5)`.
    """
    if name not in POTENTIALS:
        raise unknown("potential", name, POTENTIALS)
    return build(POTENTIALS[name], f"potential {name!r}", settings)


def kinds() -> dict[str, type[Potential]]:
    """Return the class of the potentials of each name.

    What makes them is the class itself, or a method of the class, such as `orpo`.
    """
    makers = POTENTIALS.items()
    kinds = {name: make.__self__ if inspect.ismethod(make) else make for name, make in makers}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type)}


__all__ = [
    "ACTIVATIONS",
    "FUNCTIONS",
    "POTENTIALS",
    "BasisPotential",
    "Euclidean",
    "Log",
    "Logit",
    "NetworkPotential",
    "OmegaPotential",
    "Potential",
    "Role",
    "Tsallis",
    "kinds",
    "potential",
]
