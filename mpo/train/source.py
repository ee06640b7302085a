"""What the inner loop asks of its data and of its policy; `envs.data.View` is such a source."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num, PRNGKeyArray, Shaped

from mpo.pytree import pytree


@pytree
@dataclass(frozen=True)
class Batch:
    """B comparisons of K responses, whole or cut to L steps, best first.

    Attributes:
      inputs: what the policy saw: observations, floats [B, K, L, …]; or contexts, integers
        [B, K, …].
      outputs: what it did: actions [B, K, L, …], or tokens [B, K, L].
      mask: which steps count, [B, K, L]; the others are padding.
      reward: explicit reward of each whole response, [B, K]; or `None`.
      ref_logp: summed log-probability of each response under the reference policy, [B, K];
        `None` where it is not known.
      sampled_logp: the same under the policy that wrote it, when it did; `None` if not known.
      credit: what each response is to be credited with, [B, K]; `None` where nothing is.
      weight: of each comparison in the loss, [B]; `None` where all count alike.
    """

    inputs: Shaped[Array, "b k *inputs"]
    outputs: Shaped[Array, "b k steps *outputs"]
    mask: Bool[Array, "b k steps"]
    reward: Num[Array, "b k"] | None
    ref_logp: Float[Array, "b k"] | None
    sampled_logp: Float[Array, "b k"] | None = None
    credit: Float[Array, "b k"] | None = None
    weight: Float[Array, "b"] | None = None

    @property
    def length(self) -> Int[Array, "b k"]:
        """How many steps of each response count."""
        return jnp.sum(self.mask, axis=-1, dtype=jnp.int32)


@runtime_checkable
class Source(Protocol):
    """Comparisons (whole, or cut into segments) by number, gathered inside `jit`; a pytree."""

    @property
    def size(self) -> int:
        """The number of items, a static integer."""
        ...

    def batch(self, items: Int[Array, " B"]) -> Batch:
        """Return the items with these numbers in [0, size)."""
        ...


@runtime_checkable
class Policy(Protocol):
    """A policy architecture (see `mpo.policies`); hashable, as it is static under `jit`."""

    def init(self, key: PRNGKeyArray) -> Any:
        """Draw the parameters of a new agent."""
        ...

    def log_prob(self, params: Any, inputs: Array, outputs: Array) -> Array:
        """Return the log-probability of each step of one response, shape [L]."""
        ...
