"""An agent on disk: `NAME.npz` holds its parameters, `NAME.json` its provenance and a checksum."""

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from envs import registry
from envs.agents.agent import SCHEMA, Agent, Measurement, Provenance
from envs.base import Task
from mpo import treefile
from mpo.errors import RequestError

_PRECISION = "precision"
"""Of the JSON file: the dtype of the parameters, where it is not the policy's."""


class DamagedAgent(RequestError):
    """The files of an agent cannot be used: what is wrong with which one."""


def write(agent: Agent, path: Path, precision: str | None = None) -> None:
    """Write `path`.npz and `path`.json, each replaced whole.

    Args:
      agent: its parameters are kept as they are, or rounded to `precision`.
      path: without an ending.
      precision: a narrower dtype, such as "float16", that the file has and a reader widens.
    """
    params = agent.params
    if precision is not None:
        params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(precision), params)
    content = treefile.pack(params)
    about = {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(content).hexdigest(),
        **({} if precision is None else {_PRECISION: precision}),
        **dataclasses.asdict(agent.provenance),
    }
    treefile.replace(_with(path, ".npz"), content)
    treefile.replace(_with(path, ".json"), (json.dumps(about, indent=2) + "\n").encode())


def read(path: Path) -> Agent:
    """Read an agent back; nothing in a file is executed, and everything in it is checked."""
    provenance, checksum, precision = _about(_with(path, ".json"))
    arrays = _with(path, ".npz")
    try:
        content = arrays.read_bytes()
        if hashlib.sha256(content).hexdigest() != checksum:
            raise DamagedAgent(f"{arrays} is damaged: its checksum is not that of its json file")
        with jax.ensure_compile_time_eval():  # a task may read its agent while it is traced
            params = _widened(content, _fresh(registry.task(provenance.task)), precision)
    except FileNotFoundError as error:
        raise DamagedAgent(f"{arrays} is missing") from error
    except treefile.Misfit as error:
        raise DamagedAgent(f"{arrays} is no policy of {provenance.task}: {error}") from error
    if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params)):
        raise DamagedAgent(f"{arrays} has numbers that are not finite")
    return Agent(params, provenance)


def read_provenance(path: Path) -> Provenance:
    """Read only `path`.json."""
    return _about(_with(path, ".json"))[0]


def _about(path: Path) -> tuple[Provenance, str, str | None]:
    try:
        about = json.loads(path.read_text())
        if about["schema"] > SCHEMA:
            raise DamagedAgent(
                f"{path} has schema {about['schema']}, this version reads {SCHEMA}: update it"
            )
        del about["schema"]
        checksum, precision = about.pop("sha256"), about.pop(_PRECISION, None)
        np.dtype(precision)  # refuses what is none
        about["measured"] = Measurement(**about["measured"])
        about["elsewhere"] = {k: Measurement(**v) for k, v in about["elsewhere"].items()}
        if not isinstance(about["task"], str):
            raise TypeError("its task has no name")
        return Provenance(**about), checksum, precision
    except DamagedAgent:
        raise
    except FileNotFoundError as error:
        raise DamagedAgent(f"{path} is missing") from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise DamagedAgent(f"{path} is damaged: {error!r}") from error


def _widened(content: bytes, like: treefile.Template, precision: str | None) -> Any:
    """Return the parameters in the dtype of `like`, from a file that has them in another."""
    if precision is None:
        return treefile.unpack(content, like)
    held = {name: jax.ShapeDtypeStruct(leaf.shape, precision) for name, leaf in like.leaves.items()}
    narrow = treefile.unpack(content, treefile.Template(like.structure, held))
    leaves = zip(jax.tree.leaves(narrow), like.leaves.values(), strict=True)
    wide = [leaf.astype(wanted.dtype) for leaf, wanted in leaves]
    return jax.tree.unflatten(like.structure, wide)


@lru_cache(maxsize=16)
def _fresh(task: Task) -> treefile.Template:
    return treefile.template(task.policy.init, jax.random.key(0))


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
