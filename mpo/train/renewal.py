"""Renewals: what happens to the data between rounds.

A training is cut into rounds. At the beginning of each the renewal hands out the pool of
comparisons that the updates of the round are made on: the data as they are (`Fixed`, which is
offline training), fresh responses of the agent, or some of both. It is told the agent, so data
may depend on the policy, and keeps what it needs (a pool, a learnt reward) in a state of its
own, in the carry of the loop. Another one is a class with these methods, in any package.
"""

from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

from jaxtyping import Array, Float, Int, PRNGKeyArray

from mpo.pytree import pytree
from mpo.settings import Checked
from mpo.train.source import Policy, Source

Params = Any  # a pytree of arrays


@runtime_checkable
class Renewal(Protocol):
    """Hands out the data of each round; a frozen pytree, whose numbers are traced."""

    def rounds(self, updates: int, batch: int) -> int:
        """Return into how many rounds a training of so many updates is cut; it divides them.

        Args:
          updates: in all.
          batch: comparisons in each.
        """
        ...

    def init(self, source: Any, policy: Policy, params: Params, key: PRNGKeyArray) -> Any:
        """Return its state before the first round: a pytree of arrays.

        Args:
          source: the data of the training, which all members of a population share.
          policy: the architecture of the agent.
          params: of the agent before training.
          key: of this training's renewals.
        """
        ...

    def __call__(
        self,
        source: Any,
        policy: Policy,
        params: Params,
        state: Any,
        key: PRNGKeyArray,
        number: Int[Array, ""],
    ) -> tuple[Source, Any]:
        """Return the pool of a round, and its state.

        The pool may be `source` itself, which is then not copied; any other one is held for
        each member of a population. All pools of a training have one size.

        Args:
          source: the data of the training.
          policy: the architecture of the agent.
          params: of the agent at the beginning of the round.
          state: what `init` or the last turn returned.
          key: of this round alone.
          number: of the round, from 0.
        """
        ...

    def hint(self, state: Any) -> Params | None:
        """Return a direction for slopes that are guided, shaped like the parameters, or `None`."""
        ...

    def report(
        self, pool: Source, policy: Policy, params: Params, state: Any
    ) -> dict[str, Float[Array, ""]]:
        """Return what is recorded of a round, given the agent at its end; by name."""
        ...


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Fixed(Checked):
    """The data as they are, for the whole training: one round."""

    def rounds(self, updates: int, batch: int) -> int:
        """Return 1."""
        return 1

    def init(self, source: Any, policy: Policy, params: Params, key: PRNGKeyArray) -> tuple[()]:
        """Return nothing."""
        return ()

    def __call__(
        self,
        source: Any,
        policy: Policy,
        params: Params,
        state: tuple[()],
        key: PRNGKeyArray,
        number: Int[Array, ""],
    ) -> tuple[Source, tuple[()]]:
        """Return the data of the training."""
        return source, state

    def hint(self, state: tuple[()]) -> None:
        """Return no direction."""
        return

    def report(
        self, pool: Source, policy: Policy, params: Params, state: tuple[()]
    ) -> dict[str, Float[Array, ""]]:
        """Return nothing."""
        return {}
