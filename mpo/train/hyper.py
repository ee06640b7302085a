"""How an agent is trained: the numbers and names of one inner loop."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from mpo.errors import RequestError, unknown
from mpo.pytree import pytree
from mpo.settings import Leaf, build, number
from mpo.train.optimizer import OPTIMIZERS, SCHEDULES, Optimizer, optimizer

_WHAT: Final = "the inner loop"


def _count(default: int | None) -> Any:
    def check(value: object) -> str | None:
        if value is None and default is None:
            return None
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
            return None
        return f"must be a whole number ≥ 1, not {value!r}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


def _decay() -> Any:
    check = number(0.0, at_least=0.0).metadata["check"]
    given = {"check": lambda value: None if value is None else check(value)}
    return dataclasses.field(default=None, metadata=given)


def _name(default: str, known: Collection[str]) -> Any:
    def check(value: object) -> str | None:
        return None if value in known else f"is {unknown('name', str(value), known)}"

    return dataclasses.field(default=default, metadata={"check": check, "static": True})


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Settings of the inner loop; a pytree, so that a batch of learning rates is a `vmap`.

    The first three are traced, the others are static.

    Attributes:
      learning_rate: at the beginning.
      max_gradient_norm: gradients with a greater global norm are shortened to it; 0: never.
      weight_decay: decoupled, of matrices only; `None` for what the optimizer usually has.
      batch: comparisons (or pairs of segments) in an update.
      updates: how many; or
      epochs: how many passes over the data, rounded up to whole updates. One, if neither
        is given.
      optimizer: a name of `OPTIMIZERS`.
      schedule: a name of `SCHEDULES`; those that fall reach 0 after the last update.
      points: at most how many points the metrics have; each is a mean over its updates.
    """

    learning_rate: Leaf = number(1e-3, above=0.0)
    max_gradient_norm: Leaf = number(0.0, at_least=0.0)
    weight_decay: Leaf = _decay()  # noqa: RUF009
    batch: int = _count(32)
    updates: int | None = _count(None)
    epochs: int | None = _count(None)
    optimizer: str = _name("adam", OPTIMIZERS)
    schedule: str = _name("constant", SCHEDULES)
    points: int = _count(20)

    def count(self, size: int) -> int:
        """Return the number of updates on `size` items."""
        if self.updates is not None:
            return self.updates
        return -(-(self.epochs or 1) * size // self.batch)

    def build(self, updates: int) -> Optimizer:
        """Return the optimizer of a training of so many updates."""
        return optimizer(
            self.optimizer,
            SCHEDULES[self.schedule](self.learning_rate, updates),
            max_gradient_norm=self.max_gradient_norm,
            weight_decay=self.weight_decay,
        )


def hyper(**settings: Any) -> Hyper:
    """Return `Hyper(**settings)`, checked.

    Raises:
      RequestError: a setting is unknown or out of range, or both `updates` and `epochs` are set.
    """
    checked = build(Hyper, _WHAT, settings)
    if checked.updates is not None and checked.epochs is not None:
        raise RequestError(f"{_WHAT} got both 'updates' and 'epochs': give one of them")
    return checked
