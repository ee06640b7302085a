"""Slopes: where the direction of an update comes from.

The inner loop asks a slope for the value of the loss and a direction to descend against; what it
remembers between two updates is its own state, in the carry of the loop. `Backward` is the
gradient by reverse-mode differentiation. Another one is a class with these four methods, in any
package: no file here is edited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.pytree import pytree
from mpo.settings import Checked

Params = Any  # a pytree of arrays
Values = dict[str, Array]
Loss = Callable[[Params], tuple[Float[Array, ""], Values]]


@runtime_checkable
class Slope(Protocol):
    """Gives the direction of each update; a frozen pytree, whose numbers are traced."""

    def init(self, params: Params, updates: int) -> Any:
        """Return its state before the first update: a pytree of arrays.

        Args:
          params: of the agent before training; only what is trained of them, as in all methods.
          updates: how many a round has.
        """
        ...

    def turn(self, state: Any, params: Params, hint: Params | None) -> Any:
        """Return its state at the beginning of a round, given where the agent is.

        Args:
          state: at the end of the round before, or what `init` returned.
          params: of the agent at the beginning of this round.
          hint: a direction that the renewal of the data proposes, shaped like `params`.
        """
        ...

    def report(self, state: Any) -> Values:
        """Return what is recorded of a round, given the state at its end; by name."""
        ...

    def __call__(
        self, loss: Loss, params: Params, state: Any, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Values, Params, Any]:
        """Return the loss, what is recorded of it, the slope (shaped like `params`), and its state.

        Args:
          loss: parameters to the loss of this update's minibatch, and what is recorded of it.
          params: where the slope is wanted.
          state: what `init` or the last update returned.
          key: of this update alone; antithetic partners have the same.
        """
        ...


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Backward(Checked):
    """The gradient, by reverse-mode differentiation; it has no state and draws nothing."""

    def init(self, params: Params, updates: int) -> tuple[()]:
        """Return nothing: every gradient is computed anew."""
        return ()

    def turn(self, state: tuple[()], params: Params, hint: Params | None) -> tuple[()]:
        """Return nothing."""
        return state

    def report(self, state: tuple[()]) -> Values:
        """Return nothing."""
        return {}

    def __call__(
        self, loss: Loss, params: Params, state: tuple[()], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Values, Params, tuple[()]]:
        """Return the loss and its gradient."""
        (value, seen), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, seen, gradient, state
