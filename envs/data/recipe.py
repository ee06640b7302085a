"""A recipe: everything that is chosen of a generated dataset, with a stable hash.

Among it the kind, which says who produces each response and how it is judged by default; one of
your own comes in by `register_kind`, from any module.
"""

import dataclasses
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, overload

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from envs.base import Task
from envs.judge import Grading, Judge
from mpo import treefile
from mpo.errors import RequestError, unknown
from mpo.registering import enter

EXPERT, REFERENCE = 0, 1
Cast = Int[np.ndarray, "rows K"]
Casting = Callable[[PRNGKeyArray, int, int], Cast]


def against(key: PRNGKeyArray, rows: int, responses: int) -> Cast:
    """Cast the expert against the reference; with K > 2 they alternate."""
    return np.tile(np.arange(responses) % 2, (rows, 1))


def mixed(key: PRNGKeyArray, rows: int, responses: int) -> Cast:
    """Cast a quarter of the rows with the expert alone, a quarter with the reference alone.

    The other half is `against`. The counts are exact, rounded down to whole
    rows for the quarters, and the order is random.
    """
    quarter = rows // 4
    cast = against(key, rows, responses)
    cast[:quarter] = EXPERT
    cast[rows - quarter :] = REFERENCE
    return cast[np.asarray(jax.random.permutation(key, rows))]


@dataclass(frozen=True)
class Kind:
    """A way to compose and label comparisons.

    Attributes:
      summary: a line for lists.
      cast: (key, rows, K) to who produces each response, EXPERT or REFERENCE.
      judge: the default temperature level (`envs.judge.LEVELS`).
      flip: the default share of flipped rankings.
      close: whether the default reference is the one nearest to the expert.
      share: the default share of rows that have the expert at all; `None` for those of `cast`.
    """

    summary: str
    cast: Casting = against
    judge: str = "low"
    flip: float = 0.0
    close: bool = False
    share: float | None = None


KINDS: Final[dict[str, Kind]] = {
    "base": Kind("expert against a reference agent"),
    "noisy": Kind("base, with a share of the rankings flipped (10 % by default)", flip=0.1),
    "shuffled": Kind(
        "25 % expert-expert, 50 % expert-reference, 25 % reference-reference", cast=mixed
    ),
    "poor_judge": Kind(
        "expert against a close reference, judged at a high temperature",
        judge="high",
        close=True,
    ),
    "scarce": Kind(
        "base, with the expert in 30 % of the rows alone: the others are the reference's",
        share=0.3,
    ),
}


def kind(name: str) -> Kind:
    """Return a kind by name, "noisy", or several at once, "noisy+scarce"; or say which there are.

    Raises:
      RequestError: there is no such kind, or two of them say different things of the same.
    """
    found = {}
    for part in name.split("+"):
        if part not in KINDS:
            raise unknown("dataset kind", part, KINDS)
        if part in found:
            raise RequestError(f"dataset kind {name!r} has {part!r} twice")
        found[part] = KINDS[part]
    if len(found) == 1:
        return KINDS[name]
    plain = Kind("")
    chosen: dict[str, Any] = {"summary": "; ".join(one.summary for one in found.values())}
    for field in _FAULTS:
        usual = getattr(plain, field)
        said = {part: getattr(one, field) for part, one in found.items()}
        said = {part: value for part, value in said.items() if value != usual}
        if len(said) > 1:
            raise RequestError(
                f"dataset kind {name!r}: {' and '.join(said)} both say who or how much is wrong "
                f"({field}); mix kinds with different faults"
            )
        chosen[field] = next(iter(said.values()), usual)
    for part, one in found.items():
        if all(getattr(one, field) == getattr(plain, field) for field in _FAULTS):
            raise RequestError(f"dataset kind {name!r}: {part!r} has no fault to mix")
    return Kind(**chosen)


_FAULTS = ("cast", "judge", "flip", "close", "share")


@overload
def register_kind(name: str, kind: Kind) -> Kind: ...
@overload
def register_kind(name: str, **settings: Any) -> Callable[[Casting], Casting]: ...
def register_kind(name: str, kind: Kind | None = None, **settings: Any) -> Any:
    """Let a kind of data be found by its name, and return it; a decorator of its `cast` alone.

    >>> @register_kind("experts_only", judge="perfect")
    ... def experts_only(key, rows, responses):
    ...     '''Two experts in every row.'''
    ...     return np.full((rows, responses), EXPERT)

    Args:
      name: to be found by.
      kind: what is wrong with it, a name of `KINDS`.
      **settings: of the kind, where its function is decorated: all but `cast` and `summary`,
        which is the first line of the docstring.

    Raises:
      RequestError: the name is taken.
    """
    if kind is None:

        def decorate(cast: Casting) -> Casting:
            line = (inspect.getdoc(cast) or "").split("\n", 1)[0]
            register_kind(name, Kind(line, cast, **settings))
            return cast

        return decorate
    known = KINDS.get(name)
    enter(KINDS, "kind of data", name, kind, _maker(kind), known and _maker(known))
    return kind


def _maker(kind: Kind) -> Any:
    """Return what tells a kind from others: how it casts, if in a way of its own."""
    return kind if kind.cast in (against, mixed) else kind.cast


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
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
        parts = [(f"{leaf.dtype.str}{leaf.shape}", leaf) for leaf in leaves]
        return cls(name, treefile.digest(part for pair in parts for part in pair))


_LATER: Final = {"exact": False, "spread": None, "share": None, "grading": None}
"""Settings that recipes had none of at first: at these values they are left out of the hash."""


@dataclass(frozen=True)
class Recipe:
    """What a dataset is made of.

    Attributes:
      task: name of the task.
      settings: the task's own settings, as pairs of name and value.
      kind: name of the kind, which casts the authors.
      expert: the agent in the role of the expert.
      reference: the agent in the role of the reference.
      rows: number of comparisons.
      responses: K, how many responses each compares.
      judge: temperature and flips of who ranks them.
      seed: of all that is random.
      exact: whether the share of flipped rankings is exact, not that of a coin for each row.
      spread: log-std of all authors' actions; `None` for their own.
      share: of the rows that have the expert at all, an exact count; `None` for the kind's cast.
      grading: the function that the judge goes by; `None` for the true returns.
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
    exact: bool = False
    spread: float | None = None
    share: float | None = None
    grading: Grading | None = None

    def __post_init__(self) -> None:
        """Refuse sizes and names that cannot be."""
        kind(self.kind)
        if self.rows < 1:
            raise RequestError(f"a dataset needs at least 1 row, not {self.rows}")
        if self.responses < 2:
            raise RequestError(f"a comparison needs at least 2 responses, not {self.responses}")
        if not 0 <= self.seed < 2**32:
            raise RequestError(f"the seed must be in [0, 2^32), not {self.seed}")
        if self.share is not None and not 0 < self.share <= 1:
            raise RequestError(
                f"the share of rows with the expert must be > 0 and ≤ 1: {self.share}"
            )
        if self.spread is not None and not math.isfinite(self.spread):
            raise RequestError(f"the spread is a log-std, a finite number, not {self.spread}")

    def as_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        plain = dataclasses.asdict(self) | {"settings": dict(self.settings), "revision": REVISION}
        for name, usual in _LATER.items():
            if plain[name] == usual:
                del plain[name]
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Recipe":
        """Return the recipe that `as_json` wrote."""
        kept = {name: value for name, value in values.items() if name != "revision"}
        grading = kept.get("grading")
        return cls(
            **kept
            | {
                "settings": tuple(values["settings"].items()),
                "expert": Author(**values["expert"]),
                "reference": Author(**values["reference"]),
                "judge": Judge(**values["judge"]),
                "grading": None if grading is None else Grading(**grading),
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
    own: tuple[Any, ...] = dataclasses.fields(task) if dataclasses.is_dataclass(task) else ()
    fields = sorted(field.name for field in own)
    plain = bool | int | float | str | None
    values = ((name, getattr(task, name)) for name in fields)
    return tuple((name, v if isinstance(v, plain) else repr(v)) for name, v in values)
