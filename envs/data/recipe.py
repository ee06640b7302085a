"""A recipe: everything that is chosen of a generated dataset, with a stable hash."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PyTree

from envs.base import Task
from envs.data.kinds import kind
from envs.judge import Judge
from mpo.errors import RequestError

REVISION = 1
"""Part of every recipe's hash; raised when the same recipe would give other numbers."""


@dataclass(frozen=True)
class Author:
    """An agent that responds: its name, and the hash of its parameters."""

    name: str
    sha256: str

    @classmethod
    def of(cls, name: str, params: PyTree[Array]) -> "Author":
        """Return the author with these parameters."""
        digest = hashlib.sha256()
        for leaf in map(np.asarray, jax.tree.leaves(params)):
            digest.update(f"{leaf.dtype.str}{leaf.shape}".encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return cls(name, digest.hexdigest())


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made of.

    Attributes:
      task: name of the task.
      settings: the task's own settings, as pairs of name and value.
      kind: name of the kind, which casts the authors.
      expert: the agent in the role of the expert.
      reference: the agent in the role of the reference.
      rows: how many comparisons.
      responses: K, how many responses each compares.
      judge: who ranks them.
      seed: of all that is random.
    """

    task: str
    settings: tuple[tuple[str, Any], ...]
    kind: str
    expert: Author
    reference: Author
    rows: int
    responses: int = 2
    judge: Judge = dataclasses.field(default_factory=Judge)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes and names that cannot be."""
        kind(self.kind)
        if self.rows < 1:
            raise RequestError(f"a dataset needs at least 1 row, not {self.rows}")
        if self.responses < 2:
            raise RequestError(f"a comparison needs at least 2 responses, not {self.responses}")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"the seed must be in [0, 2^32), not {self.seed}")

    def as_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return dataclasses.asdict(self) | {"settings": dict(self.settings), "revision": REVISION}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `as_json` wrote."""
        kept = {name: value for name, value in values.items() if name != "revision"}
        return cls(
            **kept
            | {
                "settings": tuple(values["settings"].items()),
                "expert": Author(**values["expert"]),
                "reference": Author(**values["reference"]),
                "judge": Judge(**values["judge"]),
            }
        )

    @property
    def digest(self) -> str:
        """The hash that two recipes share only if they are equal.

        They then give the same dataset, where versions of the packages and device are the same.
        """
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def settings_of(task: Task) -> tuple[tuple[str, Any], ...]:
    """Return a task's settings: the fields of its dataclass; what JSON lacks, by its `repr`."""
    fields = sorted(getattr(task, "__dataclass_fields__", ()))
    plain = bool | int | float | str | None
    values = ((name, getattr(task, name)) for name in fields)
    return tuple((name, v if isinstance(v, plain) else repr(v)) for name, v in values)
