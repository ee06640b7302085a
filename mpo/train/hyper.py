"""How an agent is trained: the numbers and names of one inner loop."""

from dataclasses import dataclass
from typing import Any, Final, final

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Leaf, build, count, number, one_of
from mpo.train.optimizer import OPTIMIZERS, SCHEDULES, Optimizer, optimizer

_WHAT: Final = "the inner loop"


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
    weight_decay: Leaf = number(None, at_least=0.0)
    batch: int = count(32)
    updates: int | None = count(None)
    epochs: int | None = count(None)
    optimizer: str = one_of("adam", OPTIMIZERS)
    schedule: str = one_of("constant", SCHEDULES)
    points: int = count(20)

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
