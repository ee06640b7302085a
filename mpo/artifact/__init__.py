"""Discovered objectives on disk: two files, JSON and npz, that are checked and never executed.

mpo.save(objective, "runs/quick/objective", mpo.Provenance(versions=..., task="bandit", ...))
mpo.load("runs/quick").provenance.fitness
mpo.objective("runs/quick", lam=2.0)
"""

from mpo.artifact.encoding import SCHEMA, Artifact, ArtifactError
from mpo.artifact.files import load, save, shipped
from mpo.artifact.lookup import find, objective
from mpo.artifact.provenance import Provenance

__all__ = [
    "SCHEMA",
    "Artifact",
    "ArtifactError",
    "Provenance",
    "find",
    "load",
    "objective",
    "save",
    "shipped",
]
