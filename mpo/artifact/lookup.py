"""Objectives by name: registered ones, shipped ones, and those in files."""

import os

from mpo.artifact.encoding import Artifact
from mpo.artifact.files import load
from mpo.artifact.places import is_place, shipped_names
from mpo.artifact.provenance import Provenance
from mpo.errors import unknown
from mpo.objectives import OBJECTIVES, Objective
from mpo.settings import build

Name = str | os.PathLike[str]


def find(name: Name) -> Artifact:
    """Return the objective of this name, or in this place, and where it comes from; read once.

    A registered objective has its default settings, and comes from nowhere.

    Args:
      name: of a registered objective, a run, or a file, as `objective` takes it.

    Raises:
      ArtifactError: the files of a discovered objective are damaged, or of a later version.
      RequestError: the name is unknown.
    """
    if name in OBJECTIVES:
        made = build(OBJECTIVES[str(name)], f"objective {name!r}", {})
        return Artifact(made, Provenance(versions={}))
    if not is_place(name):
        raise unknown("objective", str(name), [*OBJECTIVES, *shipped_names()])
    return load(name)


def objective(name: Name, **settings: object) -> Objective:
    """Return the objective of this name, or in this place, with these settings.

    >>> import jax.numpy as jnp, mpo
    >>> pair = mpo.Comparison(
    ...     logp=jnp.array([-1.0, -3.0]), length=jnp.array([2, 3]), ref_logp=jnp.array([-2.0, -2.0])
    ... )
    >>> round(float(mpo.objective("dpo", beta=0.5)(pair)), 4)
    0.3133

    Args:
      name: a name in `OBJECTIVES`; or a shipped one, `found/NAME`; or where a discovered one
        is: the folder of a run, or a file. A name that is also a folder's means the name, and
        `./NAME` the folder.
      settings: of the objective; those of a discovered one stay as they are unless given.

    Raises:
      ArtifactError: the files of a discovered objective are damaged, or of a later version.
      RequestError: the name or a setting is unknown, or a setting is out of range.
    """
    if name in OBJECTIVES:
        return build(OBJECTIVES[str(name)], f"objective {name!r}", settings)
    found = find(name).objective
    return build(type(found), f"objective {str(name)!r}", {**vars(found), **settings})
