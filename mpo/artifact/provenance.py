"""Where a discovered objective comes from, as plain JSON."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import numpy as np

from mpo.errors import RequestError
from mpo.settings import Checked, build


@dataclass(frozen=True, kw_only=True)
class Provenance(Checked):
    """Where an objective comes from, and what it is worth.

    All but `versions` may be left out. Entries become plain JSON when this is made: arrays
    and tuples become lists, a number that is not finite becomes `None`. Nothing is computed
    from them: they may be edited in the file, and what is added there is kept in `extra`.

    Attributes:
      versions: packages that decided the numbers (`mpo.versions.versions`).
      task: name of the task it was found on.
      data: one description for each dataset, such as its recipe.
      config: all settings of the run.
      seed: that the run was described with.
      generations: that the search had.
      fitness_history: one entry for each generation: a number, or mean, best and spread by name.
      fitness: of this objective when it was selected.
      beside: settings of the algorithm that were found with it, by their paths, such as
        "descent.learning_rate"; none, where only the objective was searched.
      results: what it earned when it was evaluated.
      commit: of the source code.
      created: date and time in ISO 8601.
      command: that began the run.
      extra: whatever else the file says.
    """

    what: ClassVar[str] = "provenance"

    versions: Mapping[str, Any]
    task: str | None = None
    data: Sequence[Any] = dataclasses.field(default_factory=list)
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    generations: int | None = None
    fitness_history: Sequence[Any] = dataclasses.field(default_factory=list)
    fitness: float | int | None = None
    beside: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    results: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    commit: str | None = None
    created: str | None = None
    command: str | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make every entry plain JSON, and refuse those of another kind.

        Raises:
          RequestError: an entry is of the wrong kind, or is no JSON.
        """
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        super().__post_init__()
        if clash := sorted(self.extra.keys() & _names()):
            raise RequestError(
                f"setting 'extra' of provenance has {clash[0]!r}, an entry of its own"
            )

    def as_json(self) -> dict[str, Any]:
        """Return it as one JSON table, what is `extra` beside the rest."""
        entries = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if not self.beside:
            del entries["beside"]  # as earlier versions wrote it
        return entries.pop("extra") | entries

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> "Provenance":
        """Return what `as_json` returned; entries without a name here are `extra`."""
        names = _names()
        known = {name: value for name, value in entries.items() if name in names}
        extra = {name: value for name, value in entries.items() if name not in names}
        return build(cls, "provenance", known | {"extra": extra})


def _names() -> set[str]:
    return {field.name for field in dataclasses.fields(Provenance)} - {"extra"}


def _plain(value: Any) -> Any:
    """Return `value` as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    raise RequestError(f"provenance cannot hold {value!r}: it is no JSON")
