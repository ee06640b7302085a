"""Descent: how the parameters of an agent follow a slope, and how often.

Optimizers and learning-rate schedules are those of optax, by name; slopes have names, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from mpo.errors import RequestError, unknown
from mpo.pytree import pytree
from mpo.registering import enter
from mpo.settings import Checked, Number, build, count, number, one_of
from mpo.train.slopes import Backward, Slope
from mpo.train.zeroth_order import SPSA, ForwardGradient, Guided

Params = Any  # a pytree of arrays
Rate = float | Array


class Rule(NamedTuple):
    """How an optimizer turns gradients into steps, and its usual decoupled weight decay."""

    transform: Callable[[], optax.GradientTransformation]
    weight_decay: float = 0.0


OPTIMIZERS: Mapping[str, Rule] = MappingProxyType(
    {
        "adam": Rule(optax.scale_by_adam),
        "adamw": Rule(optax.scale_by_adam, weight_decay=0.01),
        "lion": Rule(optax.scale_by_lion),
        "momentum": Rule(lambda: optax.trace(decay=0.9)),
        # Matrices by orthogonalised momentum; the rest by Adam, also biases and kernels of more
        # than two axes. Rate -1: its sign is turned later.
        "muon": Rule(lambda: optax.contrib.muon(-1.0, muon_weight_dimension_numbers=_orthogonal)),
        "rmsprop": Rule(optax.scale_by_rms),
        "sgd": Rule(optax.identity),
    }
)

SCHEDULES: Mapping[str, Callable[[Rate, int], optax.Schedule]] = MappingProxyType(
    {
        "constant": lambda rate, updates: optax.constant_schedule(rate),
        "linear": lambda rate, updates: optax.linear_schedule(rate, 0.0, updates),
        "cosine": lambda rate, updates: optax.cosine_decay_schedule(rate, updates),
    }
)


SLOPES: dict[str, type[Any]] = {
    "backward": Backward,
    "spsa": SPSA,
    "guided": Guided,
    "forward_gradient": ForwardGradient,
}
"""Where the direction of an update comes from, by name."""


def register_slope(name: str) -> Callable[[type[Any]], type[Any]]:
    """Return a decorator that gives a class of slopes a name in `SLOPES`.

    Raises:
      RequestError: another class has the name.
    """

    def registered(kind: type[Any]) -> type[Any]:
        enter(SLOPES, "slope", name, kind, kind, SLOPES.get(name))
        return kind

    return registered


class Optimizer(NamedTuple):
    """An optax transformation that keeps its hands on optax's dtype promotion."""

    transform: optax.GradientTransformation

    def init(self, params: Params) -> Any:
        """Return the state before the first update."""
        return self.transform.init(params)

    def update(self, gradient: Params, state: Any, params: Params) -> tuple[Params, Any]:
        """Return the parameters and the state after an update."""
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer
            step, state = self.transform.update(gradient, state, params)
            return optax.apply_updates(params, step), state


def optimizer(
    name: str,
    schedule: optax.Schedule,
    *,
    max_gradient_norm: Rate = 0.0,
    weight_decay: Rate | None = None,
) -> Optimizer:
    """Return the optimizer `name` of `OPTIMIZERS`; rates may be traced.

    Args:
      name: of the optimizer, a key of `OPTIMIZERS`.
      schedule: update to learning rate.
      max_gradient_norm: longer gradients are shortened to it; 0 leaves them alone.
      weight_decay: decoupled decay of what has two axes or more (biases, however many they
        have, deviations and normalisers never decay); by default what the optimizer usually has.
    """
    rule = OPTIMIZERS[name]
    limit = jnp.where(jnp.asarray(max_gradient_norm) > 0, max_gradient_norm, jnp.inf)
    decay = rule.weight_decay or None if weight_decay is None else weight_decay
    return Optimizer(
        optax.chain(
            optax.clip_by_global_norm(limit),
            rule.transform(),
            optax.identity() if decay is None else optax.add_decayed_weights(decay, _kernels),
            optax.scale_by_learning_rate(schedule),
        )
    )


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Descent(Checked):
    """Settings of the inner loop; a pytree, so that a batch of learning rates is a `vmap`.

    The first three and those of the slope are traced, the others are static.

    Attributes:
      learning_rate: of the first update; the schedule goes on from it.
      max_gradient_norm: slopes with a greater global norm are shortened to it; 0: never.
      weight_decay: decoupled, of matrices only; `None` for what the optimizer usually has.
      slope: where the direction of an update comes from; by default the gradient.
      batch: comparisons (or pairs of segments) in an update.
      updates: how many in the whole training; or
      epochs: how many passes over the data, rounded up to whole updates. One, if neither
        is given.
      optimizer: a name of `OPTIMIZERS`.
      schedule: a name of `SCHEDULES`; those that fall reach 0 after the last update.
      points: at most how many points the metrics have; each is a mean over its updates.
    """

    what = "the inner loop"

    learning_rate: Number = number(1e-3, above=0.0)
    max_gradient_norm: Number = number(0.0, at_least=0.0)
    weight_decay: Number | None = number(None, at_least=0.0)
    slope: Slope = field(default_factory=Backward)
    batch: int = count(32)
    updates: int | None = count(None)
    epochs: int | None = count(None)
    optimizer: str = one_of("adam", OPTIMIZERS)
    schedule: str = one_of("constant", SCHEDULES)
    points: int = count(20)

    def __post_init__(self) -> None:
        """Refuse settings out of their range, and two that say the same."""
        super().__post_init__()
        if self.updates is not None and self.epochs is not None:
            raise RequestError(f"{self.what} got both 'updates' and 'epochs': give one of them")

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


def hyper(**settings: Any) -> Descent:
    """Return `Descent(**settings)`; an unknown setting is refused with the name that is meant.

    The slope may be a name of `SLOPES`, or a table of its `name` and settings.

    Raises:
      RequestError: a setting is unknown or out of range, or both `updates` and `epochs` are set.
    """
    if isinstance(given := settings.get("slope"), str | Mapping):
        settings["slope"] = _slope(given)
    return build(Descent, Descent.what, settings)


def _slope(given: str | Mapping[str, Any]) -> Slope:
    table = {"name": given} if isinstance(given, str) else dict(given)
    name = str(table.pop("name", "backward"))
    if name not in SLOPES:
        raise unknown("slope", name, SLOPES)
    made: Slope = build(SLOPES[name], f"the slope {name!r}", table)
    return made


def _kernels(params: Params) -> Any:
    """Say of each leaf whether it is a kernel: it has two axes, as biases of attention have too."""

    def kernel(path: tuple[Any, ...], leaf: Array) -> bool:
        return leaf.ndim >= 2 and jax.tree_util.keystr(path[-1:], simple=True) != "bias"

    return jax.tree_util.tree_map_with_path(kernel, params)


def _orthogonal(params: Params) -> Any:
    """Give muon's axes for each matrix, and `None` for what it leaves to Adam."""

    def axes(leaf: Array, kernel: bool) -> optax.contrib.MuonDimensionNumbers | None:
        return optax.contrib.MuonDimensionNumbers() if kernel and leaf.ndim == 2 else None

    return jax.tree.map(axes, params, _kernels(params))
