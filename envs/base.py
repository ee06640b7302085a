"""What a task is: where a response starts, how a policy responds, what the response is worth."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray
from typing_extensions import override

from mpo.errors import unknown
from mpo.pytree import pytree
from mpo.settings import Checked, Kept

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


@runtime_checkable
class Spreading(Protocol):
    """A policy whose actions spread around a mean, so that it can also act by the mean alone."""

    def log_std(self, params: Any) -> Float[Array, "*agents actions"]:
        """Return the standard deviations of actions around their mean, as logarithms."""
        ...

    def spread(self, params: Any, log_std: float) -> Any:
        """Return the parameters with this log-std for all actions: -inf acts by the mean."""
        ...


@runtime_checkable
class Measuring(Protocol):
    """A task that measures more of an agent than its return: how long its stories are, say."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of what it measures."""
        ...

    def measured(self, params: Any, starts: Any, keys: Array) -> dict[str, Float[Array, ""]]:
        """Return what is measured of an agent by name, on starts and keys of its responses."""
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

    inputs: Num[Kept, "*seen"]
    outputs: Num[Kept, "*done"]
    reward: Float[Kept, "*steps"]
    mask: Bool[Kept, "*steps"]

    @property
    def length(self) -> Float[Array, "*batch"]:
        """The number of steps or tokens in the response."""
        return jnp.sum(self.mask, axis=-1, dtype=self.reward.dtype)

    @property
    def total(self) -> Float[Array, "*batch"]:
        """The true return."""
        return jnp.sum(self.reward, axis=-1)


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What is done with a task where nothing else is said.

    Attributes:
      rows: comparisons in a dataset.
      reference: level of the agent that the expert is compared with; `None` for the least
        skilled.
      close: level of the agent nearest to the expert; `None` for `reference`.
      apart: two returns that the temperature levels of a judge are calibrated at; `None` where
        a judge is to be given as a temperature, or never wrong.
      roles: names of agents beside those of their files: `{"expert": "2100"}`; the agent of
        another task by its whole name, "ant/6000".
      sizes: how agents are trained in evaluations of a size, "small" or "paper": the name of a
        preset, or settings as a file of one has them.
      ppo: settings of PPO (`envs.ppo.Settings`) that train reference agents, where they differ
        from the usual ones; `None` for a task that PPO cannot train.
    """

    rows: int = 1280
    reference: str | None = None
    close: str | None = None
    apart: tuple[float, float] | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    ppo: Mapping[str, Any] | None = None


class Task(Checked, ABC):
    """An environment, a policy architecture and a true return; every method is for ONE response.

    Batches, populations and seeds are `vmap`s of these methods, by the caller.
    Nothing outside a task's own file depends on which task it is. A task is a frozen dataclass,
    whose fields are its settings, checked as `mpo.settings` says; `envs.register_task` lets it be
    found by its name.

    Attributes:
      name: what the registry knows it by.
      defaults: what is done with it where nothing else is said.
    """

    name: ClassVar[str]
    defaults: ClassVar[Defaults] = Defaults()

    @classmethod
    @override
    def called(cls) -> str:
        return f"task {cls.name!r}"

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Steps (or tokens) in a response that does not end early."""

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The architecture of this task's agents."""

    def initial(self, key: PRNGKeyArray) -> Params:
        """Return the parameters an agent starts from: by default drawn anew; or pretrained."""
        return self.policy.init(key)

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
        """Return the names of the reference agents, from the least to the most skilled.

        By default there are none: then data come from a file, or from agents given by a path.
        """
        return ()

    def agent(self, level: str) -> Params:
        """Return the parameters of the reference agent `level`: one of `agents()`, or "expert".

        Raises:
          RequestError: there is no such agent; the message names those there are.
        """
        raise unknown(f"agent of {self.name}", level, self.agents())
