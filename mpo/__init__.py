"""The mathematics of preference optimization: potentials, mirror maps, objectives, policies.

    c = mpo.Comparison(logp=jnp.array([lw, ll]), length=jnp.array([Tw, Tl]))
    loss = mpo.objective("orpo")(c, progress=0.0)

Everything is a pure function of pytrees: `jax.jit`, `jax.vmap` and `jax.grad` go anywhere.
"""

from typing import TYPE_CHECKING, Any, Final

from mpo import lazy

if TYPE_CHECKING:
    from mpo.artifact import (
        Artifact,
        ArtifactError,
        Provenance,
        find,
        load,
        objective,
        save,
        shipped,
    )
    from mpo.comparison import Comparison
    from mpo.errors import RequestError
    from mpo.mirror import MirrorMap, mirror_map
    from mpo.objectives import OBJECTIVES, Objective, register_objective
    from mpo.paths import ravel
    from mpo.potentials import POTENTIALS, Potential, potential, register_potential

# Imported when they are asked for: a command that needs no JAX, such as `discovery --help`, has
# its errors from here.
_WHERE: Final = {
    "OBJECTIVES": "mpo.objectives",
    "POTENTIALS": "mpo.potentials",
    "Artifact": "mpo.artifact",
    "ArtifactError": "mpo.artifact",
    "Comparison": "mpo.comparison",
    "MirrorMap": "mpo.mirror",
    "Objective": "mpo.objectives",
    "Potential": "mpo.potentials",
    "Provenance": "mpo.artifact",
    "RequestError": "mpo.errors",
    "find": "mpo.artifact",
    "load": "mpo.artifact",
    "mirror_map": "mpo.mirror",
    "objective": "mpo.artifact",
    "potential": "mpo.potentials",
    "ravel": "mpo.paths",
    "register_objective": "mpo.objectives",
    "register_potential": "mpo.potentials",
    "save": "mpo.artifact",
    "shipped": "mpo.artifact",
}

__all__ = [
    "OBJECTIVES",
    "POTENTIALS",
    "Artifact",
    "ArtifactError",
    "Comparison",
    "MirrorMap",
    "Objective",
    "Potential",
    "Provenance",
    "RequestError",
    "find",
    "load",
    "mirror_map",
    "objective",
    "potential",
    "ravel",
    "register_objective",
    "register_potential",
    "save",
    "shipped",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return lazy.attribute(__name__, _WHERE, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
