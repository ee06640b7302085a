"""Graders: what training takes for the reward of a response.

The truth, a reward model that was learnt, what the agent itself implies, or a function of the
user's. Another one is a frozen pytree with the method `__call__`, in any package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mpo.errors import RequestError
from mpo.pytree import pytree
from mpo.settings import Checked, Number, number, static
from mpo.train.logprob import log_probs
from mpo.train.source import Batch, Policy


@runtime_checkable
class Grader(Protocol):
    """Says what responses are worth; a frozen pytree, whose numbers are traced."""

    def __call__(
        self, batch: Batch, policy: Policy, params: Any, reference: Any
    ) -> Float[Array, "B C"]:
        """Return the reward of each response of a batch.

        Args:
          batch: groups of responses, whole or cut.
          policy: architecture of the agent.
          params: of the agent when the round began.
          reference: of the reference policy.
        """
        ...


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Truth(Checked):
    """The true reward, of the whole response; that of the data where these are a dataset's."""

    def __call__(
        self, batch: Batch, policy: Policy, params: Any, reference: Any
    ) -> Float[Array, "B C"]:
        """Return the rewards that the batch has."""
        if batch.reward is None:
            raise RequestError("the grader is 'truth', and the data have no rewards")
        return batch.reward


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Learnt(Checked):
    """A reward model: an unnormalised policy, whose step scores add up to the reward.

    Attributes:
      model: its architecture (`mpo.policies`), with the `log_prob` of a policy.
      params: its parameters.
      scale: what the sum is multiplied by.
    """

    model: Any = static()
    params: Any
    scale: Number = number(1.0, above=0.0)

    def __call__(
        self, batch: Batch, policy: Policy, params: Any, reference: Any
    ) -> Float[Array, "B C"]:
        """Return what the model scores."""
        return self.scores(batch)

    def scores(self, batch: Batch) -> Float[Array, "B C"]:
        """Return what the model scores, whoever trains."""
        return self.scale * log_probs(self.model, self.params, batch)


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Implied(Checked):
    """The reward that the agent implies, β log π/π_ref (Rafailov et al., 2023).

    Attributes:
      beta: β.
    """

    beta: Number = number(0.1, above=0.0)

    def __call__(
        self, batch: Batch, policy: Policy, params: Any, reference: Any
    ) -> Float[Array, "B C"]:
        """Return β times the log-ratio."""
        ratio = log_probs(policy, params, batch) - log_probs(policy, reference, batch)
        return self.beta * ratio


@final
@pytree
@dataclass(frozen=True, kw_only=True)
class Function(Checked):
    """A function of one response to its reward: (inputs, outputs, mask) to a scalar, in JAX.

    Attributes:
      function: inputs as the policy saw them (observations [T, …], or the context), outputs
        (actions [T, …], or tokens [T]) and which steps count [T], to the reward.
    """

    function: Callable[..., Any] = static()

    def __call__(
        self, batch: Batch, policy: Policy, params: Any, reference: Any
    ) -> Float[Array, "B C"]:
        """Return what the function says of each response."""
        found = jax.vmap(jax.vmap(self.function))(batch.inputs, batch.outputs, batch.mask)
        if jnp.shape(found) != batch.mask.shape[:2]:
            raise RequestError(
                f"the grader returned {jnp.shape(found)[2:]} for a response: it must be a scalar"
            )
        return jnp.asarray(found, float)


@pytree
@dataclass(frozen=True)
class Graded:
    """Data with a grader of their own, which a regime takes in place of its usual one.

    Attributes:
      source: the comparisons.
      grader: such as a reward model that was learnt of them.
    """

    source: Any
    grader: Grader

    @property
    def size(self) -> int:
        """The number of items."""
        return int(self.source.size)

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Return some items, as the data have them."""
        found: Batch = self.source.batch(items)
        return found
