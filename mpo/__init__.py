"""The mathematics of preference optimization: potentials, mirror maps, objectives, policies.

    c = mpo.Comparison(logp=jnp.array([lw, ll]), length=jnp.array([Tw, Tl]))
    loss = mpo.objective("orpo")(c, progress=0.0)

Everything is a pure function of pytrees: `jax.jit`, `jax.vmap` and `jax.grad` go anywhere.
"""

from mpo.artifact import Artifact, ArtifactError, Provenance, find, load, objective, save, shipped
from mpo.comparison import Comparison
from mpo.errors import RequestError
from mpo.mirror import MirrorMap, mirror_map
from mpo.objectives import OBJECTIVES, Objective, register_objective
from mpo.paths import ravel
from mpo.potentials import POTENTIALS, Potential, potential, register_potential

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
