"""The two files of an artifact as bytes: what is in them, and every check of it.

NAME.npz holds the arrays of an objective, uncompressed. NAME.json holds

    kind         "objective"
    schema       version of this format; a reader refuses later ones
    objective    its registered name and its settings; potentials in it likewise
    arrays       dtype and shape of each array in the npz file, and the SHA-256 of that file
    sha256       of all of the above, as canonical JSON
    provenance   notes (`mpo.Provenance`), outside the checksum, as they may be edited

Arrays are stored in the dtype they have and loaded in the default one: an objective found in
double precision is rounded when it is loaded in single precision, and exact the other way.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mpo import treefile
from mpo.artifact.description import STORED, Json, put_together, take_apart
from mpo.artifact.provenance import Provenance
from mpo.errors import RequestError
from mpo.objectives import Objective

SCHEMA = 1

_SEALED = ("kind", "schema", "objective", "arrays")


class ArtifactError(RequestError):
    """Files that cannot be used as an artifact: which one, what is wrong, and what to do."""


@dataclass(frozen=True)
class Artifact:
    """A discovered objective and where it comes from.

    Attributes:
      objective: the objective that the file describes.
      provenance: where, how, and what it is worth.
    """

    objective: Objective
    provenance: Provenance


@dataclass(frozen=True)
class Head:
    """What the JSON file says.

    Attributes:
      description: the objective without its arrays.
      layout: shape and dtype of each array, by name.
      arrays: SHA-256 of the npz file.
      provenance: where the objective comes from.
    """

    description: Json
    layout: dict[str, jax.ShapeDtypeStruct]
    arrays: str
    provenance: Provenance


def encode(artifact: Artifact) -> tuple[bytes, bytes]:
    """Return the content of the JSON file, and of the npz file.

    Raises:
      RequestError: it is nothing that could be read again.
    """
    description, arrays = take_apart(artifact.objective)
    try:
        put_together(json.loads(json.dumps(description)), arrays)
    except RequestError as error:
        raise RequestError(f"the objective cannot be saved: {error}") from error
    content = treefile.pack(arrays)
    layout = {name: {"dtype": a.dtype.name, "shape": a.shape} for name, a in arrays.items()}
    about: dict[str, Json] = {
        "kind": "objective",
        "schema": SCHEMA,
        "objective": description,
        "arrays": {"layout": layout, "sha256": checksum(content)},
    }
    about |= {"sha256": _seal(about), "provenance": artifact.provenance.as_json()}
    return (json.dumps(about, indent=2, allow_nan=False) + "\n").encode(), content


def decode_head(text: bytes, path: Path) -> Head:
    """Return what the JSON file at `path` says, given its content.

    Raises:
      ArtifactError: it is damaged, of another kind, or of a later version.
    """
    try:
        about = json.loads(text, parse_constant=_refuse)
        kind, schema = about["kind"], about["schema"]
        if kind != "objective":
            raise ArtifactError(f"{path} describes a {kind!r}, not an objective")
        if type(schema) is int and schema > SCHEMA:
            raise ArtifactError(
                f"{path} has schema {schema}, and this version reads {SCHEMA}: "
                "update preference-discovery"
            )
        if type(schema) is not int or schema != SCHEMA:
            raise ArtifactError(f"{path} is damaged: it has schema {schema!r}")
        if about["sha256"] != _seal(about):
            raise ArtifactError(
                f"{path} is damaged: its objective is not the one its checksum was taken of "
                "(only its provenance may be edited)"
            )
        layout = {name: _spec(**spec) for name, spec in about["arrays"]["layout"].items()}
        provenance = Provenance.from_json(about["provenance"])
        return Head(about["objective"], layout, about["arrays"]["sha256"], provenance)
    except ArtifactError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{path} is damaged: {_words(error)}") from error


def decode(head: Head, content: bytes, path: Path) -> Artifact:
    """Return the artifact, from what its JSON file says and the content of the npz file at `path`.

    Raises:
      ArtifactError: the arrays are not those of the head, or make no objective with it.
    """
    # Uncompressed, a file is larger than its arrays: what claims more is not let expand.
    claimed = sum(s.dtype.itemsize * math.prod(s.shape) for s in head.layout.values())
    if claimed > len(content):
        raise ArtifactError(f"{path} is damaged: it is smaller than its arrays")
    try:
        arrays = treefile.arrays(content, head.layout)
        return Artifact(put_together(head.description, arrays), head.provenance)
    except treefile.Misfit as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    except RequestError as error:
        raise ArtifactError(
            f"{path} makes no objective that this version knows: {error}"
        ) from error


def checksum(content: bytes) -> str:
    """Return the SHA-256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def _seal(about: Json) -> str:
    """Return the checksum of all that decides the numbers of the objective."""
    sealed = {name: about[name] for name in _SEALED}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return checksum(text.encode())


def _spec(dtype: str, shape: list[int]) -> jax.ShapeDtypeStruct:
    if dtype not in STORED or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"there are no arrays {dtype}{shape}")
    return jax.ShapeDtypeStruct(tuple(shape), np.dtype(dtype))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _words(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
