"""Potentials: increasing functions of a probability, given its logarithm; named and learned.

mpo.register_potential("mine", Mine)               # one of your own, from any module
mpo.register_potential("learned", Learned.orpo)    # one with arrays, by how a search begins it
"""

import inspect
from collections.abc import Callable
from typing import Any, Final, overload

from mpo.errors import RequestError, unknown
from mpo.potentials.base import OmegaPotential, Potential, Role
from mpo.potentials.basis import FUNCTIONS, BasisPotential
from mpo.potentials.links import LINKS, DiscoPOPLink, EXOLink, Link, ROPOLink
from mpo.potentials.named import Euclidean, Log, Logit, Power, Tsallis
from mpo.potentials.network import ACTIVATIONS, NetworkPotential
from mpo.registering import enter
from mpo.settings import build

Maker = Callable[..., Potential]

POTENTIALS: Final[dict[str, Maker]] = {
    "log": Log,
    "logit": Logit,
    "euclidean": Euclidean,
    "tsallis": Tsallis,
    "power": Power,
    "link": Link,
    "exo_link": EXOLink,
    "discopop_link": DiscoPOPLink,
    "ropo_link": ROPOLink,
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
    kinds = {name: _class(make) for name, make in makers}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type)}


@overload
def register_potential(name: str, maker: Maker) -> Maker: ...
@overload
def register_potential(name: str) -> Callable[[Maker], Maker]: ...
def register_potential(name: str, maker: Maker | None = None) -> Any:
    """Let a potential be found by its name, and return what makes it; a decorator without `maker`.

    A potential that a search can move takes the settings `role` and `temporal` of its maker.

    Args:
      name: to be found by.
      maker: its class, or a class method of it, such as `orpo`; so that an artifact can say
        which class its arrays are of.

    Raises:
      RequestError: it is neither, or its name is taken.
    """
    if maker is None:
        return lambda maker: register_potential(name, maker)
    kind = _class(maker)
    if not isinstance(kind, type) or not issubclass(kind, Potential):
        raise RequestError(
            f"potential {name!r} is made by {maker!r}: give a class that derives from "
            "mpo.Potential, or a class method of one"
        )
    known = _class(POTENTIALS[name]) if name in POTENTIALS else None
    enter(POTENTIALS, "potential", name, maker, kind, known)
    return maker


def _class(maker: Maker) -> Any:
    return maker.__self__ if inspect.ismethod(maker) else maker


__all__ = [
    "ACTIVATIONS",
    "FUNCTIONS",
    "LINKS",
    "POTENTIALS",
    "BasisPotential",
    "DiscoPOPLink",
    "EXOLink",
    "Euclidean",
    "Link",
    "Log",
    "Logit",
    "NetworkPotential",
    "OmegaPotential",
    "Potential",
    "Power",
    "ROPOLink",
    "Role",
    "Tsallis",
    "kinds",
    "potential",
    "register_potential",
]
