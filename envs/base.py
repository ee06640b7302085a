"""What a task is: where a response starts, how a policy responds, what the response is worth."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mpo.pytree import pytree
from mpo.settings import Leaf

Params = Any  # a pytree of arrays
Start = Any  # a pytree of arrays


@runtime_checkable
class Policy(Protocol):
    """What every task asks of its policy architecture (see `mpo.policies`)."""

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw the parameters of a new agent."""
        ...

    def log_prob(self, params: Any, inputs: Array, outputs: Array) -> Array:
        """Return the log-probability of each step of a response."""
        ...


@pytree
@dataclass(frozen=True)
class Response:
    """One response: a trajectory, or a token sequence after its context. Batches by a leading axis.

    Attributes:
      inputs: what the policy saw: observations [T, O], or the context token (a scalar).
      outputs: what it did: actions [T, A], or tokens [T].
      reward: true reward of each step, shape [T]; zero where `mask` is false.
      mask: which steps belong to the response, shape [T]; false after termination.
    """

    inputs: Leaf
    outputs: Leaf
    reward: Leaf
    mask: Leaf

    @property
    def length(self) -> Float[Array, "*batch"]:
        """The number of steps or tokens in the response."""
        return jnp.sum(self.mask, axis=-1, dtype=self.reward.dtype)

    @property
    def total(self) -> Float[Array, "*batch"]:
        """The true return."""
        return jnp.sum(self.reward, axis=-1)


class Task(ABC):
    """An environment, a policy architecture and a true return; every method is for ONE response.

    Batches, populations and seeds are `vmap`s of these methods, by the caller.
    Nothing outside a task's own file depends on which task it is.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in the registry."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Steps (or tokens) in a response that does not end early."""

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The architecture of this task's agents."""

    @abstractmethod
    def initial(self, key: PRNGKeyArray) -> Params:
        """Return the parameters an agent starts training from (drawn anew, or pretrained)."""

    @abstractmethod
    def start(self, key: PRNGKeyArray) -> Start:
        """Draw one starting state (or context)."""

    @abstractmethod
    def respond(self, params: Params, start: Start, key: PRNGKeyArray) -> Response:
        """Let the policy act from `start` and return the whole response."""

    @abstractmethod
    def score(self, params: Params, start: Start, key: PRNGKeyArray) -> Float[Array, ""]:
        """Return only the true return of `respond(params, start, key)`, storing no steps."""

    def agents(self) -> tuple[str, ...]:
        """Return the names of this task's reference agents, from the least to the most skilled.

        By default they are those that ship with the package, in `envs.agents`; a task
        that can compute its agents overrides this and `agent`.
        """
        from envs import agents

        prefix = f"{self.name}/"
        return tuple(
            name.removeprefix(prefix) for name in agents.names() if name.startswith(prefix)
        )

    def agent(self, level: str) -> Params:
        """Return the parameters of the reference agent `level`: one of `agents()`, or "expert".

        Raises:
          RequestError: there is no such agent; the message names those there are.
        """
        from envs import agents

        return agents.load(f"{self.name}/{level}").params
